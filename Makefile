# Two commands: `make demo` shows the whole way, `make test` runs every test. Each sets up what it
# needs in .venv, from lock files with hashes: with uv when it is here or can be had, else with pip.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test check bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   the whole way on a sample video (KEEP=1 leaves it serving, VIDEO=file takes yours)"
	@echo "make test   every test, on a real PostgreSQL"
	@echo "make check  the static checks"
	@echo "make bench  the contact-sheet benchmark"
	@echo "make lock   write the lock files anew from pyproject.toml"

demo: .venv/demo.stamp
	@$(BIN)/mediaq demo $(if $(KEEP),--keep) $(if $(VIDEO),"$(VIDEO)")

test: .venv/test.stamp
	@$(BIN)/pytest

check: .venv/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk schema/*.sql

bench: .venv/test.stamp
	$(BIN)/python tests/bench/media/sheets.py

.venv/python.stamp:
	@test -n "$(PYTHON)" || { echo "mediaq needs Python 3.11 or newer; set PYTHON=/path/to/it" >&2; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python $(PYTHON) .venv; \
	else $(PYTHON) -m venv .venv || { echo "install Python's venv module (Debian: python3-venv) or uv" >&2; exit 1; }; fi
	@touch $@

# $(1): the lock file to install, with this checkout beside it.
define install
	@if command -v uv >/dev/null; then uv=uv; \
	elif awk '/^[^ ]/ {uv = /^uv==/} uv' requirements-dev.lock > .venv/uv.txt && \
		$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.txt 2>/dev/null; then uv=$(BIN)/uv; \
	else uv=; fi; \
	if test -n "$$uv"; then export VIRTUAL_ENV=$(CURDIR)/.venv; \
		$$uv pip install --quiet --require-hashes -r $(1) && \
		$$uv pip install --quiet --no-deps --no-build-isolation -e .; \
	else \
		$(BIN)/python -m pip install --quiet --require-hashes -r $(1) && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
endef

.venv/demo.stamp: requirements.lock pyproject.toml | .venv/python.stamp
	@echo "setting up .venv"
	$(call install,requirements.lock)
	@touch $@

.venv/test.stamp: requirements-dev.lock pyproject.toml | .venv/python.stamp
	@echo "setting up .venv for tests"
	$(call install,requirements-dev.lock)
	@touch $@ .venv/demo.stamp

lock: .venv/python.stamp
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet uv
	export PATH="$(CURDIR)/.venv/bin:$$PATH"; \
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra embedded --group build pyproject.toml -o requirements.lock; \
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra all --group build --group dev -c requirements.lock \
		pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
