# Each target sets up everything it needs in .venv (Python >= 3.11).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= results

# Two workers; each file is tested by one of them, so that its fixtures are made once (conftest.py
# says what goes first). Compiled modules are kept, whatever the environment says: tests start
# dozens of processes.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:benchmark -n 2 --dist loadfile

.PHONY: reproduce test check lowest lint interop-tools interop site notebooks benchmark clean

$(VENV)/run.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[fast]" || \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e .  # no numba: slower
	$(BIN)/python -m histnu.inference.compile_fits
	touch $@

$(VENV)/test.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/run.stamp

## make reproduce: all of the paper into $(OUT)
reproduce: $(VENV)/run.stamp
	$(BIN)/histnu reproduce -o $(OUT)

# Compiled by two processes beforehand, not in the tests that need it
$(VENV)/compiled.stamp: $(VENV)/test.stamp $(wildcard histnu/inference/engine/*.py)
	$(BIN)/python -m histnu.inference.compile_fits
	touch $@

## make test: all tests (four to six minutes on two cores)
test: $(VENV)/compiled.stamp
	$(PYTEST)

## make check: the quick tests (about a minute on two cores)
check: $(VENV)/test.stamp
	$(PYTEST) -m 'not slow'

## make lowest: the quick tests with the lowest versions that pyproject.toml declares
.venv-lowest/stamp: pyproject.toml scripts/lowest_versions.py
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) scripts/lowest_versions.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
	    -c .venv-lowest/constraints.txt -e '.[test]'
	touch $@

# Left out: images, which older matplotlib draws with other pixels; schemas, which older pydantic
# words otherwise; versions of the browser's packages.
NOT_LOWEST := --ignore=tests/plotting/test_figures.py \
    --deselect=tests/studies/test_studies.py::test_shipped_schemas_are_those_of_the_types \
    --deselect=tests/test_docs.py::test_packages_of_the_browser_are_shipped_or_pure

lowest: .venv-lowest/stamp
	$(PYTEST:$(BIN)/%=.venv-lowest/bin/%) -m 'not slow' $(NOT_LOWEST)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## make interop: our likelihoods in other people's tools (1.2 GB of wheels), each in its environment
# A tool that cannot be installed here is named, and only its own tests are skipped.
INTEROP := .venv-interop
define tool
	@rm -rf $(INTEROP)/$(1)
	@if $(PYTHON) -m venv $(INTEROP)/$(1) && $(INTEROP)/$(1)/bin/python -m pip install --quiet \
	    --disable-pip-version-check 'pyhf[xmlio,minuit]>=0.7.6,<0.8' $(2); \
	then touch $(INTEROP)/$(1)/stamp; \
	else echo "interop: $(1) could not be installed here; its tests are skipped"; fi
endef
# HISTNU_TOOL_PYTHON=interpreter of a tool that is there
there = $(shell test -e $(INTEROP)/$(1)/stamp && echo HISTNU_$(2)_PYTHON=$(CURDIR)/$(INTEROP)/$(1)/bin/python)

interop-tools:
	$(call tool,cabinetry,cabinetry==0.6.0)
	$(call tool,spey,spey==0.2.7 spey-pyhf==0.2.2)
	$(call tool,pyhs3,pyhs3==0.4.2)
	$(call tool,root,root==0.1a12)

interop: $(VENV)/test.stamp interop-tools
	OMP_NUM_THREADS=1 $(call there,cabinetry,CABINETRY) $(call there,spey,SPEY) \
	$(call there,pyhs3,PYHS3) $(call there,root,ROOT) $(BIN)/python -m pytest tests/interop

## make site: the documentation in site/html, everything in it executed; a warning is an error
$(VENV)/site.stamp: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

# Two processes read pages. The notebook for the browser gets the wheel and a likelihood.
SITE_JOBS ?= 2
LITE := --apps lab --apps notebooks --no-sourcemaps --contents $(CURDIR)/site/lite \
    --output-dir $(CURDIR)/site/html/lite --lite-dir site --piplite-wheels $(CURDIR)/site/wheel

site: $(VENV)/site.stamp
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -j $(SITE_JOBS) -b html docs site/html
	rm -rf site/lite site/wheel && mkdir -p site/lite/likelihood
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    -w site/wheel .
	cp notebooks/browser/compute.ipynb site/lite
	cp workspaces/magnetic_moment_xenonnt/*.json site/lite/likelihood
	$(BIN)/jupyter lite build $(LITE) > site/lite.log 2>&1 || (cat site/lite.log; false)
	rm -f .jupyterlite.doit.db
	$(BIN)/python scripts/check_site.py site/html
	HISTNU_SITE=site/html $(BIN)/python -m pytest -q -p no:benchmark \
	    tests/test_docs.py tests/test_notebooks.py -k "site or browser"

## make notebooks: install what the notebooks need, and open them
notebooks: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[notebooks]'
	$(BIN)/jupyter lab notebooks

benchmark: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/benchmarks --benchmark-only -o addopts=""

clean:
	rm -rf $(VENV) .venv-lowest $(INTEROP) $(OUT) site docs/_generated .pytest_cache .mypy_cache .ruff_cache
