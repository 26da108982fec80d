# One verb a line; `make help` lists them. T=path narrows `make test` to a part.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/clients/node_modules
T ?=
# What needs neither database nor browser, without the two files that put many messages through a service.
QUICK := tests/security tests/test_floors.py tests/storage/test_writes.py \
	$(filter-out tests/mail/test_bytes_kept.py tests/mail/test_roundtrip.py,$(wildcard tests/mail/test_*.py))
# Many tests wait for processes that they start, so there are more of them at a time than processors.
WORKERS := $(shell echo $$((2 * $$(nproc))))

.PHONY: help install clients run test quick lint format contract docs bench clean

help:            ## Show this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install: $(VENV)/installed  ## Set up .venv with mallard in it

$(VENV)/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,test]'
	touch $@

clients: $(NODE)/installed  ## Bring the Node tools that make clients of the document, for the tests

# Where npm is missing, as it may be but in CI, those tests are skipped.
$(NODE)/installed: tests/clients/package.json tests/clients/package-lock.json
	@if command -v npm >/dev/null; then cd tests/clients && npm ci --loglevel=error >/dev/null && touch node_modules/installed; fi

run: install     ## Serve on http://127.0.0.1:8080 with a database of its own
	$(BIN)/mallard serve

test: install clients lint  ## Lint, types and all tests, against a real mongod
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(T)

quick: lint      ## Lint, types and the tests that need neither database nor browser
	$(BIN)/python -m pytest -n $$(nproc) --dist loadfile $(QUICK)

lint: install    ## Style and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install    ## Generate docs/events.md from the table of events, docs/api/ from the contract
	$(BIN)/mallard webhooks events > docs/events.md
	$(BIN)/python -m server.pages.reference docs/api

contract: install  ## A long run of made-up requests against the document
	$(BIN)/python tests/contract/fuzz/run.py --seed 1 --max-examples 30 --phases examples,coverage,fuzzing,stateful

bench: install   ## Measure against a bare WSGI application
	$(BIN)/python -m bench

clean:           ## Remove what the other targets made
	rm -rf $(VENV) $(NODE) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
