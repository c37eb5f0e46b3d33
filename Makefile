# Two commands are enough: `make run` and `make test`. Each does all set-up from a bare python3.
.DEFAULT_GOAL := help
.PHONY: help setup run test vm check format layers bench docs clean
SHELL := /bin/bash

UV := $(shell command -v uv || echo .venv-uv/bin/uv)
READY := .venv/.ready
BIN := .venv/bin
# Two workers: the suite is sized for two cores, and more would only make its timing tests wait.
PYTEST := $(BIN)/python -m pytest -q -rs -n 2 --dist loadgroup
# Real processes, kernels and clocks beside each other: what failed is tried once more by itself, and both are told.
ALONE := $(BIN)/python -m pytest -q -n 0 --last-failed --last-failed-no-failures none --maxfail 1

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv-uv/bin/uv:
	@python3 -m venv .venv-uv && .venv-uv/bin/python -m pip install -q --disable-pip-version-check uv

$(READY): pyproject.toml uv.lock hatch_build.py src/resile/contain/sandboxes/launcher.c | $(UV)
	@$(UV) sync --quiet --frozen --all-extras --python "$$(python3 -c 'import sys; print(sys.executable)')"
	@touch $@

setup: $(READY) ## Make the environment in .venv, nothing else

run: $(READY) ## Start the example system and its dashboard
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/resile up -c examples/agent_runtime/resile.toml

test: $(READY) ## Run the tests
	@$(PYTEST) tests || { [ $$? -eq 1 ] && echo "what failed beside others is tried once more alone:" && $(ALONE) tests; }

vm: $(READY) ## Run contained commands on pure cgroup v2, in an emulated machine
	@$(BIN)/python -m tests.vm

check: $(READY) ## Check format, lint, types and layers, then run the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-cache --no-logo 2>/dev/null || $(BIN)/lint-imports --no-cache
	@$(MAKE) --no-print-directory test

format: $(READY) ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .

layers: $(READY) ## Check the import contracts
	@$(BIN)/lint-imports --no-cache

bench: $(READY) ## Print each bar beside what was measured
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench

docs: $(READY) ## Build the documentation into docs/_build/html
	@$(BIN)/python -m sphinx -q -W -n -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean: ## Remove what make built
	rm -rf .venv .venv-uv docs/_build docs/reference/generated
