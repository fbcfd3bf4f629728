"""Alert rules and dashboards, made from code: `python -m monitoring` writes `deploy/monitoring`.

alerts       what wakes somebody, and what it means
recording    ratios that alerts and dashboards share
rules        both as a file of Prometheus
panels       what a panel of Grafana is made of
dashboards   the four pages
promql       the metrics and labels that an expression names
"""
