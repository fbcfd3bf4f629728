# One command, one word. `make help` lists them. A Python of at least 3.11 is all that must be there before.

.DEFAULT_GOAL := help
.PHONY: release site supply-chain help setup runtime demo test check check-static unit format mutations nightly bench chart chaos cluster cluster-down services services-down

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
# A process of tests that crashes is a failure and the end. Replaced, the run would wait for its last tests for ever.
CRASH_ENDS := --max-worker-restart=0
SAY = printf '\n== %s ==\n'
SECTION = @$(SAY)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Create .venv from uv.lock (instant when it is up to date)
	@sh scripts/setup.sh

runtime:
	@sh scripts/setup.sh --runtime

demo: runtime ## Fetch the reviews of a simulated merchant, from POST to file
	@$(BIN)/review-fetcher demo

test: setup ## Run every test but the nightly ones, on real services where the machine has them
	$(SECTION) "tests that may run beside each other: $(WORKERS) at a time"
	@failed=0; $(PYTEST) -n $(WORKERS) $(CRASH_ENDS) --dist loadfile -m 'not alone and not nightly' || failed=$$?; \
	[ $$failed -le 1 ] || exit $$failed; \
	$(SAY) "tests that need the machine to themselves"; \
	$(PYTEST) -m 'alone and not nightly' && exit $$failed

check: check-static unit ## Format, lint, types, layers, unit tests: three minutes

check-static: setup
	$(SECTION) "format"
	@$(BIN)/ruff format --check .
	$(SECTION) "lint"
	@$(BIN)/ruff check .
	$(SECTION) "types"
	@$(BIN)/mypy
	$(SECTION) "layers"
	@$(BIN)/lint-imports --no-logo

unit: setup
	$(SECTION) "unit tests"
	@$(PYTEST) tests/unit

format: setup ## Write the code as the formatter wants it
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

mutations: setup ## Break each promise on purpose and see a test go red
	@$(BIN)/python -m tests.mutations

nightly: setup ## Run the long tests: memory, bursts, fuzzing, chaos on a cluster, failover, alert times, a release
	$(SECTION) "nightly tests"
	@$(PYTEST) -m nightly

bench: setup ## Measure against the plain loop and against the ceiling
	@$(BIN)/python -m bench

chart: setup ## Write what the Helm chart has from elsewhere, and lint it
	@$(BIN)/python scripts/helm_chart.py
	@"$$($(BIN)/python scripts/helm_tools.py)" lint --strict deploy/helm/review-fetcher

SEED ?= 1
chaos: setup ## Disturb three replicas on real servers and judge the promises (SEED=1 MINUTES=10 CLUSTER=1)
	@$(BIN)/python -m chaos --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(CLUSTER),--cluster)

cluster: setup ## Start three brokers, three replicas behind nginx, PostgreSQL and Prometheus here
	@$(BIN)/python -m cluster up

cluster-down: setup ## End them and throw their data away
	@$(BIN)/python -m cluster down

site: setup ## Build the documentation site into site/: every link between pages checked, no network needed to read it
	@$(BIN)/python -m website

supply-chain: setup ## Check the dependencies: hashes, licences, SBOM, published vulnerabilities
	@$(BIN)/python scripts/supply_chain.py

release: setup ## Make and prove all that a release consists of, in dist/ (SNAPSHOT=1: whatever the work tree holds)
	@$(BIN)/python scripts/release.py $(if $(SNAPSHOT),--snapshot) $(if $(REPOSITORY),--repository $(REPOSITORY))

services: setup ## Start a real PostgreSQL and Kafka on loopback and print their settings
	@$(BIN)/python scripts/services.py up

services-down: setup ## End them and throw their data away
	@$(BIN)/python scripts/services.py down
