# Two commands from a fresh clone: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help install demo test check format clean soak
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: $(STAMP)  ## a virtual environment with everything at its pinned version

# Compiled at the end, on all cores, so that no process has to where bytecode may not be written.
# A file for a later Python does not compile; nobody imports it.
# torch first: its build (CPU or GPU) is the one choice that is yours, by pip's own settings.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt torch
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --no-build-isolation --editable . --group dev
	@$(BIN)/python -m ray_apps.text_generation.install
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $(STAMP)

demo: $(STAMP)  ## the whole loop on real data, with a report at the end (ARGS="--users 500 --keep")
	$(BIN)/reaseq demo $(ARGS)

# Unit tests in several processes, those of contracts in two, each with a broker and a Redis of its
# own; the others start whole systems and have the machine to themselves.
test: $(STAMP)  ## all tests (or some: ARGS="tests/unit/streams")
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest tests/unit -n logical --maxprocesses 4
	$(BIN)/python -m pytest tests/contract -n logical --maxprocesses 2 --dist loadfile
	$(BIN)/python -m pytest tests/integration
endif

soak: $(STAMP)  ## kill everything at random while events come in, and compare (ARGS="--kills 5 --events 100000")
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-%: $(STAMP)  ## a benchmark by name, e.g. bench-prequential (see benchmarks/README.md)
	$(BIN)/python -m benchmarks.$(subst -,_,$*) $(ARGS)

check: $(STAMP)  ## style, layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)  ## fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and everything built or kept here
	rm -rf $(VENV) .reaseq build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
