# The front door: sets the machine up, then hands over to CMake. Everything built lands in build*/.
# One compile job takes up to 2 GB, so JOBS is the number of cores or half the free memory in GB, the smaller.
SHELL := /bin/bash
JOBS ?= $(shell awk -v cores="$$(nproc)" '/MemAvailable/ { m = int($$2 / 2097152); j = m < cores ? m : cores; print j < 1 ? 1 : j }' /proc/meminfo)

# ThreadSanitizer stops with "unexpected memory mapping" where the kernel scatters addresses widely.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)

CMAKE_INPUTS := CMakeLists.txt CMakePresets.json FLOORS $(wildcard cmake/*.cmake)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo models clients test test-sanitizers test-asan test-tsan fuzz soak check format clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

setup: ## install missing Debian packages, make .venv with PyTorch
	@tools/setup.sh

build: build/build.ninja ## set up, then build the programs: build/jet and build/jet-train
	cmake --build --preset release --target programs -j $(JOBS)

demo: build/build.ninja ## build, then search for a faster hybrid of the small base model, into runs/demo
	cmake --build --preset release --target jet -j $(JOBS)
	@echo; echo "what the base can do, while its search is still to be built:"
	build/jet eval models/base --limit 100
	cmake --build --preset release --target programs -j $(JOBS)
	build/jet postnas models/base --recipe recipes/demo.toml --out runs/demo
	@echo; echo "to try next:"
	@echo "  build/jet generate runs/demo/model -p 'One day' -n 40     what the hybrid writes"
	@echo "  build/jet eval runs/demo/model                           its skills, task by task"
	@echo "  build/jet bench runs/demo/model --depths 0,1024,3840     tokens/s by context; then models/base"
	@echo "  build/jet postnas models/base --recipe recipes/standard.toml --out runs/standard   the search at length"

models: build/build.ninja ## fetch two small real models (SmolLM2, Gemma 3 270M) into models/, for their tests
	cmake --build --preset release --target jet -j $(JOBS)
	[[ -d models/smollm2-135m ]] || tools/fetch_model.sh smollm2-135m
	[[ -d models/gemma3-270m ]] || tools/fetch_model.sh gemma3-270m

clients: setup ## install a browser and the clients of other projects, for the tests that want them
	@tools/setup.sh clients

# The longest test needs the programs alone, and one thread: it runs beside the compiler.
test: check build/build.ninja ## checks and tests, training and search included
	cmake --build --preset release --target programs -j $(JOBS)
	@ctest --preset release -R '^postnas$$' & longest=$$!; \
	  cmake --build --preset release -j $(JOBS) && ctest --preset release -LE checks -E '^postnas$$'; rest=$$?; \
	  wait $$longest && exit $$rest

test-sanitizers: test-asan test-tsan ## the torch-free tests under both kinds of sanitizers

test-asan: build-asan/build.ninja ## the torch-free tests under the address and undefined-behaviour sanitizers
	cmake --build --preset asan -j $(JOBS)
	ctest --preset asan

test-tsan: build-tsan/build.ninja ## the torch-free tests under the thread sanitizer
	cmake --build --preset tsan -j $(JOBS)
	$(FIXED_ADDRESSES) ctest --preset tsan

fuzz: ## hunt for inputs that break the readers, FUZZ_SECONDS (120) each; wants clang
	tools/fuzz.sh

# A real model too where `make models` fetched one, and requests made from /openapi.json where schemathesis is.
SOAK_SECONDS ?= 600
soak: build/build.ninja ## a server under 64 clients for SOAK_SECONDS (600), then under odd requests
	cmake --build --preset release --target jet -j $(JOBS)
	tests/load_test.py build/jet models/base --seconds $(SOAK_SECONDS) -- --cache 64M --exact
	[[ ! -d models/smollm2-135m || -d build/soak-int8 ]] || \
	  build/jet quantize models/smollm2-135m build/soak-int8 --type int8 --calibrate none
	[[ ! -d build/soak-int8 ]] || tests/load_test.py build/jet build/soak-int8 --seconds 180 -- --cache 256M --exact
	python3 tests/api_fuzz_test.py build --seconds $(SOAK_SECONDS)

check: setup ## floors, sources and format, without a build
	tools/check_floors.py
	tools/check_floors_test.py
	tools/check_sources.py
	tools/check_sources_test.py
	tools/check_format.sh

format: setup ## rewrite the sources as clang-format would have them
	tools/check_format.sh --fix

clean: ## remove what was built (.venv and runs stay)
	rm -rf build build-asan build-tsan build-debug build-fuzz

# CMake's own rules notice changed inputs, except the presets.
build/build.ninja: $(CMAKE_INPUTS) | setup
	cmake --preset release
	@touch $@

build-%/build.ninja: $(CMAKE_INPUTS) | setup
	cmake --preset $*
	@touch $@
