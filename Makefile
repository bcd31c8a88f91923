# The commands for users, developers and the build machine. Needs make and Python 3.11 or later, nothing else.
#   make demo          set up, start, launch the sample campaign (PORT=8000, LOCAL_LATENCY=realistic)
#   make test          set up and run the tests             make unit      the quick tests only
#   make trust         kill a campaign at every call and every commit, and print the results (about an hour; SEEDS=3)
#   make cover         check that tests cover every branch of the modules in SURE
#   make long          workers that die or sleep, hostile and faulty servers, browser actions: whole installations
#   make lint          ruff, mypy and plain English         make format    let ruff rewrite the code
#   make lock          pin the dependencies again           make screenshots  docs/pictures, from a running demo

PORT ?= 8000
LOCAL_LATENCY ?= realistic
WORKERS ?= 2
SEEDS ?= 3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip -q --disable-pip-version-check --no-input
# the first of the usual names that is new enough; the system's own python3 before others
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if $$name -c '$(RECENT)' >/dev/null 2>&1; then echo $$name; break; fi; done)
# tests ignore the user's settings
CLEAN := env -u PYTHONDONTWRITEBYTECODE -u TOOL_SERVERS -u DATABASE_URL -u SECRET_KEY -u ADMIN_PASSWORD -u LOCAL_LATENCY -u DEBUG \
  -u ALLOWED_HOSTS -u CSRF_TRUSTED_ORIGINS -u LOG_LEVEL -u LEASE_SECONDS -u JOBS_AT_ONCE -u RETRY_BACKOFF -u RETENTION_DAYS \
  -u PUBLIC_URL -u STUCK_SECONDS -u TRUSTED_PROXIES
# each test process has its own DATA_DIR, passed by xdist; the tests of one file run in one process, so that
# no installation starts twice, and files run in order of name, so that the long ones are not last
PROCESSES = --dist loadfile --no-loadscope-reorder $(foreach one,$(shell seq $(WORKERS)),--tx popen//env:DATA_DIR=$$data/$(one))

.PHONY: demo test unit long trust cover lint format lock screenshots
.NOTPARALLEL:
.DEFAULT_GOAL := demo

# exec: a signal that ends make ends Flightplan too, so that no process is left behind
demo: $(VENV)/.runtime
	@LOCAL_LATENCY=$(LOCAL_LATENCY) exec $(PY) manage.py demo --port $(PORT)

test: lint
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	DATA_DIR=$$data $(CLEAN) $(PY) -m pytest -q -m "not long" $(PROCESSES)

unit: $(VENV)/.develop
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	DATA_DIR=$$data $(CLEAN) $(PY) -m pytest -q -m "not slow" $(PROCESSES)

long: $(VENV)/.develop
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	DATA_DIR=$$data $(CLEAN) $(PY) -m pytest -q -m long --timeout 300 $(PROCESSES)

trust: $(VENV)/.develop
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	DATA_DIR=$$data $(CLEAN) $(PY) -m tests.trust --seeds $(SEEDS)

# code that needs full branch coverage by its own tests
SURE := jobs/acts/answers.py,jobs/worker/journal.py,jobs/store/calls.py,jobs/worker/leases.py,jobs/tools/wire/fence.py,jobs/tools/lookup.py,jobs/tools/reconcile.py
cover: $(VENV)/.develop
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && export COVERAGE_FILE=$$data/coverage && \
	DATA_DIR=$$data $(CLEAN) $(PY) -m coverage run -m pytest -q -p no:cacheprovider tests/jobs/worker/test_journal.py tests/jobs/worker/test_journal_rows.py tests/jobs/store/test_call_rows.py \
	  tests/jobs/worker/test_dry_run.py tests/jobs/live/test_plans.py tests/jobs/acts/test_resolve.py tests/jobs/acts/test_spending.py tests/jobs/acts/test_activation.py \
	  tests/jobs/worker/test_leases.py tests/jobs/tools/wire/test_fence.py tests/jobs/tools/test_lookup.py tests/jobs/tools/test_reconcile.py \
	  tests/jobs/tools/test_own_faults.py && \
	$(PY) -m coverage report --include=$(SURE) --show-missing --fail-under=100

lint: $(VENV)/.develop
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy --no-error-summary
	@$(PY) -m tests.plain_english

format: $(VENV)/.develop
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

screenshots: $(VENV)/.develop
	@$(PY) docs/screenshots.py

# a stamp file records that the packages of a lock are installed; it is written last, so an interrupted install is repeated
define install
@echo "Installing the $$(grep -c '^[a-z].*==' $<) packages of $< into $(VENV); this takes a minute or two ..."
@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && \
if ! $(PIP) install --retries 2 --require-hashes -r $< >"$$log" 2>&1; then \
  if grep -qE 'NewConnectionError|ConnectTimeout|ConnectionReset|name resolution|Network is unreachable' "$$log"; then \
    echo "There is no network: pip could not reach its package index. Connect, or set PIP_INDEX_URL to one that this machine reaches, and run this again." >&2; \
  else cat "$$log" >&2; fi; exit 1; fi
@touch $@
endef

$(VENV)/.runtime: requirements.lock | $(PY)
	$(install)

$(VENV)/.develop: requirements-dev.lock | $(PY)
	$(install)

$(PY):
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Flightplan needs Python 3.11 or later; python3 here is: $$(python3 --version 2>&1)." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make demo PYTHON=/path/of/python3.12" >&2; exit 1; fi
	@if ! $(PYTHON) -c '$(RECENT)'; then \
	  echo "Flightplan needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install a later one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make demo PYTHON=/path/of/python3.12" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$(PYTHON) cannot make virtual environments. Install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; fi
	@echo "Creating a virtual environment in $(VENV) with $$($(PYTHON) --version 2>&1) ..."
	@$(PYTHON) -m venv $(VENV)

# pip-tools runs in a temporary environment; the locks name no index
LOCK := -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock: | $(PY)
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv $$tools && \
	$$tools/bin/python -m pip -qq --disable-pip-version-check install pip-tools && \
	$$tools/bin/python $(LOCK) --output-file requirements.lock pyproject.toml && \
	$$tools/bin/python $(LOCK) --extra dev --output-file requirements-dev.lock pyproject.toml
