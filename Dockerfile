# The Python that the tests run on. A tag moves: to build from the image that you have checked,
# --build-arg PYTHON=python@sha256:…
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON} AS build
WORKDIR /srv/review-fetcher
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy

# First what changes seldom: the dependencies, by the hashes of uv.lock.
COPY pyproject.toml uv.lock ./
COPY scripts/create_environment.py scripts/
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_NO_INSTALL_PROJECT=1 python scripts/create_environment.py --runtime

# Then the service itself, and pyarrow, which only exports to Parquet need: --build-arg EXTRAS= leaves it out.
# What installed them is not needed to run them.
ARG EXTRAS=parquet
COPY README.md ./
COPY app app
RUN --mount=type=cache,target=/root/.cache/uv \
    .venv/bin/uv sync --locked --no-dev ${EXTRAS:+--extra=${EXTRAS}} --no-editable \
    && .venv/bin/python -m pip uninstall --yes --quiet uv pip setuptools

# Nobody runs the tests of the dependencies, compiles against pyarrow, or has it speak to a server or to S3.
RUN rm -rf .venv/.lock .venv/lib/python*/site-packages/*/tests .venv/lib/python*/site-packages/pyarrow/include \
    .venv/lib/python*/site-packages/pyarrow/libarrow_flight.* .venv/lib/python*/site-packages/pyarrow/libarrow_s3.*

FROM ${PYTHON}
WORKDIR /srv/review-fetcher
ENV PATH=/srv/review-fetcher/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ENVIRONMENT=production

# For a store in a SQLite file: give this folder a volume.
RUN install --directory --owner=10001 --group=10001 data
COPY --from=build /srv/review-fetcher/.venv .venv
USER 10001:10001

EXPOSE 8000
# Alive, not ready: a restart does not bring back a database that is away. By no proxy, whatever HTTP_PROXY says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as c; s = c.HTTPConnection('127.0.0.1', 8000, timeout=4); s.request('GET', '/livez'); raise SystemExit(s.getresponse().status != 200)"]
CMD ["python", "-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]

# Last, because they differ from build to build. `make release` writes them into the Dockerfile of the image's context.
ARG VERSION=unreleased
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="Review Fetcher" \
      org.opencontainers.image.description="Every Google Business Profile review of every location, once each, under Google's quota, resumable." \
      org.opencontainers.image.licenses="LicenseRef-Proprietary" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
