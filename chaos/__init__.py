"""The chaos program: many replicas on a real Kafka and PostgreSQL, disturbed on purpose, judged from outside."""
