"""A real Kafka and PostgreSQL on loopback, for `scripts/services.py`. Standard library only."""
