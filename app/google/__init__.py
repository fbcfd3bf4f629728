"""Google over HTTP: one page per call, decoded into our values, every failure one `GoogleError`.

`client` sends, `endpoints` knows hosts and paths, `body` reads bounded answers, `wire` decodes pages,
`errors` and `transport` translate what went wrong.
"""
