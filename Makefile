# `make demo` installs jaxae and trains the MNIST denoiser; `make test` installs it and runs the tests;
# `make docs` builds the documentation's site into site/.
# Nothing but Python >= 3.11 and make is needed. To choose: make test PYTHON=python3.12 VENV=.venv312 CONSTRAINTS=
PYTHON ?= python3
VENV ?= .venv
# the exact set of packages that the tests and the type checker ran with; empty takes the newest of each, and leaves
# the types unchecked, since packages change their annotations
CONSTRAINTS ?= constraints.txt
# torch is what the networks are checked against
TEST_EXTRAS ?= test,torch
# one more than the cores of a small machine: tests often wait for a command of their own
WORKERS ?= 3
PYTEST_ARGS ?=

PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.PHONY: demo test docs install lint clean

demo: install
	$(VENV)/bin/python -m jaxae.experiments.mnist_denoise

test: $(VENV)/bin/python
	$(PIP) --editable '.[$(TEST_EXTRAS)]'
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(if $(CONSTRAINTS),$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python --level error)
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

docs: $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	$(VENV)/bin/zensical build --strict

install: $(VENV)/bin/python
	$(PIP) --editable .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jaxae needs Python 3.11 or later: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build site *.egg-info
