"""`make supply-chain` with its real tools; the advisories come from a service of the test's own. ASVS 5.0 V15."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from supply_chain import LICENCES, SBOM, SupplyChainError, validate_sbom

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)  # the first time it fetches some 80 packages


def supply_chain(*steps: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / "supply_chain.py"), *steps],
        check=False,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module", autouse=True)
def listed() -> str:
    """Everything but the advisories has been done; what was said."""
    before = LICENCES.read_text()
    done = supply_chain("lock", "install", "sbom", "licences")
    assert done.returncode == 0, done.stderr
    assert LICENCES.read_text() == before, "docs/licences.md was not what it has to be, and is now"
    return done.stdout


def test_the_image_is_installed_from_verified_files_and_listed(listed: str) -> None:
    assert "each file with its hash" in listed
    assert "every hash verified" in listed
    document = json.loads(SBOM.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "review-fetcher"
    names = {component["name"].lower() for component in document["components"]}
    assert {"fastapi", "aiohttp", "cryptography", "sqlalchemy", "pyarrow"} <= names
    assert {"pytest", "mypy", "uv", "pip", "pip-audit", "cyclonedx-bom"} & names == set()
    assert all(component["purl"].startswith("pkg:pypi/") for component in document["components"])


def test_a_list_that_is_not_as_the_standard_says_is_refused(tmp_path: Path) -> None:
    document = json.loads(SBOM.read_text())
    document["components"][0]["type"] = "no such type"
    broken = tmp_path / "sbom.cdx.json"
    broken.write_text(json.dumps(document))
    with pytest.raises(SupplyChainError, match="not CycloneDX"):
        validate_sbom(broken)


@contextmanager
def advisories(vulnerable: set[str]) -> Iterator[tuple[str, list[str]]]:
    """A service in the protocol of OSV that knows a hole of these; its address, and what it was asked about."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pin = f"{query['package']['name']}=={query['version']}"
            asked.append(pin)
            hole = {"id": "TEST-2026-1", "summary": "A hole.", "affected": [{"package": query["package"]}]}
            body = json.dumps({"vulns": [hole]} if pin in vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
        finally:
            server.shutdown()


def asking(url: str) -> subprocess.CompletedProcess[str]:
    return supply_chain(
        "advisories", PIP_AUDIT_VULNERABILITY_SERVICE="osv", PIP_AUDIT_OSV_URL=url, NO_PROXY="127.0.0.1"
    )


def test_every_package_is_asked_about_and_none_has_a_known_hole() -> None:
    with advisories({"jinja2==2.4.1"}) as (url, asked):
        done = asking(url)
    assert done.returncode == 0, done.stderr
    assert "No known vulnerabilities found" in done.stdout
    components = json.loads(SBOM.read_text())["components"]
    wanted = {f"{one['name'].lower().replace('_', '-')}=={one['version']}" for one in components}
    assert set(asked) == wanted | {"jinja2==2.4.1"}


def test_a_known_hole_fails_and_is_named() -> None:
    (starlette,) = (one for one in json.loads(SBOM.read_text())["components"] if one["name"] == "starlette")
    with advisories({"jinja2==2.4.1", f"starlette=={starlette['version']}"}) as (url, _):
        done = asking(url)
    assert done.returncode == 1
    assert "TEST-2026-1" in done.stderr
    assert "starlette" in done.stderr


def test_a_service_that_knows_nothing_or_is_not_there_fails() -> None:
    with advisories(set()) as (url, _):
        ignorant = asking(url)
    away = asking(url)
    for done in (ignorant, away):
        assert done.returncode == 1
        assert "nobody could be asked about vulnerabilities" in done.stderr
