# Paradox: `make demo` and `make test` set up whatever they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CPP := $(shell find cython_ext/src cython_ext/include -name '*.[ch]pp')
NATIVE := setup.py pyproject.toml $(wildcard cython_ext/*.pyx) $(CPP)
# Two processes: one has all tests that start a Ray (tests/conftest.py).
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
PIP := HNSWLIB_NO_NATIVE=1 $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo build check format test test-fast test-all fuzz peers bench wheel clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.built: pyproject.toml constraints.txt $(NATIVE)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Paradox and what it needs into $(VENV), and building its native code (minutes the first time)"
	@$(PIP) -e '.[dev]'
	@touch $@

setup: $(VENV)/.built  ## create .venv, install everything, build the native code

build: setup  ## build the native code again if its sources changed

demo: setup  ## real documents in, real answers out, through Ray shards (KEEP=1 leaves it running)
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

check: export PATH := $(CURDIR)/$(BIN):$(PATH)
check: setup  ## formatting, lint, types, who may import whom, and that all tests load
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cython-lint cython_ext
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	@$(BIN)/pytest --collect-only -q >$(VENV)/collected.txt || (cat $(VENV)/collected.txt; exit 1)

format: setup  ## format Python and C++
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

test: setup  ## the tests, without the long forms
	$(PYTEST) -m 'not slow'

test-fast: setup  ## the tests that need no Ray
	$(BIN)/pytest -m 'not slow and not ray' -x

test-all: setup  ## the tests with their long forms
	$(PYTEST)

fuzz: setup  ## damaged index files under the sanitizers, 100,000 of a kind (RUNS=n: as many)
	PARADOX_FUZZ_RUNS=$(or $(RUNS),100000) $(BIN)/pytest -s tests/fuzz/test_fuzz_native.py

peers: setup  ## hnswlib compiled for this machine, for benchmarks
	@$(BIN)/python -m benchmarks.native || { \
		echo "compiling hnswlib for this machine"; \
		rm -rf $(VENV)/native; \
		env -u HNSWLIB_NO_NATIVE $(BIN)/pip install --quiet --disable-pip-version-check \
			-c constraints.txt --no-cache-dir --no-deps --no-binary hnswlib \
			--target $(VENV)/native hnswlib && \
		$(BIN)/python -m benchmarks.native --stamp || \
		echo "it could not be compiled: benchmarks take the one that runs anywhere"; }

bench: setup peers  ## every benchmark in its quick form (FULL=1: full runs into docs/results/)
	@for name in exact index filters updates routing_sim overhead; do \
		$(BIN)/python -m benchmarks.$$name $(if $(FULL),,--quick) || exit 1; \
	done

wheel: setup  ## a wheel in dist/, for cluster.yaml
	@$(BIN)/python -m build --wheel

clean:  ## remove what was built
	rm -rf build dist *.egg-info paradox/_native/*.so cython_ext/*.cpp
