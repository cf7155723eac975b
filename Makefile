# `make demo` and `make test` are all a fresh machine needs: they make .venv, build the package, then run.
# Variables: PYTHON (interpreter for the environment), ARGS (passed on), TORCH=1 (also compare with PyTorch),
# NUMPY (its version, 1.26.* or another), WERROR=1 (compiler warnings are errors).

PYTHON ?= python3
VENV ?= .venv
# A test inspects the object files below build/; instrumented ones stay out of its sight.
BUILD ?= $(if $(SANITIZE),$(VENV)/build,build/$(patsubst .%,%,$(notdir $(VENV))))
ARGS ?=
TORCH ?=
NUMPY ?=
TORCH_VERSION := 2.13.0

bin := $(VENV)/bin
pip := $(bin)/python -m pip
sources := pyproject.toml $(shell find CMakeLists.txt CMakePresets.json cmake cpp python \
    \( -name __pycache__ -o -name '*.so' \) -prune -o -print 2>/dev/null)
tools := $(shell sed -nE 's/^ *"((ruff|mypy|clang-format)==[^"]+)",$$/\1/p' pyproject.toml)
cpp_files = $(shell find cpp -name '*.cpp' -o -name '*.hpp')

settings := --config-settings=build-dir=$(BUILD)
runner :=

ifdef WERROR
settings += --config-settings=cmake.define.RNNFAST_WERROR=ON
endif

ifdef SANITIZE
library = $(shell $(or $(CXX),c++) -print-file-name=$(1))
settings += --config-settings=cmake.args=--preset=asan --config-settings=cmake.build-type=Debug
runner := LD_PRELOAD="$(call library,libasan.so) $(call library,libstdc++.so)" \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTEST_ADDOPTS=--capture=sys
endif

.PHONY: help demo test lint format types asan bench clean

help:
	@echo "make demo | test | lint | format | types | asan | bench | clean"

demo: $(VENV)/.installed
	$(bin)/python -m rnnfast demo $(ARGS)

test: $(VENV)/.installed $(if $(TORCH),$(VENV)/.torch)
	$(runner) $(bin)/python -m pytest $(ARGS)

bench: $(VENV)/.bench
	$(bin)/python -m bench $(ARGS)

lint: $(VENV)/.tools
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/clang-format --dry-run --Werror $(cpp_files)

format: $(VENV)/.tools
	$(bin)/ruff check --fix .
	$(bin)/ruff format .
	$(bin)/clang-format -i $(cpp_files)

types: $(VENV)/.tools $(VENV)/.installed
	$(bin)/mypy

asan:
	$(MAKE) test SANITIZE=1 VENV=.venv-asan TORCH=

clean:
	rm -rf .venv .venv-* .nox build dist rnnfast-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The build tools live in the environment, so that the object files in $(BUILD) stay valid from one run to the next.
$(VENV)/.made:
	@echo "making $(VENV): a minute or two, once"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(pip) install --quiet --upgrade "pip>=23.1"
	@$(pip) install --quiet scikit-build-core pybind11 cmake ninja
	@touch $@

$(VENV)/.installed: $(VENV)/.made $(sources)
	@echo "building rnnfast into $(VENV)"
	@$(pip) install --quiet --no-build-isolation --check-build-dependencies $(settings) ".[test]" $(if $(NUMPY),"numpy==$(NUMPY)")
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	@$(pip) install --quiet "rnnfast[bench]"
	@touch $@

$(VENV)/.tools: $(VENV)/.made pyproject.toml
	@$(pip) install --quiet $(tools)
	@touch $@

$(VENV)/.torch: $(VENV)/.made
	@$(pip) install --quiet torch==$(TORCH_VERSION) && touch $@ || \
	    echo "torch $(TORCH_VERSION) cannot be installed here: the comparisons with it are skipped"
