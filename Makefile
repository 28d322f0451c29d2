# Every target sets up what it needs, from nothing; a second run is quick.
#   make demo                    from nothing to crates in ./crates
#   make test                    all tests that this machine can run; says what it skipped
#   make check                   lint, format, types, spelling, shell, YAML
#   make PYTHON=/path/to/python3.12 VENV=.venv-3.12 test      with another interpreter

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
VALIDATOR_VENV ?= .venv-validator
# The oldest release of Globus Compute that is supported; the newest one is in $(VENV).
OLDEST ?= 4.15.0
OLDEST_VENV ?= .venv-$(OLDEST)
BIN := $(VENV)/bin
JOBS ?= auto
CRATES ?= crates
ARGS ?=

export PYTHON
export PROV_WORKER_VALIDATOR ?= $(CURDIR)/$(VALIDATOR_VENV)/bin/python

.PHONY: help venv validator oldest demo test test-oldest check format bench clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

venv:
	@.ci/venv $(VENV) --editable '.[all]' --group dev

validator:
	@.ci/venv $(VALIDATOR_VENV) --group validator

oldest:
	@.ci/venv $(OLDEST_VENV) --editable '.[cli]' --group test 'globus-compute-endpoint==$(OLDEST)'

demo: venv
	@$(BIN)/prov-worker demo --crates $(CRATES) $(ARGS)

test: test-oldest venv validator
	@$(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

# What depends on Globus Compute's own interfaces, against the oldest release that is supported.
test-oldest: oldest
	@$(OLDEST_VENV)/bin/python -m pytest -q -n $(JOBS) tests/unit/globus tests/integration/test_engine.py

check: venv
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/yamllint --strict .
	@$(BIN)/shellcheck .ci/run .ci/venv $$(git ls-files '*.sh')
	@$(BIN)/codespell $$(git ls-files)
	@echo "check: nothing to say"

format: venv
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

bench: venv
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
