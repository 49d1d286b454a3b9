# make demo and make test need nothing but Python 3.11 or newer; everything goes into .venv.
PYTHON ?= python3
BIN = .venv/bin
LOWEST = .venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: install demo test test-web lowest test-all fuzz write-points lint check format clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	rm -rf demo-run demo-run-clips
	$(BIN)/twostream demo --out demo-run

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not web" --doctest-modules tests src

# the page in a real browser: Debian's Chromium, installed where we may
test-web: install
	@{ command -v chromium && command -v chromedriver; } >/dev/null || \
	{ test "$$(id -u)" = 0 && command -v apt-get && apt-get update && \
	apt-get install -y --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 || \
	{ echo "the page is tested in a browser: install chromium and chromium-driver" >&2; exit 1; }
	$(BIN)/python -m pytest -m web tests/web

# every lower bound of pyproject.toml at once: does each verb still work? ONNX needs a newer torch
lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py web > .venv-lowest/web.txt
	$(LOWEST) -c .venv-lowest/web.txt -e '.[web]'
	.venv-lowest/bin/python .ci/smoke.py
	$(PYTHON) .ci/lowest.py web onnx > .venv-lowest/onnx.txt
	$(LOWEST) -c .venv-lowest/onnx.txt -e '.[web,onnx]'
	.venv-lowest/bin/python .ci/smoke.py export

test-all: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not web" --doctest-modules tests src

# thousands of broken files and videos, an hour or so
fuzz: install
	OMP_NUM_THREADS=1 FUZZ_EXAMPLES=5000 $(BIN)/python -m pytest -n 2 --timeout 36000 tests/test_fuzz.py

# each verb is killed, and fails, at every change that it makes on disk: hours
write-points: install
	$(BIN)/python tests/write_points/every_point.py --out docs/write-points.md

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-lowest demo-run demo-run-clips .pytest_cache .mypy_cache .ruff_cache
