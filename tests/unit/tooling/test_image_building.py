"""The Dockerfile is read as `docker build` reads it, and its lines cannot change this machine."""

import json
from pathlib import Path

import pytest

from tests.support.dockerfile import read_dockerfile
from tests.support.image import build_image

DOCKERFILE = """
# A comment.
ARG BASE=python:3
FROM ${BASE} AS build
WORKDIR /srv/it
ARG EXTRA=one
COPY a folder b/
RUN --mount=type=cache,target=/root/.cache/uv \\
    # between
    echo "$EXTRA" > b/said \\
    && mkdir c

FROM ${BASE}
WORKDIR /srv/it
ARG VERSION=none
ENV PATH=/srv/it/bin:$PATH NAME="two words"
COPY --from=build /srv/it/b d
USER 10:20
HEALTHCHECK --interval=1s --retries=3 \\
    CMD ["ask"]
CMD ["start", "--now"]
LABEL version="${VERSION}" \\
      of=$NAME
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "folder").mkdir(parents=True)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "a").write_text("the file a")
    (directory / "folder" / "inner").write_text("the file inner")
    (directory / "other").write_text("is not copied")
    return directory


def test_a_dockerfile_is_read(context: Path) -> None:
    build, last = read_dockerfile(context / "Dockerfile", {"BASE": "python@sha256:1", "VERSION": "1.2.3"}, "/bin")
    assert (build.base, build.name, last.base) == ("python@sha256:1", "build", "python@sha256:1")
    assert build.arguments == {"EXTRA": "one"}
    assert last.environment == {"PATH": "/srv/it/bin:/bin", "NAME": "two words"}
    assert last.labels == {"version": "1.2.3", "of": "two words"}
    assert (last.start, last.health, last.user, last.workdir) == (["start", "--now"], ["ask"], (10, 20), "/srv/it")


def test_a_command_that_needs_a_shell_is_an_error(context: Path) -> None:
    (context / "Dockerfile").write_text("FROM base\nCMD start --now\n")
    (stage,) = read_dockerfile(context / "Dockerfile", {}, "/bin")
    with pytest.raises(json.JSONDecodeError):
        _ = stage.start


def test_an_image_is_built_of_what_is_copied_and_what_its_lines_make(context: Path, tmp_path: Path) -> None:
    image = build_image(context, tmp_path / "built", EXTRA="another")
    found = [path for path in image.tree.rglob("*") if path.is_file()]
    files = {path.relative_to(image.tree).as_posix(): path.read_text() for path in found}
    assert files == {"d/a": "the file a", "d/inner": "the file inner", "d/said": "another\n"}


@pytest.mark.parametrize("line", ["touch /usr/local/here", "touch /srv/here && exit 3"])
def test_a_line_that_fails_or_writes_elsewhere_is_told_with_what_it_said(
    line: str, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(f"FROM base\nWORKDIR /srv/it\nRUN {line}\n")
    with pytest.raises(AssertionError, match=rf"RUN {line}"):
        build_image(context, tmp_path / "built")
    assert not Path("/usr/local/here").exists()
    assert not Path("/srv/here").exists()
