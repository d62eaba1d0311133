# The CPU-set room: build the native part in place, then tests, checks, figures.
PYTHON ?= python3
# The ending the stable ABI gives the extension.
EXTENSION := webhook/cpuset/_native.abi3.so
NATIVE := $(wildcard native/*.c native/*.h native/*.inc)

.PHONY: build test test-long lint bench clean
.DEFAULT_GOAL := test

build: $(EXTENSION)

$(EXTENSION): $(NATIVE) webhook/cpuset/_build.py setup.py
	$(PYTHON) setup.py -q build_ext --inplace

# Quick: 9,000 selections against brute force, sanitizers, starved of memory, hostile input.
test: build
	$(MAKE) -s -j2 -C native test
	$(PYTHON) -m pytest -q

# Long: 300,000 selections against brute force and every recorded answer.
test-long: build
	$(MAKE) -s -j2 -C native long
	CI=true $(PYTHON) -m pytest -q tests/cpuset/test_parity.py

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

bench: build
	$(PYTHON) -m benchmarks.cpuset

clean:
	$(MAKE) -s -C native clean
	rm -rf build $(EXTENSION)
