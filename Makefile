# make demo           the light package and the examples, marked in the terminal
# make serve          the service and its page, on this machine: http://127.0.0.1:8765
# make test           the tests, with everything that training needs; no corpora, no network
# make quick          those of them that take no more than two minutes together
# make test-corpora   the tests that read real corpora
# make coverage       all tests, and the share of lines and branches that they run, by module: half an hour
# make pythons        the quick tests under other versions of Python, each in an environment of its own
# make torture        runs that are killed, full disks, broken files, dead workers: half an hour
# make check          format, lint, types and import layers
# make docs           the documentation site, in site/
# make clean          remove the environment and what tools leave behind
#
# The environment is .venv; it is installed again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

TESTS := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal
# Where the real corpora are: make test-corpora BIOMARK_CORPORA=FOLDER
BIOMARK_CORPORA ?= ../shared/corpora

# The other versions of Python: make pythons PYTHONS="python3.13"
PYTHONS ?= python3.12 python3.13

.PHONY: demo serve test quick test-corpora coverage pythons torture check docs format clean

demo: $(VENV)/light.stamp
	$(BIN)/biomark annotate examples/abstracts.pubtator --to terminal

# SERVE="--port 9000" gives it options
serve: $(VENV)/serve.stamp
	$(BIN)/biomark serve $(SERVE)

test: $(VENV)/full.stamp
	$(TESTS) $(PYTEST)

quick: $(VENV)/full.stamp
	$(TESTS) -m 'not slow and not corpora and not long' $(PYTEST)

test-corpora: $(VENV)/full.stamp
	@test -d '$(BIOMARK_CORPORA)' || \
	  { echo "There are no corpora in $(BIOMARK_CORPORA); name their folder: make test-corpora BIOMARK_CORPORA=FOLDER"; exit 2; }
	BIOMARK_CORPORA='$(abspath $(BIOMARK_CORPORA))' $(TESTS) -m 'corpora and not slow' $(PYTEST)

coverage: $(VENV)/full.stamp
	$(TESTS) --cov --cov-report=term $(PYTEST)

# One version after the other, each by this Makefile with another environment
pythons:
	@set -e; for python in $(PYTHONS); do \
	  echo "$$python"; $(MAKE) --no-print-directory PYTHON="$$python" VENV=".venv-$$(basename "$$python")" quick; \
	done

torture: $(VENV)/full.stamp
	$(BIN)/python tests/torture/torture.py $(TORTURE)

check: $(VENV)/full.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs.stamp
	$(BIN)/mkdocs build --strict --quiet

format: $(VENV)/full.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-* .coverage .coverage.* build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "biomark needs Python 3.11 or newer; say which one with: make PYTHON=/path/to/python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv is not installed; on Debian and Ubuntu: sudo apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/light.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	touch $@

$(VENV)/serve.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[serve]'
	touch $(VENV)/light.stamp $@

# torch goes first and by its exact version, so that no other requirement chooses one of its builds.
$(VENV)/full.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) --editable '.[train,qlora,gguf,bench,test]'
	touch $(VENV)/light.stamp $(VENV)/serve.stamp $@

$(VENV)/docs.stamp: $(VENV)/light.stamp
	$(PIP) --editable '.[docs]'
	touch $@
