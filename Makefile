# `make demo` runs the main job, `make test` is what CI runs; each sets up all it needs.
#
# Needs python3 (3.11 or newer) with pip, and make. A C compiler builds the kernel; without one the
# NumPy evaluator gives the same bits, slower.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
SHELL   = /bin/bash
.SHELLFLAGS = -eu -o pipefail -c

# A machine that forbids Python to keep compiled modules would compile the learners anew in every process:
# with that, importing LightGBM and scikit-learn takes twice as long. Here they may be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types imports unit wheel docs reference soak bench clean help

help:
	@echo "make demo   train, prove, serve, watch and retrain a detector on real events (under 2 minutes)"
	@echo "make test   everything CI runs      make soak   the long forms      make bench   the benchmarks"

demo: $(VENV)/.train
	@$(BIN)/baluarte demo $(ARGS)

test: lint types imports unit wheel docs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not soak"

soak: $(VENV)/.dev
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/fuzz.txt || \
	  echo "  atheris can't be installed here: the format is not fuzzed."
	$(BIN)/python -m pytest -n 2 -m soak

wheel: $(VENV)/.dev
	$(BIN)/python tests/wheel_check.py

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --quiet --strict --site-dir site

reference: $(VENV)/.dev
	$(BIN)/python -m baluarte.apps.reference docs/reference
	$(BIN)/python tests/house/threats_page.py docs/reference

bench: $(VENV)/.dev
	for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python $$each; done

clean:
	rm -rf $(VENV) build dist site demo src/*.egg-info src/baluarte/core/_*.so src/baluarte/core/program/_kernel*.so

# --- environments -----------------------------------------------------------------------------------
# Debian's python3 has no ensurepip without python3-venv: then the venv is made without pip and the
# machine's own pip fills it. uv installs the hashed locks when it can be had, pip otherwise.

$(BIN)/python:
	@echo "  Setting up in $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python3 is $$($(PYTHON) -V): Baluarte needs 3.11 or newer (make demo PYTHON=python3.12)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || \
	  { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV); }

define install # $(1): lock file
	@start=$$(date +%s); \
	pip() { if $(BIN)/python -m pip --version >/dev/null 2>&1; then $(BIN)/python -m pip "$$@"; \
	        else $(PYTHON) -m pip --python $(BIN)/python "$$@"; fi; }; \
	export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore; \
	$(BIN)/uv --version >/dev/null 2>&1 || pip install --quiet --require-hashes -r requirements/uv.txt || true; \
	if $(BIN)/uv --version >/dev/null 2>&1 && \
	   $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1); then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  pip install --quiet --require-hashes -r $(1); \
	  pip install --quiet --no-deps --no-build-isolation -e .; \
	fi; \
	$(BIN)/python -c 'import baluarte.core.program._kernel' 2>/dev/null || \
	  echo "  The kernel was not built (no C compiler?): the NumPy evaluator gives the same bits, slower."; \
	echo "  Setting up … $$(( $$(date +%s) - start )) s"
	@touch $@
endef

$(VENV)/.train: requirements/train.txt pyproject.toml $(wildcard src/baluarte/core/*.[ch] src/baluarte/core/program/*.[ch]) | $(BIN)/python
	$(call install,requirements/train.txt)

$(VENV)/.dev: requirements/dev.txt pyproject.toml $(wildcard src/baluarte/core/*.[ch] src/baluarte/core/program/*.[ch]) | $(BIN)/python
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.train
