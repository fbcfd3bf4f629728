"""Review Fetcher: every review that a token can see, once each, under Google's quota. The map, from the top down:

cli           `review-fetcher …`: commands, each a few lines over the rooms below
main          `create_app()` and the application that uvicorn runs
startup       what fails at a start, told in its own words
edge          connections: bounded in number, time and size
wiring        the composition root: from settings to a running service, and back
state         `AppState`: everything a running service consists of
observing     what happens in the walk, as metrics and log lines
lifecycle     loops that must not stay dead
console       the same in a browser: pages, made by the server
api           HTTP: who may do what, requests in, answers and problems out
ingest        requests become jobs: a bounded deque, and group commits
pipeline      the walk: claim a task, ask the quota, call Google for a page, settle what it means
results       what came of it: progress, pages, NDJSON, CSV, the feed, dead letters
webhooks      the end of a job told to its callback: signed, to public addresses only, for a day
retry         when to try again, and the scheduler that releases what is due
leadership    one replica at a time, by a lease in the store
broker        work on its way from the scheduler to the workers
store         the truth: tables, transactions, migrations; SQLite and PostgreSQL
google        Google over HTTP: one page a call, every failure one error
limits        how many calls Google allows, for all replicas together
credentials   access tokens at rest: sealed, each for one job
telemetry     log lines without secrets, metrics declared once
config        every setting: read once, checked, the same for everyone
models        the words that rooms share: job, task, events, review, what is shown
clock         the time, and waiting for it
fair          turns by weight: who has used least is next
crash         points at which a test can kill the process
simulator     a Google of its own, over HTTP; imports nothing of the above

An arrow only points downwards: import-linter holds the rooms to it.
"""
