# The two that matter: `make demo` and `make test`. Both set up what they need and are quick the second time.
.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON := $(VENV)/bin/python
export PYTHONPATH := agent:.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup demo test lint bench packages repos requirements clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(VENV)/.ready ## system packages (when root), virtual environment, pinned tools

$(VENV)/.ready: ci/setup.sh ci/packages.txt ci/requirements.txt
	@ci/setup.sh $(VENV)
	@touch $@

demo: setup ## the main job, start to end, against a local Events API
	@$(PYTHON) -m tests.support.demo

packages: setup ## debs and rpms in dist, from the frozen program
	@VENV=$(VENV) ci/packages.sh dist

repos: setup ## signed apt and yum repositories in dist/repo, from the packages in dist
	@PATH="$(abspath $(VENV)/bin):$$PATH" ci/repos.sh dist dist/repo

test: setup lint ## every test
	@$(PYTHON) -m pytest

lint: setup ## ruff, mypy --strict, shellcheck
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@git ls-files -z | xargs -0 grep -lE '^#!/bin/(ba)?sh' -- | xargs shellcheck

bench: setup ## speed, as ratios against a reference in the same run
	@$(PYTHON) -m benchmarks

requirements: setup ## pin the newest development tools into ci/requirements.txt
	@ci/requirements.sh

clean: ## remove what was built
	rm -rf $(VENV) build dist
