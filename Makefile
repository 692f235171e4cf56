# With Python 3.10 or newer and make, `make demo` and `make test` do everything. What they install stays in .venv;
# a file .venv/.done-X says that X is there, so that a second run starts at once.

PYTHON ?= python3
ARGS ?=
RUN ?= full
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CUDA_BIN := .venv-cuda/bin
SOURCES := $(shell find numbarnn kernels -name '*.py')
SUITES := $(filter-out bench/bench_cuda.py,$(wildcard bench/bench_*.py))
# OpenBLAS, NumPy's matrix product, runs slower kernels than the CPU allows where these two are set.
MEASURE = env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/pytest --benchmark-enable --benchmark-only

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-avx2 test-sse2 test-nojit test-boundscheck test-cuda gpu-check bench bench-full ulp mutants \
	lint clean

help:  ## list these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 23

demo: .venv/.done-cli .venv/.done-model  ## pronounce English with a trained network (ARGS='"some text"', ARGS=--json)
	$(BIN)/python -m numbarnn demo $(ARGS)

test: .venv/.done-test .venv/.done-model  ## run every test (ARGS='-k gru')
	$(BIN)/pytest --timeout=300 $(ARGS)

# For other code than this CPU's own, Numba is to be told both the CPU and that its name says all.
test-avx2:  ## the same with code for AVX2: vectors of 256 bits, 16 registers
	NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= $(MAKE) test

test-sse2:  ## the same with code for any x86-64 CPU: vectors of 128 bits, no fused multiply-add
	NUMBA_CPU_NAME=x86-64 NUMBA_CPU_FEATURES= $(MAKE) test

test-nojit:  ## the same without compiling, by NumPy; what is promised of compiled code is skipped
	NUMBA_DISABLE_JIT=1 $(MAKE) test

test-boundscheck:  ## the same with checked indices, where the kernels index arrays
	NUMBA_BOUNDSCHECK=1 $(MAKE) test

test-cuda: .venv-cuda/.done  ## compile the CUDA kernels without a GPU, hold them to budgets; where PTXSIM is set, run them
	$(CUDA_BIN)/pytest --timeout=300 tests/test_device_code.py tests/test_cuda_kernels.py tests/test_device_cells.py $(ARGS)
ifdef PTXSIM
	$(CUDA_BIN)/pytest --timeout=300 --device emulated tests/test_layers.py tests/test_ragged.py tests/test_stateful.py
endif

gpu-check: .venv-cuda/.done  ## on a machine with an NVIDIA GPU: test and measure there, write one JSON (under 8 minutes)
	$(CUDA_BIN)/python bench/gpu_check.py $(ARGS)

bench: .venv/.done-bench  ## measure against other libraries, write bench/RESULTS.md and plots (4 minutes)
	mkdir -p .benchmarks
	$(MEASURE) bench --tier quick --benchmark-json=.benchmarks/run.json $(ARGS)
	$(BIN)/python bench/report.py .benchmarks/run.json

# A run in parts, one for each suite. Stopped and started again, it measures only what is not there yet, or was
# measured before the library changed. Another RUN makes a second one, to stand beside the first in a report.
bench-full: $(SUITES:bench/bench_%.py=.benchmarks/$(RUN)/%.json)  ## at every point, in parts (25 minutes; RUN=name)
	$(BIN)/python bench/report.py .benchmarks/$(RUN)

.benchmarks/$(RUN)/%.json: bench/bench_%.py $(SOURCES) | .venv/.done-bench
	mkdir -p $(@D)
	$(MEASURE) $< --tier full --benchmark-json=$@.part $(ARGS)
	mv $@.part $@

ulp: .venv/.done-test  ## prove the functions: all float32 values, a million float64 ones each (about 5 minutes)
	$(BIN)/python tests/ulp.py $(ARGS)

mutants: .venv/.done-test  ## plant faults in the library, each of which the tests must find (15 minutes)
	PYTHONPATH=tests $(BIN)/python -m mutants $(ARGS)

lint: .venv/.done-lint  ## check the style
	$(BIN)/ruff check

clean:  ## remove what these targets made
	rm -rf .venv .venv-cuda build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.done-venv:
	$(PYTHON) -m venv .venv
	touch $@

# numba-cuda takes the place of Numba's own CUDA target, simulator included: it has an environment to itself.
.venv-cuda/.done: pyproject.toml
	$(PYTHON) -m venv .venv-cuda
	$(CUDA_BIN)/python -m pip --disable-pip-version-check --quiet install --editable '.[test-cuda]'
	touch $@

# X = an extra of pyproject.toml.
.venv/.done-%: pyproject.toml .venv/.done-venv
	$(PIP) install --editable '.[$*]'
	touch $@

# The demo's weights. Their package asks for others that only its dictionary lookup needs, hence no extra but --no-deps.
.venv/.done-model: .venv/.done-venv
	$(PIP) install --no-deps g2p-en==2.1.0
	touch $@
