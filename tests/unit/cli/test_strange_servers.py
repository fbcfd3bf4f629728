"""Whatever answers at --server: a command says what is wrong in a line, and takes no part for the whole."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.cli.exits import ExitCode
from tests.unit.cli.conftest import Run

HTML = b"<html><body>Welcome to the router</body></html>"
PROBLEM = {
    "type": "urn:review-fetcher:problem:busy",
    "title": "Busy",
    "status": 429,
    "detail": "Try later.\x1b[2J\nerror: no",
}


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """The URL of a server that gives everybody this answer, as it is."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that it is called by

        def log_message(self, *_: object) -> None:
            """Not on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sized(body: bytes) -> dict[str, str]:
    return {"Content_Length": str(len(body))}


COMMANDS = [
    ("jobs", "list"),
    ("jobs", "show", "job-1"),
    ("jobs", "watch", "job-1"),
    ("jobs", "cancel", "job-1"),
    ("jobs", "token", "job-1"),
    ("jobs", "submit"),
    ("reviews", "tail"),
    ("dlq", "list"),
    ("dlq", "show", "7"),
    ("dlq", "redrive", "--all", "--yes"),
    ("overview",),
    ("settings",),
    ("quota",),
]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", "ya29.some-token-or-other")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("status", [200, 302, 404, 500])
def test_another_program_is_told_from_the_service(run: Run, command: tuple[str, ...], status: int) -> None:
    with answering(status, HTML, Content_Type="text/html", Location="http://127.0.0.1:1/", **sized(HTML)) as url:
        ended = run(*command, "--server", url)
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert "the answer is not one of this service: check the URL" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("body", [b"[]", b'{"some": "other API"}', b"\xff{"])
def test_json_of_another_program_is_told_too(run: Run, command: tuple[str, ...], body: bytes) -> None:
    with answering(200, body, Content_Type="application/json", **sized(body)) as url:
        ended = run(*command, "--server", url)
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert "the answer is not one of this service: check the URL" in ended.err


def test_a_refusal_is_one_line_whatever_stands_in_it(run: Run) -> None:
    body = json.dumps(PROBLEM).encode()
    with answering(429, body, Content_Type="application/problem+json", **sized(body)) as url:
        ended = run("jobs", "list", "--server", url)
    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("error: HTTP 429: Try later.")
    assert len(ended.err.splitlines()) == 1
    assert "\x1b" not in ended.err


CHUNKED_AND_CUT = b"5\r\nabcd\n\r\n5\r\nefg"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Transfer_Encoding": "chunked"}, CHUNKED_AND_CUT),
        ({"Content_Length": "20"}, b"abcd\nefgh\n"),
        ({}, b"abcd\nefgh\n"),
    ],
    ids=["chunked", "sized", "no end is told"],
)
def test_a_part_of_the_reviews_is_never_taken_for_all(run: Run, headers: dict[str, str], body: bytes) -> None:
    Path("old.ndjson").write_text("what was there\n")
    with answering(200, body, Content_Type="application/x-ndjson", **headers) as url:
        for name in ("new.ndjson", "old.ndjson"):
            ended = run("reviews", "export", "job-1", "--out", name, "--force", "--server", url)
            assert ended.code == ExitCode.FAILED
            assert ended.err.startswith("error: ")
        assert run("reviews", "export", "job-1", "--out", "-", "--server", url).code == ExitCode.FAILED
    assert not Path("new.ndjson").exists()
    assert Path("old.ndjson").read_text() == "what was there\n"


def test_a_page_of_html_is_no_file_of_reviews(run: Run) -> None:
    with answering(200, HTML, Content_Type="text/html", **sized(HTML)) as url:
        ended = run("reviews", "export", "job-1", "--out", "x.ndjson", "--server", url)
    assert ended.code == ExitCode.FAILED
    assert "the answer is not one of this service" in ended.err
    assert list(Path().iterdir()) == []


def test_a_key_that_cannot_be_sent_is_told_and_not_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_API_KEY", "secret\nkey")
    ended = run("jobs", "list", "--server", "http://127.0.0.1:1")
    assert ended.code == ExitCode.USAGE
    assert ended.err == "error: --api-key takes 1 to 255 visible ASCII characters\n"
