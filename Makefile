# Each target is one line; what it runs stands where it belongs. `make demo` and `make test` make .venv themselves.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test check lint docs lowest format bench bench-large results requirements clean

demo: $(VENV)/.serve ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh
test: lint ; $(BIN)/python -m pytest --cov --cov-report=term
check: lint ; $(BIN)/python -m pytest -m "not slow"
lint: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lint.sh
docs: $(VENV)/.docs ; $(BIN)/zensical build --strict --clean
format: $(VENV)/.dev ; $(BIN)/ruff format . && $(BIN)/ruff check --fix .
lowest: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lowest.sh
bench: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/bench.sh
bench-large: $(VENV)/.dev ; $(BIN)/python benchmarks/large.py --output results/large.json
results: $(VENV)/.dev ; $(BIN)/python scripts/results.py $(if $(FRESH),--fresh)
requirements: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/requirements.sh
clean: ; rm -rf $(VENV) .tox dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python: ; $(PYTHON) -m venv $(VENV)
$(VENV)/.serve: $(BIN)/python pyproject.toml requirements.txt ; $(BIN)/pip install -q -c requirements.txt -e '.[serve]' && touch $@
$(VENV)/.dev: $(BIN)/python pyproject.toml requirements.txt ; $(BIN)/pip install -q -c requirements.txt -e '.[dev]' && touch $@
$(VENV)/.docs: $(BIN)/python pyproject.toml requirements.txt ; $(BIN)/pip install -q -c requirements.txt -e '.[docs]' && touch $@
