"""How a release is made: docs/releasing.md.

source      what is released: version, commit, time, and whether it may be
artifacts   the wheel, the source distribution, the context of the image, the chart, the SBOM
commands    what it is made with
archives    archives whose bytes depend on their content alone
proof       the wheel in an environment that has nothing else
"""
