# make test        lint and the whole test suite
# make slow        the tests that are too long for every commit, with every process started anew
# make quickstart  synthetic receipts -> dataset -> a tiny model -> evaluation -> one page read, on the CPU
# Both make their own virtual environment (.venv) on first use; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make test` forks from a process that has imported everything, `make slow` starts anew too.
COMMAND_TESTS := tests/test_end_to_end.py tests/test_train_command.py tests/test_hard_pages.py

.PHONY: test slow browser quickstart lint setup clean

test: lint browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

slow: browser
	OCR2_TESTS_EXECUTE=1 $(BIN)/python -m pytest -m slow $(PYTEST_ARGS)
	OCR2_TESTS_EXECUTE=1 $(BIN)/python -m pytest $(COMMAND_TESTS) $(PYTEST_ARGS)

quickstart: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" recipes/tiny/quickstart.sh

# The report is looked at in the system's Chromium, or in one that is downloaded; where neither is to be had those tests
# are skipped and counted.
browser: $(READY)
	$(BIN)/python tests/helpers/browser.py

lint: $(READY)
	$(BIN)/ruff check .

setup: $(READY)

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed and $(PYTHON) is older: say make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
