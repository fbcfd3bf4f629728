"""What the service costs, against the plain way to do it and against what one process could do at all.

`python -m bench` (or `make bench`) prints the table; each program runs in a process of its own, beside the simulator.
"""
