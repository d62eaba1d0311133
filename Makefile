# Two commands are enough: `make run` and `make test`. Everything else stands in CONTRIBUTING.md.

# Given by the caller, it has to be the one in .venv; python3 is only what .venv is made with where there is none.
PYTHON_GIVEN := $(PYTHON)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8443
ADMIN_PORT ?= 8081

.PHONY: run test test-long lint bench bench-bind bench-scheduler control-plane e2e plane-e2e node-e2e scheduling-e2e vm-e2e soak storm scale wheel image image-test clean

run: $(VENV)/installed
	$(BIN)/colocation-webhook serve --objects examples/objects --bind 127.0.0.1:$(PORT) --admin-bind 127.0.0.1:$(ADMIN_PORT)

# The allocator's own tests first: brute force, sanitizers, no memory, hostile input. Compiled modules are kept, whatever
# the caller's environment says, because the tests start a hundred services.
test: $(VENV)/test
	$(MAKE) --silent --jobs=2 -C native test
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto

# The same with many more cases: 300,000 selections against brute force, and 5,000 new pods before a real API server.
test-long: export RESULTS_PODS = 5000
test-long: export RESULTS_SEED ?= $(shell date +%s)
test-long: $(VENV)/test control-plane
	$(MAKE) --silent --jobs=2 -C native long
	$(BIN)/pytest -s tests/e2e/admission/test_results.py

lint: $(VENV)/test $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

control-plane:
	tests/e2e/control-plane/build.sh
	tests/e2e/control-plane/cert-manager.sh
	tests/e2e/control-plane/kwok.sh

# Two of three at a time, each with control planes of its own: what one prints comes when it ends.
e2e: $(VENV)/e2e control-plane
	$(MAKE) --jobs=2 --output-sync=target plane-e2e node-e2e scheduling-e2e

plane-e2e: $(VENV)/e2e control-plane
	$(BIN)/pytest tests/e2e --ignore tests/e2e/scheduling --ignore tests/e2e/node --ignore tests/e2e/vm

# A real kubelet with containerd on this machine, which is as before afterwards; twenty minutes or so.
node-e2e: $(VENV)/e2e control-plane
	$(BIN)/pytest tests/e2e/node

# Another scheduler has a control plane of its own. Its storm is a proof of its own: make storm EXTENDER=1.
scheduling-e2e: $(VENV)/e2e control-plane
	$(BIN)/pytest tests/e2e/scheduling --ignore tests/e2e/scheduling/test_storm.py

# A node of 16 CPUs in a virtual machine by software emulation: cgroup v2, systemd; the first run makes its disk.
vm-e2e: $(VENV)/e2e control-plane
	tests/e2e/vm/build.sh
	$(BIN)/pytest -s tests/e2e/vm

# The same commit gives the same wheel: setup.py says how. What an earlier build left would go into it.
wheel: $(VENV)/pip
	rm -rf build
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

IMAGE ?= colocation-webhook:0.1.0
image:
	image/build.sh $(IMAGE)

# Renders the chart, so it needs Helm from the control plane.
image-test: $(VENV)/test control-plane
	$(BIN)/pytest tests/image

# The whole soak, ten minutes or so; `make e2e` runs a tenth of it.
soak: export SOAK_REVIEWS = 200000
soak: export SOAK_CHANGES = 5000
soak: export SOAK_RELOADS = 200
soak: export SOAK_WARM_UP = 0.5
soak: export HOSTILE_SECONDS = 60
soak: $(VENV)/test control-plane
	$(BIN)/pytest tests/e2e/reliability/test_hostile_clients.py tests/e2e/reliability/test_soak.py

# Once is part of "make e2e"; ten times in a row is the proof. STORM_FIRST, and STORM_SEED, begin it in the middle.
# With EXTENDER=1 under the chart's scheduler, each storm twice: without the extender, and with it.
storm: export STORM_SIZE ?= 1
storm: $(VENV)/test control-plane
	STORM_RUNS=$${STORM_RUNS:-10} $(BIN)/pytest -s tests/e2e/$(if $(EXTENDER),scheduling,binding)/test_storm.py

# The capacity controller at 1,000 nodes for four minutes; part of "make e2e" with a tenth of the nodes.
scale: export SCALE_NODES ?= 1000
scale: export SCALE_SECONDS ?= 240
scale: $(VENV)/e2e control-plane
	$(BIN)/pytest -s tests/e2e/capacity/test_scale.py

# With a tenth of the bindings part of "make e2e". With BEFORE=DIR that checkout and this one in turns, as "make bench".
bench-bind: export BINDINGS ?= $(if $(BEFORE),120,1020)
bench-bind: export BEFORE ?=
bench-bind: $(VENV)/test control-plane
	$(BIN)/pytest -s tests/e2e/binding/test_latency.py

# Five minutes or so; with a tenth of the pods part of "make e2e".
bench-scheduler: export ATTEMPTS ?= 250
bench-scheduler: export BURST ?= 500
bench-scheduler: export TURNS ?= 2
bench-scheduler: $(VENV)/test control-plane
	$(BIN)/pytest -s tests/e2e/scheduling/test_attempts.py

# All tables, thirteen minutes or so on two quiet cores. With BEFORE=DIR instead that checkout, which has a .venv of its
# own, and this one in turns: eight minutes or so.
bench: $(VENV)/test
ifdef BEFORE
	$(BIN)/python -m benchmarks.compare $(BEFORE)
else
	$(BIN)/python -m benchmarks.cpuset
	$(BIN)/python -m benchmarks.reconciler
	$(BIN)/python -m benchmarks.capacity
	$(BIN)/python -m benchmarks.agent
	$(BIN)/python -m benchmarks.agent --pods 3
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.scheduling
	$(BIN)/python -m benchmarks.schedulingmemory
	$(BIN)/python -m benchmarks.beside
endif

clean:
	$(MAKE) --silent -C native clean
	rm -rf $(VENV) build dist *.egg-info webhook/cpuset/_native*.so

# Looked at each time, written only when .venv is made: with a Python that is too old, or another, it is made again.
$(VENV)/interpreter: FORCE
	@.ci/venv $(VENV) $(PYTHON) $(if $(PYTHON_GIVEN),given)

FORCE:

$(VENV)/pip: $(VENV)/interpreter
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

# -qq: errors only, without the notes on editable installs.
$(VENV)/installed: $(VENV)/pip pyproject.toml setup.py webhook/cpuset/_build.py $(wildcard native/*.[ch] native/*.inc)
	$(BIN)/pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --group test
	@touch $@

$(VENV)/e2e: $(VENV)/test
	$(BIN)/pip install --quiet --disable-pip-version-check --group e2e
	@touch $@

$(VENV)/lint: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --group lint
	@touch $@
