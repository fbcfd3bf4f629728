"""schemathesis against a running service: what its OpenAPI document allows and forbids, over real HTTP."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.service import Service

HOOKS = Path(__file__).with_name("fuzzing_hooks.py")

REFUSALS = [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 429, 503]
"""How what the document does not allow may be answered: also 414, where it made the address too long."""

Values = Mapping[str, Sequence[str | int]]
"""What exists, by parameter: `path.job_id`."""


@dataclass(frozen=True)
class Known:
    """For half of the cases: `everywhere`, and what else instead, by operation."""

    everywhere: Values
    of_operations: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Fuzzed:
    """What came of a run. `output` names each failure with a request that repeats it."""

    code: int
    cases: int
    operations: int
    output: str


def fuzz(service: Service, headers: Mapping[str, str], known: Known, *options: str) -> Fuzzed:
    """Run it with these headers on every request; `options` are those of `schemathesis run`.

    It keeps the requests that failed, with their keys: in a directory that is gone afterwards.
    """
    with TemporaryDirectory() as directory:
        return _fuzz(service, headers, Path(directory), known, options)


def _fuzz(
    service: Service, headers: Mapping[str, str], directory: Path, known: Known, options: Sequence[str]
) -> Fuzzed:
    configuration, report, document = (directory / name for name in ("schemathesis.toml", "report.json", "api.json"))
    configuration.write_text(_configuration(headers, known))
    document.write_bytes(service.get("/openapi.json").body)  # its URL would be left out of what is tested
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(configuration), "run"]
    command += [
        str(document),
        "--url",
        service.url,
        "--report",
        "json",
        "--report-json-path",
        str(report),
        "--no-color",
    ]
    done = subprocess.run([*command, *options], cwd=directory, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert report.exists(), output
    told = json.loads(report.read_text())
    return Fuzzed(done.returncode, int(told["test_cases"]["generated"]), int(told["operations"]["tested"]), output)


def _configuration(headers: Mapping[str, str], known: Known) -> str:
    """TOML, whose strings and lists are those of JSON. One worker: Python 3.11 parses no two sources at once."""
    lines = [
        f"hooks = {json.dumps(str(HOOKS))}",
        "workers = 1",
        "request-timeout = 20.0",
        "max-stream-events = 3",
        'suppress-health-check = ["all"]',
        "continue-on-failure = true",
        "output.sanitization.enabled = false",  # the only key is the test's own
        'generation = { database = "none" }',
        f"checks.negative_data_rejection.expected-statuses = {json.dumps(REFUSALS)}",
        f"headers = {{ {', '.join(f'{json.dumps(name)} = {json.dumps(value)}' for name, value in headers.items())} }}",
        f"parameters = {_bound(known.everywhere)}",
    ]
    for operation, values in known.of_operations.items():
        lines += ["[[operations]]", f"include-operation-id = {json.dumps(operation)}", f"parameters = {_bound(values)}"]
    every = [known.everywhere, *known.of_operations.values()]
    dictionaries = {_name(values, name): values[name] for values in every for name in values}
    lines += [f"[dictionaries.{name}]\nvalues = {json.dumps(list(values))}" for name, values in dictionaries.items()]
    return "\n".join(lines) + "\n"


def _bound(values: Values) -> str:
    bound = (f'"{name}" = {{ dictionary = "{_name(values, name)}", probability = 0.5 }}' for name in values)
    return f"{{ {', '.join(bound)} }}"


def _name(values: Values, parameter: str) -> str:
    return f"{parameter.replace('.', '-')}-{abs(hash(tuple(values[parameter])))}"
