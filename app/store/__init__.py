"""The truth: jobs, tasks, reviews, budgets and keys, in SQLite or PostgreSQL.

`schema` says what is kept; `submit`, `tasks`, `settle`, `control`, `redrive` and `tidy` are the
transitions; `reads`, `review_pages`, `feed` and `measures` what is shown.
All of them are plain functions over a `Transaction`; `sqlite` and `postgresql` bring them to a database.
"""
