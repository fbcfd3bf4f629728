"""What came of it: progress of jobs, their reviews as pages, NDJSON and CSV, the feed, and the dead letters."""
