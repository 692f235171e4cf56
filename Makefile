# With Python 3.10 or newer and make, `make demo` and `make test` do everything. What they install stays in .venv;
# a file .venv/.done-X says that X is there, so that a second run starts at once.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test bench ulp lint clean

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: .venv/.done-cli .venv/.done-model  ## pronounce English with a trained network (ARGS='"some text"', ARGS=--json)
	$(BIN)/python -m numbarnn demo $(ARGS)

test: .venv/.done-test .venv/.done-model  ## run every test (ARGS='-k gru')
	$(BIN)/pytest --timeout=300 $(ARGS)

# OpenBLAS, NumPy's matrix product, runs slower kernels than the CPU allows where these two are set.
bench: .venv/.done-bench  ## measure against other libraries, write bench/RESULTS.md (4 minutes)
	mkdir -p .benchmarks
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/pytest bench --benchmark-enable --benchmark-only \
		--benchmark-json=.benchmarks/run.json $(ARGS)
	$(BIN)/python bench/report.py .benchmarks/run.json

ulp: .venv/.done-test  ## prove the functions: all float32 values, a million float64 ones each (about 5 minutes)
	$(BIN)/python tests/ulp.py $(ARGS)

lint: .venv/.done-lint  ## check the style
	$(BIN)/ruff check

clean:  ## remove what these targets made
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.done-venv:
	$(PYTHON) -m venv .venv
	touch $@

# X = an extra of pyproject.toml.
.venv/.done-%: pyproject.toml .venv/.done-venv
	$(PIP) install --editable '.[$*]'
	touch $@

# The demo's weights. Their package asks for others that only its dictionary lookup needs, hence no extra but --no-deps.
.venv/.done-model: .venv/.done-venv
	$(PIP) install --no-deps g2p-en==2.1.0
	touch $@
