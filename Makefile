# Headwater. `make demo` shows it, `make test` proves it; both set up all they need.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Containers often set it. Each of some hundred processes would then compile torch, numba, Flink's
# API and all else anew from their sources, and nothing would be kept for the next.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench drills savepoint audit clean lock install tools

help:            ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock requirements-understand.lock deploy/installer.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Headwater needs Python 3.11: install it or set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/installer.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements-understand.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --editable .
	@touch $@

install: $(READY) ## make the virtual environment from the lock file

demo: $(READY)   ## real events through real Kafka, Flink and Cassandra; one click; before and after
	$(BIN)/headwater demo

# Tests on the services that all share run one after the other and often wait. The rest run beside
# them, in what they leave of the machine; their report comes second. Before, while types are checked
# and services start, loops are compiled: both would else do so at once.
test: $(READY)   ## lint, types, unit, Flink and whole-path tests
	@mkdir -p .headwater
	@nice -n 10 $(BIN)/python -m tests.bench.stages --events 2000 --users 50 --items 100 \
	  > .headwater/compiled.log 2>&1 & compiled=$$!; \
	$(MAKE) --no-print-directory lint || exit 1; \
	(while kill -0 $$compiled 2>/dev/null; do sleep 1; done; \
	  exec nice -n 10 $(BIN)/pytest -m "not stack or apart") > .headwater/tests.log 2>&1 & others=$$!; \
	$(BIN)/pytest -m "stack and not apart"; stack=$$?; \
	wait $$others; others=$$?; cat .headwater/tests.log; \
	exit $$(( stack > others ? stack : others ))

lint: $(READY)   ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## throughput, freshness and cost on the real stack, as JSON
	$(BIN)/headwater bench

tools:           ## Prometheus, a browser to test its page, jemalloc, eatmydata: as root on Debian
	@command -v prometheus >/dev/null && command -v chromium >/dev/null && ls /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libeatmydata.so.1 >/dev/null 2>&1 || { \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus chromium libjemalloc2 libeatmydata1 >/dev/null; \
	} || echo "Without Prometheus and chromium, the tests that need them are left out."

drills: $(READY) ## kill and starve the real stack under load; nothing may be lost
	$(BIN)/headwater drill

savepoint: $(READY) ## at a release: keep its state for the tests of the next one
	$(BIN)/python -m tests.upgrade.make

lock: $(READY)   ## renew the two lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --extra evaluate --generate-hashes --no-header --no-emit-index-url --python-version 3.11 -o requirements.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --extra understand --constraints requirements.lock --generate-hashes --no-header --no-emit-index-url --python-version 3.11 -o requirements-understand.lock

audit: $(READY)  ## known vulnerabilities in the locked packages; needs a registry that tells them
	@for lock in requirements.lock requirements-understand.lock deploy/installer.lock; do \
	  $(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$lock || exit 1; \
	done

clean:           ## stop the local stack and remove everything this file made
	@[ ! -x $(BIN)/headwater ] || $(BIN)/headwater down --wipe
	rm -rf $(VENV) .headwater build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
