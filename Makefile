# Everything a developer needs, from a fresh clone: each target first makes what it needs in .venv.
# `make` alone lists the targets.

# The Python that .venv is made with; by default the first that is new enough.
PYTHON ?=

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The versions in the lock are those that are tested.
LOCKED := --constraint requirements_lock.txt
MESSAGES := $(patsubst %.proto,%_pb2.py,$(wildcard proto/*.proto))
# What pytest is told besides, such as PYTEST='-k publish'.
PYTEST ?=
# Tests and demo stay on this machine: no packet leaves it.
RUN_PYTEST = COLUGO_SCOPE=host $(BIN)/python -m pytest
# Tests wait more than they work, so some run beside each other; fewer of those marked `measures`.
BESIDE = --dist worksteal --numprocesses
# What nodes promise however they find each other.
CORE_TESTS = $(patsubst %,tests/%.py,patterns/connections/test_comings_and_goings \
	patterns/pubsub/test_backpressure patterns/pubsub/test_conflation patterns/pubsub/test_data_path \
	patterns/pubsub/test_publish_subscribe patterns/pubsub/test_stalls \
	patterns/requests/test_request_reply patterns/streams/test_streams \
	patterns/test_callbacks patterns/test_interoperability test_node)
BUILDIFIER := $(or $(wildcard node_modules/.bin/buildifier),$(shell command -v buildifier 2>/dev/null))
BUILD_FILES = $(shell find . \( -name '.?*' -o -name node_modules -o -name 'bazel-*' \) -prune -o \
	\( -name BUILD -o -name '*.bzl' -o -name '*.bazel' -o -name WORKSPACE \) -print)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv proto test test-slow test-static test-all lint format demo bench bench-check lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: .venv/.dev $(MESSAGES) ## Make .venv with colugo (editable) and the tools of its developers

proto: $(MESSAGES) ## Generate the Python modules of proto/*.proto

test: .venv/.dev $(MESSAGES) ## Run the tests, without the slow ones and those that measure
	$(RUN_PYTEST) -m "not slow and not measures" $(BESIDE) 2 --durations 10 $(PYTEST)

test-slow: .venv/.dev $(MESSAGES) ## Run only the slow tests and those that measure
ifeq ($(strip $(PYTEST)),)
	$(RUN_PYTEST) -m "slow and not measures" $(BESIDE) 3 --durations 10
	$(RUN_PYTEST) -m "measures and not alone" $(BESIDE) 2 --durations 10
	$(RUN_PYTEST) -m alone
else
	$(RUN_PYTEST) -m "slow or measures" $(PYTEST)
endif

test-static: .venv/.dev $(MESSAGES) ## Run the tests of the core with mDNS off, by given peers only
	COLUGO_TEST_DISCOVERY=static $(RUN_PYTEST) -m "not slow and not measures" $(BESIDE) 2 $(CORE_TESTS) $(PYTEST)

test-all: .venv/.dev $(MESSAGES) ## Run all tests
	$(RUN_PYTEST) $(PYTEST)

lint: .venv/.dev $(MESSAGES) ## Check style, types and build files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
ifneq ($(BUILDIFIER),)
	$(BUILDIFIER) -mode=check -lint=warn $(BUILD_FILES)
else
	@echo "Left out: the build files. To have them checked: npm install --no-save @bazel/buildifier"
	@test -z "$$COLUGO_CI"
endif

format: .venv/.dev ## Rewrite the files in the project's style
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format
ifneq ($(BUILDIFIER),)
	$(BUILDIFIER) -lint=fix $(BUILD_FILES)
endif

demo: .venv/.demo ## Show processes that find each other, on this machine only
	COLUGO_SCOPE=host $(BIN)/colugo demo

bench: .venv/.bench ## Measure colugo beside other libraries, on this machine only: about 10 minutes
	COLUGO_SCOPE=host $(BIN)/python -m tools.bench all

bench-check: .venv/.bench ## See whether the benchmarks work: a short round of each
	COLUGO_SCOPE=host $(BIN)/python -m tools.bench all --quick --into build/bench-check

lock: ## Renew requirements_lock.txt with the newest releases
	@python=$$(sh tools/find_python.sh $(PYTHON)) && rm -rf build/lock && "$$python" -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@{ echo "# What Bazel installs, and the versions that .venv gets. Renewed by: make lock"; \
		build/lock/bin/python -m pip freeze --all --exclude colugo --exclude pip; \
	} > build/requirements_lock.txt
	@mv build/requirements_lock.txt requirements_lock.txt && rm -rf build/lock
	@echo "Renewed requirements_lock.txt"

clean: ## Remove everything that was made here, .venv included
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist node_modules
	rm -f proto/*_pb2.py proto/*_pb2.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@python=$$(sh tools/find_python.sh $(PYTHON)) && echo "Making .venv with $$python" && "$$python" -m venv --clear .venv
	@touch $@

# Apart from the next, so that the demo starts soon in a fresh clone.
.venv/.demo: .venv/.made pyproject.toml requirements_lock.txt
	@echo "Installing colugo in .venv"
	@$(PIP_INSTALL) $(LOCKED) --editable '.[demo]'
	@touch $@

.venv/.dev: .venv/.made pyproject.toml requirements_lock.txt
	@echo "Installing colugo and its developers' tools in .venv"
	@$(PIP_INSTALL) $(LOCKED) --editable '.[dev]'
	@touch .venv/.demo $@

.venv/.bench: .venv/.made pyproject.toml requirements_lock.txt
	@echo "Installing colugo and what it is measured against in .venv"
	@$(PIP_INSTALL) $(LOCKED) --editable '.[bench]'
	@touch $@

proto/%_pb2.py: proto/%.proto tools/protoc.py .venv/.dev
	$(BIN)/python tools/protoc.py -I. --python_out=. --pyi_out=. $<
	@touch $@
