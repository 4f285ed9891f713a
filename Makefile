# make run      sets up and serves the seeds on http://127.0.0.1:8080
# make test     sets up and runs the tests; ARGS=... for pytest's options, such as ARGS=--shuffle
# make quick    runs those that take no time, within a minute
# make quality  scores cleaning: what it leaves in, what it takes out
# make lint     everything that is checked without running it

# The first one that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PYTEST ?= pytest
# Stores are flushed to disk at every commit, thousands of times in the tests: memory, if there is enough, does not make
# them wait.
MEMORY := $(shell [ -z "$$TMPDIR" ] && [ -w /dev/shm ] && [ "$$(df --output=avail /dev/shm | tail -n 1)" -gt 4000000 ] && \
	echo TMPDIR=/dev/shm)
# Most tests wait for something most of the time, so more of them run at once than there are processors.
WORKERS := $(shell echo $$(($$(nproc) * 2)))

# Dumps with labels beside this folder, where they are there; CORPUS=dir LABELS=file for others.
CORPUS ?= ../shared/corpus
LABELS ?= ../shared/quality/labels.toml

.PHONY: run test quick quality lint cover lowest audit lock clean

run: $(VENV)/.run
	$(BIN)/feedsvc run

# Tests that use up what all processes share, or measure time, come last, one after the other and on the disk; a machine
# may stall, so one of these that fails is tried once more. All run in any case.
test: $(VENV)/.test
	@failed=0; \
	$(MEMORY) $(BIN)/$(PYTEST) --numprocesses $(WORKERS) --dist loadgroup -m "not alone" $(ARGS) || failed=1; \
	$(BIN)/$(PYTEST) -m alone $(ARGS) || $(BIN)/$(PYTEST) -m alone --last-failed || failed=1; \
	exit $$failed

quick: $(VENV)/.test
	$(MEMORY) $(BIN)/pytest --quiet --numprocesses auto -m "not slow" --hypothesis-profile quick

quality: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m quality tests/quality/corpus tests/quality/labels.toml
	if [ -d "$(CORPUS)" ]; then \
		PYTHONPATH=tests $(BIN)/python -m quality "$(CORPUS)" "$(LABELS)" --gates; \
	else \
		echo "no labelled dumps in $(CORPUS); name some with: make quality CORPUS=dir LABELS=file"; \
	fi

cover: $(VENV)/.test
	rm -f .coverage .coverage.*
	$(MAKE) test PYTEST="coverage run -m pytest"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests with the lowest versions that pyproject.toml allows, in an environment of their own; watchdog's lowest is
# the locked one, so its tests are left out.
lowest: locks/lowest.txt
	rm -rf $(VENV)-lowest
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check --constraint locks/lowest.txt \
		--editable '.[test]'
	$(VENV)-lowest/bin/pytest --quiet --numprocesses auto --ignore tests/e2e --ignore tests/watch
	rm -rf $(VENV)-lowest

# Whether weaknesses are known of what a service has installed; asks PyPI.
audit:
	rm -rf $(VENV)-audit
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement locks/run.txt
	rm -rf $(VENV)-audit

# The locks are remade from pyproject.toml's lower bounds with uv: the newest versions, and the oldest.
LOCK := uv pip compile --universal --no-annotate --no-emit-package feedsvc --python-version 3.11 pyproject.toml
lock:
	$(LOCK) locks/build.in --generate-hashes --upgrade --extra dev --output-file locks/dev.txt
	$(LOCK) locks/build.in --generate-hashes --constraint locks/dev.txt --extra test --output-file locks/test.txt
	$(LOCK) locks/build.in --generate-hashes --constraint locks/dev.txt --output-file locks/run.txt
	$(LOCK) locks/build.in --generate-hashes --constraint locks/dev.txt --extra fuzz --output-file locks/fuzz.txt
	$(LOCK) --resolution lowest-direct --extra test --output-file locks/lowest.txt

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-audit var

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "feedsvc needs Python 3.11 or newer; name one with: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# One stamp an installation: nothing is installed again until what it depends on changes. Each file is checked against
# the hash in the lock.
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $< && \
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

$(VENV)/.run: locks/run.txt pyproject.toml | $(BIN)/python
	$(INSTALL)
	touch $@

$(VENV)/.test: locks/test.txt pyproject.toml | $(BIN)/python
	$(INSTALL)
	touch $@ $(VENV)/.run

$(VENV)/.dev: locks/dev.txt pyproject.toml | $(BIN)/python
	$(INSTALL)
	touch $@ $(VENV)/.test $(VENV)/.run
