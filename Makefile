# IoTSense's verbs. Each brings what it needs on a machine with Python 3.11 and make, and is quick when nothing changed.
# ARGS passes options through: make demo ARGS="--for 20s", make test ARGS="tests/test_mqtt.py -k tls". Tests run in WORKERS processes,
# a file of tests in one of them; 0 is for a debugger.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV   ?= .venv
ARGS   ?=
WORKERS ?= 3
PY     := $(VENV)/bin/python
ROOMS  := twin ingest analytics graphql rest sim

# A stamp holds for one pyproject.toml in one place: a changed dependency or a moved checkout installs anew.
KEY    := $(shell { pwd; cat pyproject.toml; } | cksum | cut -d' ' -f1)
ready   = $(VENV)/.ready-$(1)-$(KEY)

.PHONY: help demo test bench crash-test lint sbom services links clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      a bottling line comes alive: page, REST, GraphQL    (ARGS=\"--for 20s --speed 10 --seed 7\")"
	@echo "make test      every test, against real servers                    (ARGS=\"tests/test_mqtt.py -x\")"
	@echo "make bench     the figures of the README, measured here            (ARGS=\"mqtt http\")"
	@echo "make crash-test  kills and breaks the service and what is around it  (ARGS=\"service --rounds 3\")"
	@echo "make lint      ruff, its formatter, mypy strict"
	@echo "make sbom      the bill of materials of what is installed: build/sbom.json (CycloneDX)"
	@echo "make services  installs the servers that tests use"
	@echo "make links     the link tree through which mypy finds the package"
	@echo "make clean     removes what the other verbs made here, the virtual environment included"

demo: $(call ready,demo)
	@$(PY) -m iotsense demo $(ARGS)

test: $(call ready,test) services
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

bench: $(call ready,test) services
	@$(PY) benchmarks/run.py $(ARGS)

crash-test: $(call ready,test) services
	@$(PY) benchmarks/crash_test.py $(ARGS)

lint: $(call ready,lint) links
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

sbom: $(call ready,test)
	@$(PY) scripts/sbom.py build/sbom.json

# A server that cannot be had is no reason to run no test: pytest says loudly what it left out, and fails under CI=true.
services:
	@scripts/services.sh || [ "$(MAKECMDGOALS)" != services ]

links:
	@mkdir -p .links/iotsense
	@find .links/iotsense -xtype l -delete
	@for name in $(ROOMS) *.py py.typed; do ln -sfn "../../$$name" ".links/iotsense/$$name"; done

clean:
	rm -rf $(VENV) .links build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(call ready,demo):
	@PYTHON="$(PYTHON)" scripts/install.sh $(VENV) demo $@

# What tests need includes what the demo needs, and what lint needs includes both.
$(call ready,test):
	@PYTHON="$(PYTHON)" scripts/install.sh $(VENV) all,test $@ $(call ready,demo)

$(call ready,lint):
	@PYTHON="$(PYTHON)" scripts/install.sh $(VENV) all,test,lint $@ $(call ready,test) $(call ready,demo)
