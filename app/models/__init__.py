"""The words that every room shares: job, task, review, account, location. Values only, no I/O."""
