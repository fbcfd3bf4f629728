"""What `doctor` looks at around this process: its port, its roles, its simulator, the Kafka it shares with others."""

import asyncio

from app.broker.base import BrokerUnavailableError, TopicLayoutError
from app.broker.topics import KafkaTopics
from app.cli.exits import CommandError, UsageError
from app.cli.faults import chosen_faults
from app.cli.findings import Finding, Health
from app.cli.serve import listen
from app.clock import SystemClock
from app.config import ROLES, Settings
from app.wiring.values import kafka_connection, topic_layout

KAFKA_SECONDS = 10.0


def port(settings: Settings) -> Finding:
    """Whether `serve` can listen. A service that runs already is the usual reason why not."""
    where = f"{settings.host}:{settings.port}"
    try:
        with listen(settings.host, settings.port):
            return Finding("port", Health.OK, f"{where} is free" if settings.port else "a free one will be taken")
    except CommandError as error:
        found, _, _ = str(error).rpartition(":")
        return Finding("port", Health.WARNING, found, "nothing to do if it is this service; else set PORT or HOST")


def faults(settings: Settings) -> Finding:
    """The simulator's, while it is the service's Google."""
    choice = settings.simulator.faults
    try:
        chosen_faults(choice, settings.simulator.seed)
    except UsageError as error:
        problem = str(error).replace("--faults", "SIMULATOR_FAULTS", 1)
        return Finding("simulator", Health.BROKEN, problem, "set it to good, flaky, or a file that can be read")
    return Finding("simulator", Health.OK, f"faults: {choice}")


def roles(settings: Settings) -> Finding:
    """What others have to do."""
    missing = [role for role in ROLES if role not in settings.roles]
    if not missing:
        return Finding("roles", Health.OK, "all of them")
    mend = f"needs at least one more process, with ROLES={','.join(missing)}"
    return Finding("roles", Health.OK, f"only {', '.join(settings.roles)}", mend)


async def kafka(settings: Settings) -> Finding:
    """Whether it answers, and whether the topics are as they should be, or can be made at the first start."""
    if settings.mock_kafka:
        return Finding("broker", Health.OK, "in this process")
    servers = ", ".join(settings.kafka.bootstrap_servers)
    topics = KafkaTopics(
        kafka_connection(settings.kafka),
        topic_layout(settings),
        SystemClock(),
        prefix=settings.kafka.topic_prefix,
        deadline=KAFKA_SECONDS,
    )
    try:
        missing = await asyncio.to_thread(topics.missing)
    except BrokerUnavailableError as error:
        mend = "is Kafka running, and do KAFKA_BOOTSTRAP_SERVERS and the security settings fit?"
        return Finding("Kafka", Health.BROKEN, str(error), mend)
    except TopicLayoutError as error:
        return Finding("Kafka", Health.BROKEN, f"{servers} answers, and its topics do not fit", str(error))
    if missing:
        return Finding("Kafka", Health.OK, f"{servers} answers; to be made at the next start: {', '.join(missing)}")
    return Finding("Kafka", Health.OK, f"{servers} answers; the topics are as they should be")
