# The Python that the tests run on. A tag moves: to build from the image that you have checked,
# --build-arg PYTHON=python@sha256:…
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON} AS build
WORKDIR /srv/review-fetcher
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1

# First what changes seldom: the dependencies, by the hashes of uv.lock.
COPY pyproject.toml uv.lock ./
COPY scripts/create_environment.py scripts/
RUN UV_NO_INSTALL_PROJECT=1 python scripts/create_environment.py --runtime

# Then the service itself. What installed it is not needed to run it.
COPY README.md ./
COPY app app
RUN .venv/bin/uv sync --locked --no-dev --extra parquet --no-editable \
    && .venv/bin/python -m pip uninstall --yes --quiet uv pip setuptools

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Review Fetcher" \
      org.opencontainers.image.description="Every Google review of every location, once each, under Google's quota, resumable"
WORKDIR /srv/review-fetcher
ENV PATH=/srv/review-fetcher/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ENVIRONMENT=production

COPY --from=build /srv/review-fetcher/.venv .venv
# For a store in a SQLite file: give this folder a volume.
RUN install --directory --owner=10001 --group=10001 data
USER 10001:10001

EXPOSE 8000
# Alive, not ready: a restart does not bring back a database that is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["python", "-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]
