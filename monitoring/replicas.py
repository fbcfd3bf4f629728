"""The fourth page: what each process uses, what waits in it, and what it leads."""

from monitoring.panels import Dashboard, Panel, Query, Row

_RATE = "[$__rate_interval]"
_CHOSEN = '{instance=~"$instance"}'


def _pool(title: str, pools: str, description: str) -> tuple[Panel, Panel]:
    where = f'{{instance=~"$instance",pool=~"{pools}"}}'
    used = f"review_fetcher_pool_in_use{where} / review_fetcher_pool_size{where}"
    waiting = f"review_fetcher_pool_waiting{where}"
    share, queue = f"{description} Share of the places.", f"{description} What waits for a place."
    return (
        Panel(f"{title}: in use", share, (_each(used, "pool"),), "percentunit", width=12),
        Panel(f"{title}: waiting", queue, (_each(waiting, "pool"),), width=12),
    )


def _each(expression: str, *labels: str) -> Query:
    return Query(expression, " ".join(f"{{{{{label}}}}}" for label in ("instance", *labels)))


REPLICAS = Dashboard(
    "review-fetcher-replicas",
    "Review Fetcher / Replicas",
    "Utilisation, saturation and errors of each process.",
    (
        Row(
            "Processes",
            (
                Panel(
                    "CPU",
                    "Processors in use.",
                    (_each(f"rate(process_cpu_seconds_total{_CHOSEN}{_RATE})"),),
                ),
                Panel("Memory", "Resident memory.", (_each(f"process_resident_memory_bytes{_CHOSEN}"),), "bytes"),
                Panel(
                    "Open files",
                    "Share of the files that the process may open.",
                    (_each(f"process_open_fds{_CHOSEN} / process_max_fds{_CHOSEN}"),),
                    "percentunit",
                ),
                Panel(
                    "Event loop",
                    "How late it wakes who asked to be woken, on average.",
                    (
                        _each(
                            f"rate(review_fetcher_event_loop_lag_seconds_sum{_CHOSEN}{_RATE}) "
                            f"/ rate(review_fetcher_event_loop_lag_seconds_count{_CHOSEN}{_RATE})"
                        ),
                    ),
                    "s",
                ),
                Panel("Tasks of asyncio", "Must not grow.", (_each(f"review_fetcher_asyncio_tasks{_CHOSEN}"),)),
                Panel(
                    "Versions",
                    "What runs.",
                    (Query("count by (version, python) (review_fetcher_build_info)", "{{version}} {{python}}"),),
                    "short",
                    "stat",
                ),
            ),
        ),
        Row(
            "Pools",
            (
                *_pool("Store", "store_.*", "Connections, or the one writer and the readers of a SQLite file."),
                *_pool("Workers", "worker_.*", "The places of each stage, and tasks received and not taken."),
                *_pool("Google", "google", "Calls on the wire."),
                Panel(
                    "Buffer between POST and store",
                    "How full it is.",
                    (_each(f"review_fetcher_deque_load_percent{_CHOSEN}"),),
                    "percent",
                    width=12,
                ),
                Panel(
                    "Unsent to Kafka",
                    "Messages that Kafka has not confirmed.",
                    (_each(f"review_fetcher_kafka_unsent_messages{_CHOSEN}", "producer"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Errors and leaders",
            (
                Panel(
                    "Loops that died",
                    "Deaths of background loops in ten minutes.",
                    (_each(f"round(increase(review_fetcher_loop_restarts_total{_CHOSEN}[10m])) > 0", "loop"),),
                ),
                Panel(
                    "Loops that keep dying",
                    "Loops that are not well.",
                    (Query(f"count by (loop) (review_fetcher_loop_healthy{_CHOSEN} == 0)", "{{loop}}"),),
                ),
                Panel(
                    "Who leads",
                    "1 where a process leads in a role.",
                    (_each(f"review_fetcher_leader{_CHOSEN}", "role"),),
                ),
                Panel(
                    "Store read",
                    "1 where the store's numbers could be read.",
                    (_each(f"review_fetcher_store_readable{_CHOSEN}"),),
                ),
                Panel(
                    "Buffer",
                    "Jobs a second that came into the buffer, left it, or found it full.",
                    (_each(f"rate(review_fetcher_deque_items_total{_CHOSEN}{_RATE})", "event"),),
                ),
                Panel(
                    "Units in a commit",
                    "How much work shared a transaction of the store, on average.",
                    (
                        _each(
                            f"rate(review_fetcher_store_commit_units_sum{_CHOSEN}{_RATE})"
                            f" / rate(review_fetcher_store_commits_total{_CHOSEN}{_RATE})"
                        ),
                    ),
                ),
            ),
        ),
    ),
    by_instance=True,
)
