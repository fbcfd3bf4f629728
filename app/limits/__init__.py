"""How many calls Google allows: the guide's token bucket, and budgets that all replicas share."""
