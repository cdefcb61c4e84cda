# Requires only make and Python 3.11 or newer (on Debian with python3-venv).

PYTHON ?= python3
# CI also runs the checks in a second environment: make check VENV=.venv-3.13 PYTHON=python3.13
VENV ?= .venv
BIN := $(VENV)/bin
# Test files in parallel, except on a SQL Server, which all tests share; more than a small machine has cores, because
# many tests wait; but each worker collects all of them, which takes seconds of a core. In the order of
# tests/conftest.py: by default files with few tests, the longest among them, are last.
WORKERS := 4
PYTEST = $(BIN)/pytest $(if $(TEST_DATABASE_URL),,-n $(WORKERS) --dist loadfile --no-loadscope-reorder)
# Images often set it. The tests start hundreds of processes, which would all compile the app again.
unexport PYTHONDONTWRITEBYTECODE
# Pins within their range are kept; make lock UPGRADE=--upgrade replaces all of them.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" $(UPGRADE)

define STATIC
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
endef

.DEFAULT_GOAL := help
.PHONY: help run check test lock database sql openapi bench clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# glibc raises this threshold to the size of the largest response so far, and each thread keeps smaller blocks instead of
# returning them to the system: 25 MB per thread after a listing of 100,000 users.
run: export MALLOC_MMAP_THRESHOLD_ ?= 1048576
run: $(VENV)/installed local.settings.json  ## serve the app on http://127.0.0.1:7071
	@exec $(BIN)/python -m devhost

check: WORKERS := 3
check: $(VENV)/installed  ## format, lint, types, imports, domain and API tests
	$(STATIC)
	$(PYTEST) -m "not slow" tests/api tests/domain tests/golden tests/tools tests/test_*.py

test: $(VENV)/installed  ## everything: also browser, ODBC driver, worker runtime and template; branch coverage
	$(STATIC)
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

lock: $(VENV)/installed  ## pin requirements*.in in requirements*.txt
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	$(LOCK) --constraints requirements-dev.txt requirements-tools.in -o requirements-tools.txt

database: $(VENV)/installed local.settings.json  ## migrate the database of DATABASE_URL
	@$(BIN)/python -m admin migrate

sql: $(VENV)/installed  ## write sql/ and heads.py from the migrations
	@$(BIN)/python -m persistence.migrations

openapi: $(VENV)/installed  ## write docs/openapi.json
	@PAN_HOLDER_CHECK=on $(BIN)/python -m devhost.openapi

bench: $(VENV)/installed  ## measure this machine; benchmarks/README.md explains the numbers
	$(BIN)/python -m benchmarks

clean:  ## remove the environments and the caches; databases and settings stay
	rm -rf .venv .venv-* .python_packages .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

# The stamp is written last, so that an interrupted installation starts over.
$(VENV)/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Rollbook needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	rm -rf $(VENV)  # of a symbolic link only the link
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

local.settings.json:
	cp local.settings.sample.json $@
