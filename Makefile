# `make run` and `make test` are all that a newcomer needs. Paths are relative, so a checkout may lie anywhere.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
ALL_CORES := -n logical --maxprocesses 8 --dist worksteal

export PORTAL_LOCAL_RUN ?= 1

.PHONY: help run test check check-types check-code check-templates check-packages check-django browser bench bench-desk soak lighthouse screenshots translations format requirements clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do printf 'make %-14s%s\n' "$$name" "$$what"; done

run: $(VENV)/local ## the portal with demo data on http://localhost:8000 (or PORT), until Ctrl-C
	@exec $(PY) manage.py up

test: $(VENV)/dev ## the test suite on all cores, or what ARGS chooses in one process
	@$(PY) -m pytest $(or $(ARGS),$(ALL_CORES))

browser: $(VENV)/dev ## the journeys in a real browser (Debian's Chromium)
	@$(PY) -m pytest tests/browser -m browser $(or $(ARGS),$(ALL_CORES))

check: $(VENV)/dev ## format, lint, types, imports, packages, migrations, templates, deployment check
	@$(MAKE) -j$$(nproc) -Otarget --no-print-directory check-types check-code check-templates check-packages check-django

check-types:
	@$(PY) -m mypy .

check-code:
	@$(PY) -m ruff format --check . && $(PY) -m ruff check .
	@$(VENV)/bin/lint-imports

check-templates:
	@git ls-files -z 'templates/*.html' | xargs -0 $(VENV)/bin/djade --target-version 5.2 --check
	@git ls-files -z 'templates/*.html' | xargs -0 $(VENV)/bin/djhtml --tabwidth 2 --check
	@$(VENV)/bin/oxfmt -c .ci/oxfmt.json --check static/css static/js

check-packages:
	@$(VENV)/bin/deptry . --config .ci/deptry.toml --no-ansi 2>&1 | grep -v "^Assuming\|^Scanning\|^$$"
	@$(PY) .ci/audit.py

check-django:
	@$(PY) manage.py makemigrations --check --dry-run
	@PORTAL_LOCAL_RUN=0 SECRET_KEY=$$(head -c 40 /dev/urandom | base64) SITE_URL=https://cancel.example.com \
		DATABASE_URL=postgres://none REDIS_URL=redis://none \
		$(PY) manage.py check --deploy --fail-level WARNING

bench: $(VENV)/dev ## what a confirmed cancellation costs, as a ratio measured in one run
	@$(PY) -m bench.confirm

bench-desk: $(VENV)/dev ## what the desk's pages cost at a million requests, as ratios to ten thousand
	@$(PY) -m bench.desk

soak: $(VENV)/dev ## 10,000 mails through a slow, failing server while workers are killed (some minutes)
	@$(PY) -m bench.soak

lighthouse: $(VENV)/dev ## Lighthouse from npm over the customer's pages, with its goals
	@$(PY) -m bench.lighthouse

screenshots: $(VENV)/dev ## pictures of each page (phone, desktop, dark) into docs/screenshots
	@SCREENSHOTS=docs/screenshots $(PY) -m pytest tests/browser/test_screenshots.py -m screenshots

translations: $(VENV)/dev ## brings the catalogues of translations up to date, and says what they lack
	@$(PY) manage.py translations

format: $(VENV)/dev ## puts code and templates into the one format
	@$(PY) -m ruff check --fix-only -q . ; $(PY) -m ruff format -q .
	@git ls-files -z 'templates/*.html' | xargs -0 $(VENV)/bin/djade --target-version 5.2
	@git ls-files -z 'templates/*.html' | xargs -0 $(VENV)/bin/djhtml --tabwidth 2
	@$(VENV)/bin/oxfmt -c .ci/oxfmt.json static/css static/js

requirements: $(VENV)/dev ## compiles requirements*.in into requirements*.txt, with hashes
	@for name in requirements requirements-local requirements-dev; do \
		$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $$name.in -o $$name.txt; done

clean: ## removes the virtual environment and the local data
	@rm -rf $(VENV) .data

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, as $(PYTHON) or as PYTHON=… make …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "The module venv is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Creating the virtual environment …"
	@$(PYTHON) -m venv $(VENV)

# What was installed is kept as the stamp, so that a file that is only newer installs nothing.
define install
	@cmp -s $< $@ || { echo "Installing the pinned requirements$(1) (a minute, the first time) …"; \
		$(PY) -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r $< | awk \
			-v all="$$(grep -c '^[a-z].*==' $<)" \
			'/^(Collecting|Ignoring|Requirement already)/ && n < all { printf "\r  %d of %d packages looked up", ++n, all; fflush() } \
			/^Installing collected/ { print "\n  unpacking them …"; fflush() }' || { \
		echo "The requirements could not be installed; the lines above say why. Is the package index reachable?"; exit 1; }; }
	@cp $< $@
endef

$(VENV)/local: requirements-local.txt | $(VENV)/bin/python
	$(call install)

$(VENV)/dev: requirements-dev.txt | $(VENV)/bin/python
	$(call install, for tests)
	@cp requirements-local.txt $(VENV)/local
