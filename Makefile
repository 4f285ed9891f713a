# make run      sets up and serves the seeds on http://127.0.0.1:8080
# make test     sets up and runs the tests
# make quality  scores cleaning: what it leaves in, what it takes out
# make lint     everything that is checked without running it

# The first one that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PYTEST := pytest

# Dumps with labels beside this folder, where they are there; CORPUS=dir LABELS=file for others.
CORPUS ?= ../shared/corpus
LABELS ?= ../shared/quality/labels.toml

.PHONY: run test quality lint cover lowest lock clean

run: $(VENV)/.run
	$(BIN)/feedsvc run

test: $(VENV)/.test
	$(BIN)/$(PYTEST)

quality: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m quality tests/quality/corpus tests/quality/labels.toml
	if [ -d "$(CORPUS)" ]; then \
		PYTHONPATH=tests $(BIN)/python -m quality "$(CORPUS)" "$(LABELS)" --gates; \
	else \
		echo "no labelled dumps in $(CORPUS); name some with: make quality CORPUS=dir LABELS=file"; \
	fi

cover: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests with the lowest versions that pyproject.toml allows, in an environment of their own; watchdog's lowest is
# the locked one, so its tests are left out.
lowest: constraints-lowest.txt
	rm -rf $(VENV)-lowest
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt \
		--editable '.[test]'
	$(VENV)-lowest/bin/pytest --quiet --numprocesses auto --ignore tests/e2e --ignore tests/test_watch.py
	rm -rf $(VENV)-lowest

# The lock is remade from pyproject.toml's lower bounds with uv.
lock:
	uv pip compile --universal --all-extras --no-annotate --no-emit-package feedsvc --upgrade \
		--python-version 3.11 --output-file constraints.txt pyproject.toml
	uv pip compile --universal --extra test --no-annotate --no-emit-package feedsvc --resolution lowest-direct \
		--python-version 3.11 --output-file constraints-lowest.txt pyproject.toml

clean:
	rm -rf $(VENV) $(VENV)-lowest var

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "feedsvc needs Python 3.11 or newer; name one with: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# One stamp an installation: nothing is installed again until what it depends on changes.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.test $(VENV)/.run
