"""Which licences the packages of the image have, from its SBOM, and whether we may ship them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ALLOWED = frozenset(
    """
    0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause ISC MIT MIT-0 MPL-2.0 PSF-2.0 Python-2.0 Unlicense Zlib
    """.split()
)
"""SPDX ids. All of them let a program be shipped, changed and closed if their text goes along, as it does in wheels.
MPL-2.0 also asks for the source of its own files: of a package of Python a wheel is just that."""

CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Names from before SPDX that mean one licence."""

READ = {"Jinja2": "BSD-3-Clause", "protobuf": "BSD-3-Clause"}
"""Packages that say no more than "BSD License", or nothing: what the licence file in their wheel is."""

_WORD = re.compile(r"[A-Za-z0-9.+-]+")


class LicenceError(Exception):
    """A package may not be shipped, or nobody knows whether it may. Look at its licence; then add that to ALLOWED, or
    the package to READ, or do without the package."""


class Licensed(NamedTuple):
    """A package and its licence, as an SPDX expression."""

    name: str
    version: str
    licence: str


def licensed(sbom: Mapping[str, Any]) -> list[Licensed]:
    """Every component by name. Raises LicenceError, which names all that are at fault."""
    found = [
        Licensed(one["name"], one["version"], READ.get(one["name"]) or _expression(one.get("licenses", ())))
        for one in sbom["components"]
    ]
    faults = [f"{one.name} {one.version}: {one.licence or 'none told'}" for one in found if not is_allowed(one.licence)]
    if faults:
        raise LicenceError(f"{' '.join((LicenceError.__doc__ or '').split())} {'; '.join(faults)}")
    return sorted(found, key=lambda one: one.name.lower())


def is_allowed(expression: str) -> bool:
    """Whether each licence in the expression is. Of two to choose from, both have to be: a person may decide else."""
    words = [word for word in _WORD.findall(expression) if word not in ("AND", "OR")]
    return bool(words) and ALLOWED.issuperset(words)


def _expression(told: Iterable[Mapping[str, Any]]) -> str:
    """What a package tells, in however many places."""
    every = [one.get("expression") or _name(one["license"]) for one in told]
    return " AND ".join(dict.fromkeys(every))


def _name(licence: Mapping[str, str]) -> str:
    name = licence.get("id") or licence.get("name", "")
    return CLASSIFIERS.get(name, name)


HEAD = """# Licences

The packages that the image holds beside Python, and the licence that each declares. Written by `make supply-chain`,
which fails for a licence that is not allowed or not known (`scripts/licences.py`). The texts of the licences, and those
of the C libraries that a wheel brings along, are in the packages' own folders `*.dist-info`.

| package | version | licence |
|---|---|---|
"""


def page(packages: Iterable[Licensed]) -> str:
    """docs/licences.md."""
    return HEAD + "".join(f"| {one.name} | {one.version} | {one.licence} |\n" for one in packages)
