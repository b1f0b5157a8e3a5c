# make demo   sets everything up and maps the demo scene
# make test   sets everything up and passes the checks and tests
.DEFAULT_GOAL := help
PAGE := tools/page
.PHONY: help setup demo test check lint lint-page tests site docs numerics format requirements build clean

PYTHON ?= python3
BIN := .venv/bin
# A uv on the path serves if it runs; else one is installed beside the project.
UV := $(if $(shell uv --version 2>/dev/null),uv,.uv/bin/uv)
export UV_NO_PROGRESS := 1

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.uv/bin/uv:
	$(PYTHON) -m venv .uv || $(PYTHON) -m pip install --quiet --target .uv uv
	test -x $@ || .uv/bin/pip install --quiet uv

.venv/.done: requirements.txt pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --allow-existing --python 3.12 .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.txt
	$(UV) pip install --quiet --no-deps --python $(BIN)/python -e .
	touch $@

setup: .venv/.done  ## install everything into .venv, hashes checked

demo: setup  ## map the demo scene into out/demo
	$(BIN)/s2s-map run workflows/demo.yaml
	@echo "Look into it: $(BIN)/s2s-map view out/demo"

test: setup check  ## set up, then all checks and tests

# Side by side: without its cache, mypy keeps one core busy for more than a minute.
check:  ## format, lint, types, import contract, docs, tests
	$(MAKE) --no-print-directory --jobs=2 lint site tests

lint:  ## format, lint, types, import contract, declared dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory lint-page

# The page needs no build step; Node only checks its types and format, and is not asked of anybody.
lint-page:  ## types and format of the map's page, where Node is installed
	@if ! command -v npm >/dev/null; then echo "the page is not checked: no Node (node, npm)"; else \
	  cd $(PAGE); cmp -s package-lock.json node_modules/.lock \
	    || { npm ci --silent && cp package-lock.json node_modules/.lock; } \
	    || { echo "the page is not checked: npm cannot fetch what checks it"; exit 0; }; \
	  npm run --silent check; fi

# On every core, one thread each. The tests of a file stay together and share its fixtures; long
# files come first, see tests/conftest.py.
PARALLEL ?= -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

tests:  ## tests on every core; PARALLEL= for one process
	$(BIN)/pytest $(PARALLEL)

docs: setup site  ## build the docs site into out/docs

# Whatever is wrong, a broken link for one, is an error. Nothing is fetched. Afresh, since pages that
# are kept would not be checked.
site:
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env \
	  -c docs -d out/.doctrees . out/docs

# How many rows of the table in tests/kernels.py; 12 hold every pair of its values.
ROWS ?= 4

numerics: setup  ## tests of what computes, under the kernels of other processors
	$(BIN)/python tests/kernels.py --rows $(ROWS)

format: setup  ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if [ -d $(PAGE)/node_modules ]; then cd $(PAGE) && npm run --silent format; fi

# All extras but cuda: RAPIDS ties dask-cuda to one older version of Dask.
EXTRAS := online view recordings train evaluate dashboard prefect

requirements: | $(filter .uv/bin/uv,$(UV))  ## lock the dependencies, without index addresses
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.12 $(EXTRAS:%=--extra %) --group dev pyproject.toml -o requirements.txt

build: setup  ## build the wheel into dist/
	$(UV) build --quiet --wheel

clean:  ## remove what the other targets made
	rm -rf .venv .uv dist out .mypy_cache .ruff_cache .pytest_cache $(PAGE)/node_modules .hypothesis .import_linter_cache
