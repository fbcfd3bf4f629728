"""The whole deployment on one machine: three brokers, three replicas behind nginx, PostgreSQL, Prometheus."""
