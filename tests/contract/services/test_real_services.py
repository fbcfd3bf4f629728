"""The services that tests run on are real, and each test has its own place in them."""

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from tests.support.services import fresh_database


@pytest.mark.postgresql
async def test_a_database_is_empty_and_gone_after_its_test(postgresql_url: str) -> None:
    with fresh_database(postgresql_url) as url:
        connection = await asyncpg.connect(url)
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables == 0
        name = await connection.fetchval("SELECT current_database()")

    await connection.close()
    server = await asyncpg.connect(postgresql_url)
    names = await server.fetch("SELECT datname FROM pg_database")
    await server.close()
    assert name not in {row["datname"] for row in names}


@pytest.mark.postgresql
async def test_the_database_lies_in_utc_and_utf8(postgresql_database: str) -> None:
    connection = await asyncpg.connect(postgresql_database)
    settings = [await connection.fetchval(f"SHOW {name}") for name in ("timezone", "server_encoding")]
    await connection.close()

    assert settings == ["UTC", "UTF8"]


@pytest.mark.kafka
def test_the_broker_creates_no_topic_by_itself(kafka_bootstrap_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    for broker in admin.list_topics(timeout=30).brokers:
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
        settings = admin.describe_configs([resource])[resource].result(30)
        assert settings["auto.create.topics.enable"].value == "false"
