# Every target sets up what it needs in .venv; nothing has to be installed by hand.
#   make demo        distil the embedded teacher through the gateway into a small student; report in runs/demo/
#   make test        lint, types, import contracts, tests (under ten minutes on two cores)
#   make test-slow   the tests that need the embedded model or minutes
#   make compiled    the gateway's hot path compiled by mypyc into build/compiled, and its tests on that (needs a C compiler)
#   make fuzz        every parser against random bytes with coverage feedback, two minutes (Linux)
#   make bench       the benchmarks in their short form; half an hour, peers installed included
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Waiting threads that spin halve the speed of a busy machine.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-slow compiled bench fuzz format clean

demo: $(VENV)/.demo
	$(BIN)/spiritsafe demo --out runs/demo

test: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

test-slow: $(VENV)/.dev
	$(BIN)/spiritsafe models get smollm2-135m
	$(BIN)/pytest -m slow --timeout 900

compiled: $(VENV)/.dev
	rm -rf build/compiled build/source && mkdir -p build/source
	cp -r pyproject.toml README.md LICENSE src build/source  # compiled files are left beside their sources
	HATCH_BUILD_HOOKS_ENABLE=1 $(PIP) --no-deps --target build/compiled build/source
	PYTHONPATH=build/compiled $(BIN)/pytest tests/wire tests/guard/gateway tests/guard/log tests/test_fuzz.py

bench: $(VENV)/.dev
	for name in collect train curate million gateway; do $(BIN)/python benchmarks/$$name.py --quick || exit 1; done

fuzz: $(VENV)/.dev
	$(PIP) --editable '.[fuzz]'
	$(BIN)/python fuzz/run.py --seconds 120

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch comes first and pinned: asked for by itself, pip takes a CPU build where one is at hand.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) torch
	touch $@

$(VENV)/.demo: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.demo
