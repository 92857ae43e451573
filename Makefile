# Each target sets up everything it needs in .venv (Python >= 3.11).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= results

.PHONY: reproduce test lint interop-tools interop benchmark clean

$(VENV)/run.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/run.stamp

## make reproduce: all of the paper into $(OUT)
reproduce: $(VENV)/run.stamp
	$(BIN)/histnu reproduce -o $(OUT)

## make test: all tests
test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## make interop: our likelihoods in other people's tools (1.2 GB of wheels in two environments)
interop-tools:
	test -x .venv-interop/bin/python || $(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --disable-pip-version-check \
	    'pyhf[xmlio,minuit]>=0.7.6,<0.8' cabinetry==0.6.0 spey==0.2.7 spey-pyhf==0.2.2 pyhs3==0.4.2
	test -x .venv-root/bin/python || $(PYTHON) -m venv .venv-root
	.venv-root/bin/python -m pip install --quiet --disable-pip-version-check root==0.1a12 'pyhf>=0.7.6,<0.8'

interop: $(VENV)/test.stamp interop-tools
	OMP_NUM_THREADS=1 HISTNU_CABINETRY_PYTHON=$(CURDIR)/.venv-interop/bin/python \
	HISTNU_SPEY_PYTHON=$(CURDIR)/.venv-interop/bin/python \
	HISTNU_PYHS3_PYTHON=$(CURDIR)/.venv-interop/bin/python \
	HISTNU_ROOT_PYTHON=$(CURDIR)/.venv-root/bin/python \
	$(BIN)/python -m pytest tests/interop

benchmark: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/benchmarks --benchmark-only -o addopts=""

clean:
	rm -rf $(VENV) .venv-interop .venv-root $(OUT) .pytest_cache .mypy_cache .ruff_cache
