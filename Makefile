# make demo and make test need nothing but Python 3.11 or newer; everything goes into .venv.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: install demo test test-all check format docs clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	rm -rf demo-run demo-run-clips
	$(BIN)/twostream demo --out demo-run

test: install
	$(BIN)/python -m pytest -m "not slow"

test-all: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow" --doctest-modules src tests/test_types.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv demo-run demo-run-clips .pytest_cache .mypy_cache .ruff_cache
