"""`review-fetcher`: the service, one job without it, a demonstration, and the tools around them."""

from app.cli.entry import main

__all__ = ["main"]
