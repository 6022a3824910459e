.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.installed
SPARK := .venv/.spark
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url

export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test check format bench lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(ENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lifecycle_ml needs Python 3.11 or later; name one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) --no-compile --require-hashes -r requirements.lock
	$(INSTALL) --editable .
	@$(BIN)/python -c "import lightgbm" 2>/dev/null || { echo "LightGBM needs the OpenMP runtime:" \
	  "apt-get install libgomp1 (macOS: brew install libomp)"; exit 1; }
	@touch $(ENV)

# Half a gigabyte that only the tests on Spark need.
$(SPARK): $(ENV) spark.lock
	$(INSTALL) --no-compile --require-hashes -r spark.lock
	@touch $(SPARK)

demo: $(ENV) ## simulate a company, train, score, and serve it on 127.0.0.1:8000
	$(BIN)/lifecycle demo

# Two workers fill two cores: a second thread in each would only wait.
test: export OMP_NUM_THREADS := 1
test: export LIFECYCLE_THREADS := 1
test: $(SPARK) ## run the tests: the fast ones first, then the slow ones
	$(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder

check: $(ENV) ## format, lint, types, import layers, unused dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

format: $(ENV) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(ENV) ## run the benchmarks (long); results go to docs/benchmarks.md by hand
	$(BIN)/python -m benchmarks

lock: ## renew requirements.lock and spark.lock (needs uv on the PATH)
	$(LOCK) pyproject.toml --extra dev --extra postgres -o requirements.lock
	$(PYTHON) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*project["optional-dependencies"]["spark"], sep="\n")' \
	  | $(LOCK) - -o spark.lock

clean: ## remove the virtual environment and what the tools left
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
