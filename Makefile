# Every target makes its own environment first: a bare clone and a Python 3.11 or newer are enough.
.DEFAULT_GOAL := help
.PHONY: help demo test lint unit integration test-kubernetes test-kubernetes-smoke node-up node-down mutants coverage benchmarks up down docs lock packages packages-dev

BIN := .venv/bin
CANDLES ?=
SAMPLE ?= 60
MODULES ?=
# The caller's settings that would make every Python process compile, or import, something else.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: packages ## the main job: candles in, strategies discovered, a signal served; leaves the stack up
	@$(BIN)/alpharay doctor
	@$(BIN)/alpharay demo $(if $(CANDLES),--candles "$(CANDLES)")

up: packages ## start the local stack
	@$(BIN)/alpharay doctor
	@$(BIN)/alpharay stack up

down: packages ## end every process of the local stack; its data stays
	@$(BIN)/alpharay stack down

# The same random cases every time; `make unit` on its own tries new ones.
test: export CI := 1
test: ## every check and test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory integration
	@ALPHARAY_NODE_BUILD_MINUTES=$${ALPHARAY_NODE_BUILD_MINUTES:-35} $(MAKE) --no-print-directory test-kubernetes-smoke

lint: packages-dev ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: packages-dev ## tests that need no server
	$(BIN)/python -m pytest tests/unit -n auto --dist worksteal

integration: packages-dev ## tests against real servers
	$(BIN)/python -m pytest tests/integration --durations=15

test-kubernetes: packages-dev ## tests on a real Kubernetes node (root, Debian, Go; builds for half an hour the first time)
	$(BIN)/python -m pytest tests/kubernetes --timeout=5400

test-kubernetes-smoke: packages-dev ## of these, what shows that the overlay comes up and serves; left out where no node can be
	$(BIN)/python -m pytest tests/kubernetes -m smoke --timeout=5400

node-up: packages-dev ## start that node, to try manifests on it
	@$(BIN)/python -m tests.kubernetes.node up

node-down: packages-dev ## end it and remove what it left
	@$(BIN)/python -m tests.kubernetes.node down

mutants: packages-dev ## change the kernel and the validation one place at a time; SAMPLE=60 of each, MODULES="walk metrics"
	$(BIN)/python -m tests.mutation --sample $(SAMPLE) $(if $(MODULES),--module $(MODULES))

coverage: packages-dev ## lines and branches that the unit tests run, compiled code left out
	$(BIN)/python -m coverage run -m pytest -q $(addprefix tests/unit/,backtest strategies discovery validation)
	$(BIN)/python -m coverage report --skip-covered

benchmarks: packages-dev ## every benchmark; CANDLES=PATH names the candles of the backtest
	$(BIN)/python -m benchmarks.backtest $(if $(CANDLES),--candles "$(CANDLES)")
	$(BIN)/python -m benchmarks.discovery
	$(BIN)/python -m benchmarks.requests
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.serve
	$(BIN)/python -m benchmarks.edges

docs: packages ## write docs/strategies.md and its charts from the catalogue
	$(BIN)/python -m alpharay.documents docs

# Hashes for every platform and Python, and no registry's address.
COMPILE = $(if $(shell command -v uv),uv,.venv/uv/bin/uv) pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra build

lock: packages-dev ## pin the newest packages that pyproject.toml allows
	$(COMPILE) --upgrade -o requirements.lock
	$(COMPILE) --upgrade --extra dev -c requirements.lock -o requirements-dev.lock

packages:
	@sh cluster/local/set-up.sh requirements.lock

packages-dev:
	@sh cluster/local/set-up.sh requirements-dev.lock
