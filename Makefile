# Tallystick. Every target sets up what it needs; `make run` and `make test` are all that a fresh clone wants.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CASES  ?= ../shared/conformance
SEEDS  ?= 5
STEPS  ?= 40
CALLS  ?= 20000
EXAMPLES ?= 100
CASES_OF ?= 50000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup run test lint fmt lock bench conformance opponent machine webhook-orders test-citus provider-faults fuzz-webhooks clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tallystick needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment: install python3-venv"; exit 1; }
	$(BIN)/pip install -q --require-hashes -r requirements.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## install everything into .venv

run: $(READY) ## the main job: three months of a reseller business, counted, limited and billed
	@$(BIN)/tally demo

lint: $(READY) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint ## everything that has to hold, on a real PostgreSQL
	$(BIN)/pytest -n auto --dist worksteal

conformance: $(READY) ## other systems' test cases, played against the domain (CASES=DIR)
	$(BIN)/python -m tests.conformance $(CASES)

opponent: $(READY) ## random months, calm and rough: kills, twins, re-imports, odd zones (SEEDS=5 STEPS=40)
	$(BIN)/python -m tests.scenario.opponent $(SEEDS) $(STEPS)

machine: $(READY) ## a business played by Hypothesis: payments, refunds, disputes, bank files, kills (EXAMPLES=100)
	MACHINE_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/scenario/test_business_machine.py

webhook-orders: $(READY) ## all orders of the webhooks of each flow, each twice
	ALL_ORDERS=1 $(BIN)/pytest tests/providers/test_orders_of_webhooks.py

test-citus: $(READY) ## the store, projections and runs on the Citus cluster that CITUS_DSN names (docs/citus.md)
	@$(BIN)/pytest -rs tests/store/test_on_citus.py || test $$? -eq 5

provider-faults: $(READY) ## calls to Stripe and PayPal through a bad network: nobody is charged or refunded twice (CALLS=20000)
	$(BIN)/python -m tests.providers.faults $(CALLS)

fuzz-webhooks: $(READY) ## genuine webhooks with one thing changed: none accepted, no server error (CASES_OF=50000)
	$(BIN)/python -W error -m tests.providers.fuzz_webhooks $(CASES_OF)

bench: $(READY) ## every figure beside a floor of the same run; names and options: python -m bench --help
	$(BIN)/python -m bench

fmt: $(READY) ## format and mend what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## compile requirements.txt again from pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe \
		--extra dev --extra parquet -o requirements.txt pyproject.toml

clean: ## remove the virtual environment and the demo's data
	rm -rf $(VENV) .tally
