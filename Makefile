# Everything starts here: `make help` lists the targets. It needs a make (GNU Make 3.81 will do) and Python 3.11 or newer;
# all else goes into .venv. Name another Python as in `make test PYTHON=python3.13`.

VENV := .venv
IN   := $(VENV)/bin
# For the packages: pins, so that today's run can be had again; no compiler, no cache in the tree.
PIP  := $(IN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# The first Python here that is new enough; where there is none the rule for the virtual environment says so.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$p -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$p; break; fi; done)
endif

# Tests run on every core, those of one file together: servers and certificate chains are made once for each file.
WORKERS  := auto
SSLYZE   := $(VENV)/peers/sslyze
PYTEST   := $(IN)/python -m pytest
CORE     := mustaple/core
CERTS    := certtools
ifneq (,$(filter check,$(MAKECMDGOALS)))
COVERAGE := --cov --cov-report=
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check lint types format bench fuzz servers clients mutants outside soak-playground soak-agent soak-fleet clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.has-package ## soft fail against hard fail, as a table, on this machine alone
	@$(IN)/mustaple compare

test: $(VENV)/.has-test ## the tests, the ten slowest listed
	$(PYTEST) -p no:benchmark -n $(WORKERS) --dist loadfile --durations=10 $(COVERAGE) $(ARGS)

check: lint types test ## test, lint, types, and the coverage that the core and certtools must have
	@echo "branch coverage of $(CORE)"
	@$(IN)/coverage report --include='$(CORE)/*' --fail-under=95
	@echo "branch coverage of $(CERTS)"
	@$(IN)/coverage report --include='$(CERTS)/*' --fail-under=95

lint: $(VENV)/.has-check ## ruff, all its rules but those that pyproject.toml excuses, and the layout
	$(IN)/ruff check .
	$(IN)/ruff format --check --quiet .

types: $(VENV)/.has-check ## mypy, strict
	$(IN)/mypy

format: $(VENV)/.has-check ## lay the code out
	$(IN)/ruff format .

bench: $(VENV)/.has-test $(SSLYZE)/.made ## the speed table, as ratios measured in this run
	$(PYTEST) bench -s $(ARGS)

fuzz: $(VENV)/.has-test ## mutated handshakes for ten minutes, or as in make fuzz ARGS="--seconds 60 --seed 7"
	$(IN)/python tests/fuzz_handshakes.py --seconds 600 $(ARGS)

soak-playground: $(VENV)/.has-test ## two hundred clients of a playground for a minute, and what they leave behind
	$(IN)/python tests/soak_playground.py --seconds 60 --clients 200 $(ARGS)

soak-agent: $(VENV)/.has-test ## the staple agent: a simulated month, rounds of kill -9, and docs/agent-soak.md written anew
	$(IN)/python -m mustaple.lab.agent_soak --page docs/agent-soak.md $(ARGS)

soak-fleet: $(VENV)/.has-test ## agents that share a redis-server, their leader killed ten times, and docs/agent-fleet.md written anew
	$(IN)/python tests/soak_fleet.py --page docs/agent-fleet.md $(ARGS)

outside: $(VENV)/.has-test ## the corpus before other people's judges, and docs/outside.md written anew
	$(IN)/mustaple cases outside --known docs/divergences.toml --markdown >docs/outside.new
	mv docs/outside.new docs/outside.md

mutants: $(VENV)/.has-mutants ## change the judge, the policy and the wire format bit by bit: every change must fail a test
	$(IN)/python tests/mutants.py $(ARGS)

# Those that are here, from their distribution's packages; the page says which are missing, and `mustaple grade server
# --recipes` of which package each is. On Debian, all of them: apt-get install libfaketime nginx-light apache2 haproxy
# caddy lighttpd lighttpd-mod-openssl h2o hitch trafficserver gnutls-bin openssl openjdk-17-jdk-headless
servers: $(VENV)/.has-package ## how nginx, Apache, HAProxy and other servers staple, each a minute or so: docs/servers.md
	$(IN)/python -m mustaple.lab.grade_server.everything docs/servers.md build/servers $(ARGS)

# Graded one after the other, by the whole corpus; a client that deviates (exit 1) is what the page is about.
CLIENTS := curl curl-cert-status gnutls-cli java-default java-soft-fail java-hard-fail python-ssl firefox chromium
clients: $(VENV)/.has-package ## how curl, GnuTLS, Java, Python, Firefox and Chromium behave, by every case: docs/clients.md
	@mkdir -p build/clients
	@for name in $(CLIENTS); do echo "grading $$name"; $(IN)/mustaple grade client --recipe $$name --format json \
		--output build/clients/$$name.json $(ARGS) || test $$? -eq 1 || exit 1; done
	@$(IN)/python -m mustaple.report.grade_client_page $(CLIENTS:%=build/clients/%.json) >docs/clients.new
	@mv docs/clients.new docs/clients.md

clean: ## remove what tests, linters and builds left
	rm -rf build dist *.egg-info .coverage .coverage.* .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## and the virtual environment
	rm -rf $(VENV)

# Each stamp says that the package is there with one of its extras; it is installed anew only when the pins change.
$(VENV)/.has-package: pyproject.toml constraints.txt | $(IN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.has-test: pyproject.toml constraints.txt | $(IN)/python
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.has-package

$(VENV)/.has-check: pyproject.toml constraints.txt | $(IN)/python
	$(PIP) --editable '.[test,check]'
	@touch $@ $(VENV)/.has-test $(VENV)/.has-package

$(VENV)/.has-mutants: pyproject.toml constraints.txt | $(IN)/python
	$(PIP) --editable '.[test,mutants]'
	@touch $@ $(VENV)/.has-test $(VENV)/.has-package

# What is only compared with keeps its own dependencies to itself. Without it the bench skips that row, and says so.
$(SSLYZE)/.made: bench/sslyze.txt | $(VENV)/.has-test
	@$(IN)/python -m venv --clear --without-pip $(SSLYZE)
	@if $(IN)/python -m pip --disable-pip-version-check --python $(SSLYZE)/bin/python install --quiet --requirement $<; \
	then touch $@; else rm -rf $(SSLYZE); echo "sslyze cannot be installed here: nothing is compared with it." >&2; fi

# Debian splits venv's pip (ensurepip) from Python: without it the pip of the system fills the environment, if it is there.
$(IN)/python:
	@test -n "$(PYTHON)" || { echo "mustaple needs Python 3.11 or newer, and there is none here." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "mustaple needs Python 3.11 or newer; $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(IN)/python install --quiet pip; \
	else echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu:" \
		"sudo apt-get install python3-venv" >&2; exit 1; fi
