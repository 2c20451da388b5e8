# How the service is run, checked and shipped. Everything works on a machine that has only Python 3.11 or newer.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install install-dev run serve test check bench drill smoke openapi format constraints clean

# The first Python that is new enough; `make PYTHON=/path/to/python run` names another one.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv/bin/python
SERVE := PYTHONPATH=backend $(VENV) -m salon_api.serve

help:
	@echo 'make run      a service for development on 127.0.0.1:8000 (PORT changes it)'
	@echo 'make serve    the production server: several processes, DATABASE_URL and REDIS_URL'
	@echo 'make test     the suite'
	@echo 'make check    format, lint, types, imports, migrations, documents, manifests'
	@echo 'make smoke URL=https://…   status, dashboard, metrics and a login of a running service'
	@echo 'make bench    cost and speed beside a floor'
	@echo 'make drill    faults on purpose, promises counted'
	@echo 'make openapi | format | constraints | clean'

install install-dev: install%: FORCE
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, and none is on the PATH (make PYTHON=/path/to/python …).' >&2; exit 1; }
	@$(PYTHON) scripts/install.py --for $(if $*,dev,runtime)
FORCE:

run: install
	@$(VENV) scripts/first_env.py
	@exec env $(SERVE) --development

serve: install
	@exec env $(SERVE)

test: install-dev
	@exec $(VENV) -m scripts.test $(ARGS)

check: install-dev
	@exec $(VENV) -m scripts.check $(ONLY)

bench: install-dev
	@cd backend && exec ../$(VENV) -m bench $(ARGS)

drill: install-dev
	@exec env PYTHONPATH=backend $(VENV) -m drill $(ARGS)

smoke:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed.' >&2; exit 1; }
	@test -n "$(URL)" || { echo 'Say which service: make smoke URL=https://login.example.com' >&2; exit 2; }
	@exec $(PYTHON) scripts/smoke.py "$(URL)"

openapi: install-dev
	@exec $(VENV) -m scripts.check --write-openapi

format: install-dev
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

constraints: install-dev
	@{ head -n 1 constraints.txt; .venv/bin/pip freeze | LC_ALL=C sort -f; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage backend/var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
