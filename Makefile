# The two that matter: `make demo` and `make test`. Both set up what they need and are quick the second time.
.DEFAULT_GOAL := help
export VENV ?= .venv
PYTHON := $(VENV)/bin/python
export PYTHONPATH := agent:.
export PYTHONDONTWRITEBYTECODE := 1
export RUNTIME ?= own
# The stock runtime is this machine's Python, so what it freezes is for this machine only.
ARCHES ?= $(if $(filter stock,$(RUNTIME)),amd64,amd64 arm64)
export ARCHES

.PHONY: arm64 selinux fleet help setup demo test busy lint faults simulation mutants bench freeze runtime runtime-profile runtime-lock newer packages repos release verify roots hosts peers reference requirements clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(VENV)/.ready ## system packages (when root), virtual environment, pinned tools

$(VENV)/.ready: ci/setup.sh ci/system-packages.sh ci/packages.txt ci/requirements.txt
	@ci/setup.sh $(VENV)
	@touch $@

demo: setup ## the main job, start to end, against a local Events API
	@$(PYTHON) -m tests.support.demo

# A test that hangs is ended, with its process, and named: without this, CI ends with nothing but its own time.
HANGING := --timeout 600 --timeout-method thread
# A machine may stall beside any test. One that fails is run once more, and the summary names it: `make busy` has no such mercy.
AGAIN := --reruns 1 -rfEsR $(HANGING)

test: lint ## every test but the slow peers, those of the packages on hosts included (as root)
	@$(PYTHON) -m pytest --numprocesses 8 $(AGAIN) tests/unit tests/integration tests/simulation
	@$(MAKE) --no-print-directory repos
	@$(PYTHON) -m pytest --numprocesses 2 $(AGAIN) tests/package
	@$(PYTHON) -m pytest --numprocesses 8 $(AGAIN) tests/faults
	@VENV=$(VENV) ci/hosts/run.sh $(AGAIN)

busy: freeze ## the tests that need no host, three times beside six busy loops, and once in eight processes: none may mind
	@for time in first second third; do \
		echo "beside six busy loops, for the $$time time"; \
		ci/busy.sh $(PYTHON) -m pytest --numprocesses 4 $(HANGING) tests/unit tests/integration tests/simulation tests/faults || exit; done
	@$(PYTHON) -m pytest --numprocesses 8 $(HANGING) tests/unit tests/integration tests/simulation tests/faults

lint: setup ## ruff, mypy --strict, the arrows between rooms, shellcheck
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo --no-cache
	@git ls-files -z | xargs -0 awk 'FNR == 1 && /^#!.*sh$$/ { print FILENAME }' | xargs shellcheck

faults: freeze ## every fault of tests/faults, not the choice that `make test` has; prints a table of what they did
	@$(PYTHON) -m pytest --numprocesses 4 --long tests/faults

simulation: setup ## 20,000 days of the whole daemon, each by its seed, and whether they find faults put in on purpose
	@$(PYTHON) -m tests.simulation 1-20000
	@$(PYTHON) -m pytest --long tests/simulation

mutants: setup ## what keeps the promises, changed in one place at a time: the tests have to notice (more than an hour)
	@$(VENV)/bin/pip install -q --disable-pip-version-check -r ci/requirements-mutants.txt
	@$(PYTHON) -m tests.mutants

bench: setup ## speed, as ratios against a reference in the same run
	@$(PYTHON) -m benchmarks

runtime: setup ## OpenSSL and CPython for the program, from Debian's sources (half an hour, then cached)
	@for arch in $(ARCHES); do ARCH=$$arch ci/runtime/build.sh || exit; done

runtime-profile: setup ## learn anew where the program spends its time, for the runtime's compiler
	@ci/runtime/profile.sh

runtime-lock: setup ## record the newest sources and hashes for the runtime
	@ci/runtime/lock.sh

newer: ## what Debian has newer than the runtime's sources; fails when a fix that we need can be had, or nothing is known of it
	@mkdir -p build
	@ci/runtime/newer.sh build/changelogs >build/newer
	@cat build/newer
	@python3 ci/release/vulnerabilities.py gate <build/newer

freeze: setup ## the agent as one program, in build/freeze and build/freeze-arm64 (RUNTIME=stock: on this machine's Python)
	@for arch in $(ARCHES); do ARCH=$$arch ci/freeze/freeze.sh || exit; done

packages: freeze ## dist/*.deb and dist/*.rpm
	@VENV=$(VENV) ci/packages.sh dist

repos: packages ## signed apt and yum repositories in dist/repo
	@PATH="$(abspath $(VENV)/bin):$$PATH" ci/repos.sh dist dist/repo

release: newer repos ## packages, repositories and notes in dist/; not while a fix that we need can be had
	@RUNTIME_WORK=$(abspath build/sources) ci/runtime/fetch.sh
	@ci/release/notes.sh <build/newer >dist/release-notes.md
	@echo "release: dist/repo, and dist/release-notes.md to publish with it"

verify: setup ## PACKAGE=FILE: make a released package again from what it says it was made from, and compare
	@$(PYTHON) ci/release/verify.py "$(PACKAGE)"

roots: setup ## the packages made in two root file systems, Debian 12 and 13, are the same (as root; minutes)
	@VENV=$(VENV) ci/release/roots.sh

hosts: repos ## the packages on hosts with a real init, and Nagios on one, in containers (as root)
	@VENV=$(VENV) ci/hosts/run.sh

arm64: packages ## the packages' life in an arm64 Debian, and one that boots; an emulator runs them (as root; minutes)
	@ci/system-packages.sh ci/packages-machines.txt
	@$(PYTHON) -m pytest tests/arm64

selinux: packages ## the policy of pdagent-selinux, under a kernel that enforces it; an emulator runs it (as root; minutes)
	@ci/system-packages.sh ci/packages-machines.txt
	@$(PYTHON) -m pytest tests/selinux

peers: repos ## Nagios, Icinga 2 and Zabbix themselves, paging through the packages; what OpenSCAP and lynis find (as root)
	@HOSTS= PEERS='nagios icinga zabbix hardened' VENV=$(VENV) ci/hosts/run.sh

reference: setup ## docs/commands.md and docs/configuration.md, from the agent itself
	@$(PYTHON) ci/reference.py docs

fleet: repos ## Ansible's role, cloud-init, Puppet's manifest and the container image, on hosts of their own (as root; minutes)
	@fleet=$$(ci/fleet.sh) && (cd packaging/ansible && PATH=$$fleet/bin:$$PATH ansible-lint --offline --profile production) && \
		PDAGENT_FLEET=$$fleet HOSTS='ansible-deb ansible-rpm' PEERS= VENV=$(VENV) \
		ci/hosts/run.sh -k 'test_ansible or test_cloud_init or test_container or test_puppet'

requirements: setup ## pin the newest development tools into ci/requirements.txt
	@ci/requirements.sh

clean: ## remove what was built
	rm -rf $(VENV) build dist
