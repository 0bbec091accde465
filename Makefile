# The two commands: `make quickstart` and `make test`. Both are safe to repeat and fast the second time.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# torch is asked for in the same command as everything else, so that no other build of it is chosen.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint requirements.lock
SOURCES := pyproject.toml requirements.lock

.PHONY: help quickstart test journeys lint format clean
help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

quickstart: $(VENV)/.quickstart  ## learn, sign and serve a classifier of real drug reviews
	@$(BIN)/python examples/quickstart.py

test: $(VENV)/.dev lint  ## lint, types, import contracts and the quick tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not journey" -n auto --dist worksteal

journeys: $(VENV)/.dev  ## the long tests: real data, kills, fresh environments
	@$(BIN)/python -m pytest -m journey

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -12

format: $(VENV)/.dev  ## let ruff write the code as the project writes it
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

clean:  ## remove the environment and the quickstart's files
	rm -rf $(VENV) work

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11. Choose another: make PYTHON=python3.11 …"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: no virtual environment could be made. On Debian or Ubuntu: apt install python3-venv"; exit 2; }

$(VENV)/.quickstart: $(SOURCES) examples/packages.lock | $(BIN)/python
	@echo "Installing Penjing and what the quickstart needs into $(VENV) (once) …"
	@$(INSTALL) torch==2.13.0 -e '.[train]'
	@$(INSTALL) --no-deps --require-hashes -r examples/packages.lock
	@touch $@

$(VENV)/.dev: $(SOURCES) examples/packages.lock examples/newsgroups.lock examples/kinds.lock | $(BIN)/python
	@echo "Installing Penjing and what its tests need into $(VENV) (once) …"
	@$(INSTALL) torch==2.13.0 -e '.[train,tables,images,onnx,search,sklearn,mlflow,tensorboard,dev]'
	@$(INSTALL) --no-deps --require-hashes -r examples/packages.lock -r examples/newsgroups.lock -r examples/kinds.lock
	@touch $@ $(VENV)/.quickstart
