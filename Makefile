# `make run` and `make test` need nothing but Python 3.11 or newer (on Debian with python3-venv).

PYTHON ?= python3
BIN := .venv/bin
# Two test files at a time, but not over one SQL Server.
TOGETHER := $(if $(TEST_DATABASE_URL),,-n 2 --dist loadfile)

.PHONY: run test database openapi bench clean

# glibc would take the largest answer so far as the size from which on memory goes back to the system, and keep less
# than that for every thread: 25 MB each after a listing of 100,000 users.
run: export MALLOC_MMAP_THRESHOLD_ ?= 1048576
run: .venv/installed local.settings.json  ## serve the app on http://127.0.0.1:7071
	@exec $(BIN)/python -m devhost

test: .venv/installed  ## all that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/pytest $(TOGETHER) --cov --cov-report=term-missing:skip-covered

database: .venv/installed local.settings.json  ## apply sql/ to the database of DATABASE_URL
	@$(BIN)/python -m persistence

openapi: .venv/installed  ## write docs/openapi.json
	@PAN_HOLDER_CHECK=on $(BIN)/python -m devhost.openapi

bench: .venv/installed  ## measure this machine; benchmarks/README.md explains the numbers
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and the caches; databases and settings stay
	rm -rf .venv .venv-checkov* .venv-runtime .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

# The stamp is written last, so that an installation that was interrupted starts over.
.venv/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Rollbook needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

local.settings.json:
	cp local.settings.sample.json $@
