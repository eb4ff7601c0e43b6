# What people and scripts call; see CONTRIBUTING.md.
# PORT (8000) and WHITTLE_HOME (.whittle) are taken from the environment or the command line.
PORT ?= 8000
WHITTLE_HOME ?= $(CURDIR)/.whittle
export PORT WHITTLE_HOME
ifdef EXTRAS
export EXTRAS
endif
ifdef PYTHON
export PYTHON
endif
PY := $(CURDIR)/.venv/bin/python
INSTALL := @sh workers/services/install.sh
.DEFAULT_GOAL := help
.PHONY: help run stop install test soak bench lint format lock

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: ## install what is missing, start everything, print the address and a login; Ctrl-C stops it
	$(INSTALL) run
	@exec $(PY) -m workers.supervisor

stop: ## end a copy that runs in the background, and servers that commands started
	@exec $(PY) -m workers.supervisor stop

install: ## only install
	$(INSTALL) all

test: ## install what is missing, run every test
	$(INSTALL) test
	@exec $(PY) -m tests.run unit services e2e

soak: ## the long forms of the fault, fuzz and load tests
	$(INSTALL) test
	@exec $(PY) -m tests.run soak

bench: ## run benchmarks/NAME (make bench NAME=x); the last line is JSON
	@test -n "$(NAME)" || { echo "which one? make bench NAME=x; there are:" >&2; \
	  ls benchmarks | sed -n 's/^\([a-z][a-z0-9_]*\)\.py$$/  \1/p' >&2; exit 2; }
	$(INSTALL) run >&2
	@exec $(PY) -m benchmarks.$(NAME)

lint: ## style, types, and which module may import which
	$(INSTALL) test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy curation reviews workers
	.venv/bin/lint-imports

format: ## apply the style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: ## write requirements.lock from what .venv holds
	$(PY) workers/services/lock.py write
