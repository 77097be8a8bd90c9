# Each target is one line; what it runs stands where it belongs. `make demo` and `make test` make .venv themselves.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# A process per core, up to four; the tests of one file share what they have made.
PARALLEL ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test coverage check components docker-test lint docs programs lowest format bench bench-large bench-doctor results constraints dist clean

demo: $(VENV)/.serve ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh
test: lint ; $(BIN)/python -m pytest $(PARALLEL) $(PYTEST)
coverage: ; $(MAKE) test PYTEST="--cov --cov-report=term"
check: lint ; $(BIN)/python -m pytest $(PARALLEL) -m "not slow"
components: $(VENV)/.dev ; $(BIN)/tox run --skip-env lint
lint: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lint.sh
docs: $(VENV)/.dev ; $(BIN)/zensical build --strict --clean
docker-test: $(VENV)/.dev ; $(BIN)/python -m pytest tests/docker
format: $(VENV)/.dev ; $(BIN)/ruff format . && $(BIN)/ruff check --fix .
programs: ; scripts/programs.sh
lowest: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lowest.sh
bench: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/bench.sh
bench-large: $(VENV)/.dev ; $(BIN)/python benchmarks/large.py --output results/large.json
bench-doctor: $(VENV)/.dev ; $(BIN)/python benchmarks/doctor_precision.py --output results/doctor/precision.json
results: $(VENV)/.dev ; $(BIN)/python scripts/results.py $(if $(FRESH),--fresh)
constraints: $(VENV)/.dev ; PATH="$(CURDIR)/$(BIN):$$PATH" scripts/constraints.sh
dist: $(VENV)/.dev ; rm -rf dist && $(BIN)/python -m build
clean: ; rm -rf $(VENV) .tox dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python: ; $(PYTHON) -m venv $(VENV)
$(VENV)/.serve: $(BIN)/python pyproject.toml constraints.txt ; $(BIN)/pip install -q -c constraints.txt -e '.[serve]' && touch $@
$(VENV)/.dev: $(BIN)/python pyproject.toml requirements.txt constraints.txt ; $(BIN)/pip install -q -r requirements.txt && touch $@
