# The commands of this repository; `make help` lists them. Everything is built in the one release profile and
# for the whole workspace at once: what the tests exercise is what users run, and RocksDB compiles once.

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

# MQTT clients of the tests: found by the tests through these variables.
CLIENTS := $(CARGO_TARGET_DIR)/test-clients
ROBUSTMQ_TEST_PYTHON ?= $(CLIENTS)/python/bin/python
ROBUSTMQ_TEST_NODE_PATH ?= $(CLIENTS)/node/node_modules
export ROBUSTMQ_TEST_PYTHON ROBUSTMQ_TEST_NODE_PATH

# Arguments for `make run`, for example ARGS="start --config robustmq.toml".
ARGS ?= start
# Kills of `make torture`.
ROUNDS ?= 500
# Mutations per target of `make fuzz`.
ITERATIONS ?= 1000000
# Seconds of a run of `make bench`, and more arguments for it, for example PEERS="--peer name=host:port".
SECONDS ?= 5
PEERS ?=
# Arguments of criterion for `make micro`, for example MICRO="--baseline before".
MICRO ?=
# Seeds of `make simulate`, and the first one.
SEEDS ?= 200
FROM ?= 1
# Log of `make bench-history`.
SIZE ?= 10GB

CARGO ?= cargo
BUILD := --release --workspace --locked

.DEFAULT_GOAL := help
.PHONY: help run build test check fmt generate torture simulate fuzz bench bench-cluster bench-history bench-limits guard guard-write micro clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20

run: build ## install what is missing, build, start the broker on its defaults
	@exec "$(CARGO_TARGET_DIR)/release/robustmq" $(ARGS)

build: ## install what is missing and build all programs
	@scripts/bootstrap build
	$(CARGO) build $(BUILD)

# Programs first: the end-to-end tests start them as processes.
test: ## install what is missing, build, run all tests
	@scripts/bootstrap test "$(CLIENTS)"
	$(CARGO) build $(BUILD)
	$(CARGO) test $(BUILD) --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) nextest run $(BUILD); \
	else \
	    set -x; $(CARGO) test $(BUILD) --all-targets; \
	fi

check: ## formatting, lints, house rules, generated files
	@scripts/bootstrap build
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(BUILD) --all-targets -- -D warnings
	$(CARGO) xtask check
	$(CARGO) xtask generate --check

fmt: ## format the source
	$(CARGO) fmt --all

generate: ## write the files that come from code
	$(CARGO) xtask generate

torture: ## kill the broker ROUNDS times under load and look for anything lost
	@scripts/bootstrap test "$(CLIENTS)"
	$(CARGO) build $(BUILD)
	ROBUSTMQ_TORTURE_ROUNDS=$(ROUNDS) $(CARGO) test $(BUILD) --test torture -- --nocapture

simulate: ## run SEEDS simulated clusters under faults, beginning with seed FROM
	@scripts/bootstrap build
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/robustmq-simulation" --seeds $(SEEDS) --from $(FROM)

fuzz: ## run every fuzz target with ITERATIONS mutations
	@scripts/bootstrap build
	ROBUSTMQ_FUZZ_ITERATIONS=$(ITERATIONS) $(CARGO) test $(BUILD) --test fuzz -- --nocapture

bench: ## measure this broker beside mosquitto and write docs/benchmarks.md
	@scripts/bootstrap bench
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-beside" --seconds $(SECONDS) --write docs/benchmarks.md $(PEERS)

bench-cluster: ## measure three nodes beside one and write the table of docs/benchmarks.md
	@scripts/bootstrap build
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-cluster" --seconds $(SECONDS) --write docs/benchmarks.md

guard: ## count the broker's instructions per message, fail where they are clearly more than expected
	@scripts/bootstrap guard
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-guard"

guard-write: ## make what the broker needs now what `make guard` expects
	@scripts/bootstrap guard
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-guard" --write

micro: ## time the parts of the hot path one by one; MICRO="--save-baseline before" and others as criterion has them
	@scripts/bootstrap build
	$(CARGO) bench --profile release --workspace --locked --bench hot_path -- $(MICRO)

bench-history: ## measure reading of history from a log of SIZE
	@scripts/bootstrap build
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-history" --size $(SIZE)

bench-limits: ## measure what is to stay the same however much there is (12 GB of disk), into docs/benchmarks.md
	@scripts/bootstrap build
	$(CARGO) build $(BUILD)
	"$(CARGO_TARGET_DIR)/release/bench-limits" --write docs/benchmarks.md

clean: ## remove everything that was built
	$(CARGO) clean
