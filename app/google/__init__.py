"""Google over HTTP: one page per call, decoded into our values, every failure one `GoogleAPIError`.

`client` sends to `endpoints` and reads a bounded `body`; `wire` decodes reviews, `listing` the rest, both with
`document` for what is odd, into `pages`. `errors` is the table of refusals (read by `error_body`), `transport` that of
failures below HTTP.
"""
