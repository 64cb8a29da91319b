# Everything, from a machine with nothing installed:
#
#   make run    the main job and the second example
#   make test   every test
#   make bench  the time of every workload, ours and that of the peers
#
# All install what is missing (distribution packages as root, Python packages
# into build/venv), configure and build; steps already done are skipped.

SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

BUILD := build
OUT := out
# Two pictures for `make run`, if not scikit-learn's.
SOURCE :=
TARGET :=
# What `make bench` runs, if not all.
WORKLOADS :=
GPU_WORKLOADS :=
VENV := $(BUILD)/venv
PYTHON := $(VENV)/bin/python
REQUIREMENTS := $(wildcard test/requirements.txt examples/requirements.txt utils/requirements.txt)
CCACHE := $(shell command -v ccache)
SOURCES = $(shell git ls-files '*.h' '*.cpp' '*.c')
PYTHON_SOURCES = $(shell git ls-files '*.py')

.PHONY: help build run test test-full bench bench-flows bench-gpu format lint tidy sanitize clean

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

$(BUILD)/.packages: utils/packages.txt utils/install-packages.sh
	@mkdir -p $(BUILD)
	@utils/install-packages.sh
	@touch $@

$(BUILD)/.venv: $(REQUIREMENTS) $(BUILD)/.packages
	@echo "== python: packages of $(REQUIREMENTS) in $(VENV)"
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input \
	  $(addprefix -r ,$(REQUIREMENTS))
	@touch $@

# Changed CMake files are seen by ninja itself.
$(BUILD)/.configured: CMakePresets.json $(BUILD)/.packages $(BUILD)/.venv
	@echo "== cmake: preset release in $(BUILD)"
	@cmake --preset release -B $(BUILD) -DPython3_EXECUTABLE=$(abspath $(PYTHON)) \
	  -DSCALING_PYTHON=ON \
	  $(if $(CCACHE),-DCMAKE_CXX_COMPILER_LAUNCHER=$(CCACHE)) > $(BUILD)/cmake.log 2>&1 \
	  || { cat $(BUILD)/cmake.log; exit 1; }
	@touch $@

# On a terminal ninja shows one line that moves; in a log it stays quiet.
build: $(BUILD)/.configured ## the tools and libraries, in build/
	@echo "== ninja: $(BUILD)"
	@start=$$SECONDS; ninja -C $(BUILD) $(if $(MAKE_TERMOUT),,--quiet) && \
	  echo "== ninja: done in $$((SECONDS - start)) s"

run: build ## the main job (colour transfer) and doubly stochastic attention, into out/
	@$(PYTHON) examples/colour_transfer/colour_transfer.py --bin $(BUILD)/bin --out $(OUT) \
	  $(if $(SOURCE),--source '$(SOURCE)') $(if $(TARGET),--target '$(TARGET)')
	@$(PYTHON) examples/attention/attention.py --bin $(BUILD)/bin --out $(OUT)

# The packages of the flows: large, for tests only. PyTorch's builds for the CPU
# alone are smaller: PIP_EXTRA_INDEX_URL may name the index that has them.
$(BUILD)/.flows: test/requirements-flows.txt $(BUILD)/.venv
	@echo "== python: packages of $< in $(VENV) (some GB the first time)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@touch $@

test: build $(BUILD)/.flows ## every test
	@$(PYTHON) utils/run-tests.py $(BUILD)

test-full: build $(BUILD)/.flows ## every test, the long versions too
	@$(PYTHON) utils/run-tests.py $(BUILD) --full

# The peers live in an environment of their own: they are large, and pin what
# they like.
$(BUILD)/.bench-venv: benchmark/requirements.txt benchmark/install-peers.sh $(BUILD)/.packages
	@benchmark/install-peers.sh $(BUILD)/bench-venv
	@touch $@

bench: build $(BUILD)/.bench-venv ## time the workloads, ours and the peers', into build/bench (WORKLOADS=W1,W3: some)
	@$(BUILD)/bench-venv/bin/python benchmark/bench.py $(WORKLOADS) --bin $(BUILD)/bin --out $(BUILD)/bench

bench-flows: build $(BUILD)/.flows ## time calls from Python, routes into IREE, raised programs and gradients, into build/bench-flows
	@$(PYTHON) benchmark/flows.py --bin $(BUILD)/bin --out $(BUILD)/bench-flows

# Triton and what it needs are packages of the flows.
$(BUILD)/.bench-gpu: benchmark/requirements-gpu.txt $(BUILD)/.flows
	@echo "== python: packages of $< in $(VENV)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@touch $@

bench-gpu: build $(BUILD)/.bench-gpu ## count what the GPU kernels do, in the emulator, into build/bench-gpu (GPU_WORKLOADS=mhc,streaming: some)
	@$(PYTHON) benchmark/gpu.py $(GPU_WORKLOADS) --bin $(BUILD)/bin --out $(BUILD)/bench-gpu

format: $(BUILD)/.venv ## rewrite the sources in their style
	@clang-format-22 -i $(SOURCES)
	@$(PYTHON) -m black --quiet $(PYTHON_SOURCES)

lint: $(BUILD)/.venv ## check the style, change nothing
	@clang-format-22 --dry-run --Werror $(SOURCES)
	@$(PYTHON) -m black --check --quiet $(PYTHON_SOURCES)

# Minutes; what clang-tidy counts and suppresses is not news.
tidy: build ## clang-tidy on the sources of lib and tools; silent when there is nothing to mend
	@set -o pipefail; git ls-files 'lib/*.cpp' 'tools/*.cpp' \
	  | xargs -P "$$(nproc)" -n 1 clang-tidy-22 --quiet -p $(BUILD) --warnings-as-errors='*' 2>&1 \
	  | { grep -v -e '^[0-9]* warnings\? \(generated\|treated as errors\)' -e '^Suppressed ' || true; }

# pytest loads the runtime into Python, which has no sanitizers: it is lit that
# executes here, and the mutants run our tools.
sanitize: $(BUILD)/.venv ## build with sanitizers in build-sanitize/; run lit and the mutants on it
	@cmake --preset sanitize -DPython3_EXECUTABLE=$(abspath $(PYTHON)) > $(BUILD)/cmake-sanitize.log 2>&1 \
	  || { cat $(BUILD)/cmake-sanitize.log; exit 1; }
	@ninja -C build-sanitize $(if $(MAKE_TERMOUT),,--quiet) all check-scaling
	@SCALING_BIN=$(abspath build-sanitize/bin) PATH="/usr/lib/llvm-22/bin:$$PATH" \
	  $(PYTHON) -m pytest -q -p no:cacheprovider test/python/mutants

clean: ## remove the build folder and the results
	@rm -rf $(BUILD) $(OUT)
