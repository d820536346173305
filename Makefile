# The tasks of this project. A person types them, CI runs the same.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
TEST_VENV ?= .venv-test
SERVE_VENV ?= .venv-serve
export PYTHON
# What DVC reaches the store with: the extra that the address in .dvc/config needs; a folder and the web need none.
STORE := $(shell sed -nE 's/^[[:space:]]*url[[:space:]]*=[[:space:]]*(s3|gs|azure|ssh):.*/\1/p' .dvc/config 2>/dev/null | head -n 1)
RUN_LOCKS := requirements/run.txt requirements/data.txt $(STORE:%=requirements/%.txt)
# Bytecode is the largest lever on start-up: `dvc repro` takes four times as long without it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env env-test env-dask demo tour simulate pictures site test test-rest score check house chaos refusals backtest format lock lock-data clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

env: ## build the locked environment (.venv)
	@requirements/install.sh $(VENV) $(RUN_LOCKS)

env-test: env ## build the environment of checks and tests (.venv-test)
	@requirements/install.sh $(TEST_VENV) $(RUN_LOCKS) requirements/test.txt

env-dask: env ## build the environment of fits on a cluster (.venv-dask)
	@requirements/install.sh .venv-dask $(RUN_LOCKS) requirements/dask.txt

demo: env ## a team, five pushes, real flights: from a first model to a judged improvement, in two minutes
	@$(VENV)/bin/python scripts/demo.py

tour: env ## the demo and four chapters more: bad data, a person's word, releases, a rollback
	@$(VENV)/bin/python scripts/demo.py --all

DIR ?= simulation
MONTHS ?= 8
simulate: env ## a year in fast motion: months arrive, versions serve, outcomes come back (MONTHS=8 DIR=simulation)
	@requirements/install.sh $(SERVE_VENV) $(RUN_LOCKS) requirements/serve.txt
	@$(VENV)/bin/python scripts/simulate.py "$(DIR)" --months $(MONTHS) --serve $(SERVE_VENV)/bin/pushforward

pictures: env ## photograph the pages of ./demo for the README, in light and dark
	@$(VENV)/bin/python scripts/pictures.py

SITE ?= site
REPOSITORY ?=
site: env-test ## build the documentation into SITE=site (REPOSITORY=https://HOST/OWNER/NAME/blob/COMMIT: where its files are seen)
	@$(TEST_VENV)/bin/python docs/site/build.py $(SITE) --repository "$(REPOSITORY)"

SCORED = $(CURDIR)/.pytest_cache/score.jsonl
SCORED_REST = $(CURDIR)/.pytest_cache/score-rest.jsonl
test: export RECORD_SCORE = $(SCORED)
test: env-test ## run the tests that need no whole server or repository (two of three), and name the slowest
	@mkdir -p .pytest_cache; rm -f "$$RECORD_SCORE"
	@$(TEST_VENV)/bin/python -m pytest -n auto --dist worksteal --durations=10 --durations-min=2 -m "not slow and not whole"

test-rest: export RECORD_SCORE = $(SCORED_REST)
test-rest: env-test ## run the others, after make test; no row of the ML Test Score may be lost in both
	@mkdir -p .pytest_cache; rm -f "$$RECORD_SCORE"
	@$(TEST_VENV)/bin/python -m pytest -n auto --dist worksteal --durations=30 --durations-min=5 -m "slow or whole"
	@$(TEST_VENV)/bin/python -m tests.score --check $(SCORED)

score: export RECORD_SCORE = $(SCORED)
score: env-test ## run the tests that name a row of the ML Test Score, and write docs/ml-test-score.md
	@mkdir -p .pytest_cache; rm -f "$$RECORD_SCORE"
	@$(TEST_VENV)/bin/python -m pytest -q -n auto --dist worksteal -m ml_test_score || true
	@$(TEST_VENV)/bin/python -m tests.score

check: env-test ## formatting, lint, types, import contracts, workflow lint
	@$(TEST_VENV)/bin/ruff format --check -q .
	@$(TEST_VENV)/bin/ruff check -q .
	@$(TEST_VENV)/bin/mypy
	@PYTHONPATH=src $(TEST_VENV)/bin/lint-imports --no-logo
	@$(TEST_VENV)/bin/zizmor --offline -q --persona auditor .github
	@for file in .github/workflows/*.yml; do \
	  said=$$($(VENV)/bin/act --validate --strict -W "$$file" 2>&1) || { echo "$$file: $$said" >&2; exit 1; }; done

house: ## rooms, arrows between them, circles, and what has grown too long
	@$(PYTHON) scripts/house.py

SECONDS ?= 60
SEED ?= 7
chaos: env-test ## kill, fill and freeze a server under load, then check it (SECONDS=60 SEED=7)
	@$(TEST_VENV)/bin/python tests/chaos/chaos.py --seconds $(SECONDS) --seed $(SEED)

refusals: export RECORD_REFUSALS = $(CURDIR)/.pytest_cache/refusals.jsonl
refusals: env-test ## run the tests and write docs/refusals.md from what they were refused
	@mkdir -p .pytest_cache; rm -f "$$RECORD_REFUSALS"
	@UPDATE_GOLDEN=1 $(TEST_VENV)/bin/python -m pytest -q -n auto --dist worksteal --ignore=tests/test_refusals.py --ignore=tests/test_shape.py
	@$(TEST_VENV)/bin/python -m tests.refusals

backtest: env-test ## train on every earlier month, test on the next: April to December
	@$(TEST_VENV)/bin/python benchmarks/backtest.py

format: env-test ## format the code
	@$(TEST_VENV)/bin/ruff format -q .
	@$(TEST_VENV)/bin/ruff check -q --fix .

COMPILE = "$$(command -v uv || echo ../.tools/bin/uv)" pip compile -q --universal --python-version 3.11 \
  --generate-hashes --fork-strategy fewest --no-header --no-annotate --no-emit-index-url --no-emit-find-links
SAMPLE = ../src/pushforward/sample/new
lock: env ## compile requirements/*.in again
	@cd requirements; \
	  $(COMPILE) bootstrap.in -o bootstrap.txt; \
	  $(COMPILE) build.in -o build.txt; \
	  $(COMPILE) run.in -o run.txt; \
	  $(COMPILE) --no-deps data.in -o data.txt; \
	  $(COMPILE) serve.in -o serve.txt; \
	  $(COMPILE) test.in -o test.txt; \
	  for extra in s3 gs azure ssh tune dask; do $(COMPILE) $$extra.in -o $$extra.txt; done; \
	  $(COMPILE) -c run.txt -c test.txt $(SAMPLE)/requirements.in.in -o $(SAMPLE)/requirements.txt.in

lock-data: env ## run the example's pipeline; dvc.lock and metrics/ anew, to be committed
	@$(VENV)/bin/pushforward repro
	@git status --short -- dvc.lock metrics

clean: ## remove what make built
	@rm -rf .venv .venv-test .venv-serve .venv-dask .venv-conventional .tools demo simulation site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
