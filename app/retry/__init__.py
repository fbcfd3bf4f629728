"""How long to wait before the next attempt, and how often to try."""
