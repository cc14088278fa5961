# Every target works from a fresh clone: it makes .venv first, which costs minutes once and seconds after.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RNFM_REAL_DATA ?= $(wildcard ../shared/data)
export OMP_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
ifneq ($(RNFM_REAL_DATA),)
export RNFM_REAL_DATA := $(abspath $(RNFM_REAL_DATA))
endif

.PHONY: setup demo test check test-deps prove mutate shots bench bench-gpu clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/rnfm demo

test: setup
	$(BIN)/python -m pytest --durations=15

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What tests of real components need (a browser, ssh and pdsh for hostfile launches); Debian, as root.
test-deps:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium pdsh openssh-server > /dev/null

prove: setup
	$(BIN)/python -m pytest tests/proofs

mutate: setup
	$(BIN)/python tests/mutations.py

shots: setup
	$(BIN)/python tests/shots.py

bench: setup
	for benchmark in benchmarks/[a-z]*.py; do $(BIN)/python $$benchmark || exit 1; done

bench-gpu: setup
	$(BIN)/python benchmarks/gpu/step.py

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache
