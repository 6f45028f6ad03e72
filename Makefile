# `make bench` and `make test` work from a fresh clone: they make .venv where it is missing.

PYTHON ?= python3
VENV ?= .venv

# The pinned torch, handed to pip as it is, so that an index can be named with it. The default takes the build that
# your package index offers, on Linux usually the one for CUDA. Smaller, without a GPU: TORCH="torch==2.13.0+cpu" and
# the index that torch's installation page names for CPU builds, e.g. make bench TORCH="torch==2.13.0 --index-url ...".
TORCH ?= torch==2.13.0

# Processes of mypy and of pytest, each with one thread.
WORKERS ?= 2
PYTEST_FLAGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: bench test test-slow install format clean

bench: $(INSTALLED)
	$(BIN)/vmrbench run benchmarks.yaml
	$(BIN)/vmrbench report benchmarks.yaml

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers $(WORKERS)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not slow" $(PYTEST_FLAGS)

# What make test leaves out: real data, processes of their own, whole trainings.
test-slow: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m slow $(PYTEST_FLAGS)

install: $(INSTALLED)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# torch first: whatever comes later finds it there and does not pick another build.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
