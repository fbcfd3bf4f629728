"""The walk: claim a task, ask the quota, call Google for one page, settle what it means, acknowledge.

`worker` is the loop, `accounts`, `locations` and `reviews` say what a page means, `outcome` names how a step can end,
`settle` turns that into what the store writes.
"""
