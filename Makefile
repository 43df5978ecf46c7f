# Everything one does with this repository. `make help` lists it.
#
# Needs Rust (rustup), a C compiler and make. What else a target needs it installs itself, or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
export CARGO_TERM_COLOR ?= auto

# The programs that a user runs, and the trainer of the demo.
PROGRAMS := -p tunesmith-coordinator -p tunesmith-worker -p tunesmith-cli -p digits

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */\1\t/' | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Install what building and testing need and this machine lacks.
	@scripts/setup.sh

.PHONY: build
build: ## Build the programs, optimised.
	@scripts/setup.sh build
	cargo build --release $(PROGRAMS)

.PHONY: demo
demo: build ## Run a study of real training on this machine, from start to result.
	@scripts/demo.sh $(TARGET_DIR)/release

.PHONY: test
test: setup ## Run every test but the end-to-end ones, with a private Postgres and S3 server.
	@scripts/test-quality.sh
	@scripts/test.sh --workspace --exclude tunesmith-e2e

.PHONY: e2e
e2e: setup ## Run the end-to-end tests: real programs, real Postgres and S3, real signals.
	cargo build $(PROGRAMS) --features tunesmith-coordinator/crash-points
	@scripts/test.sh -p tunesmith-e2e
	@$(MAKE) --no-print-directory dashboard-test

.PHONY: dashboard-test
dashboard-test: setup dashboard/node_modules ## Run the dashboard's tests: a real browser, coordinator and worker.
	cargo build $(PROGRAMS)
	@cd dashboard && TUNESMITH_PROGRAMS="$(abspath $(TARGET_DIR))/debug" npm test --silent

# What checks and tests of the dashboard need; building it needs nothing.
dashboard/node_modules: dashboard/package-lock.json
	cd dashboard && npm ci --no-audit --no-fund --silent
	@touch $@

.PHONY: lint
lint: dashboard/node_modules ## Check formatting, lints, types, dependencies and the house rules.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@cd dashboard && npm run check --silent
	@scripts/house-rules.sh

.PHONY: fmt
fmt: ## Format the code.
	cargo fmt --all

.PHONY: bench
bench: setup ## Measure the service beside its limits (PEERS=1: beside Optuna, too); figures are JSON lines.
	cargo build --release -p tunesmith-coordinator -p tunesmith-worker -p tunesmith-bench
	@scripts/bench.sh $(TARGET_DIR)/release

.PHONY: bench-quality
bench-quality: ## Compare the strategies with other libraries on known problems (QUALITY_SEEDS, QUALITY_BUDGET, QUALITY_ONLY).
	@scripts/setup.sh build
	cargo build --release -p tunesmith-optimizer --example tunesmith-optimizer-stdio
	@scripts/bench-quality.sh $(TARGET_DIR)/release/examples/tunesmith-optimizer-stdio

.PHONY: bench-population
bench-population: ## Compare schedules that populations find with constant learning rates, on real trainings (POPULATION_SEEDS).
	@scripts/setup.sh build
	cargo build --release -p tunesmith-coordinator -p tunesmith-worker -p tunesmith-cli -p digits
	python3 bench/population/run.py --programs $(TARGET_DIR)/release --seeds $(or $(POPULATION_SEEDS),10)

.PHONY: bench-dashboard
bench-dashboard: setup dashboard/node_modules ## Measure the dashboard in a real browser; figures are JSON lines (DASHBOARD_TRIALS, DASHBOARD_ONLY).
	cargo build --release -p tunesmith-coordinator -p tunesmith-worker -p digits
	@TUNESMITH_PROGRAMS="$(abspath $(TARGET_DIR))/release" node bench/dashboard/run.mjs

.PHONY: bench-fidelity
bench-fidelity: ## Compare rules of early stopping with other libraries on recorded learning curves (FIDELITY_SEEDS, FIDELITY_ONLY).
	@scripts/setup.sh build
	cargo build --release -p tunesmith-optimizer --example tunesmith-optimizer-stdio
	@scripts/bench-fidelity.sh $(TARGET_DIR)/release/examples/tunesmith-optimizer-stdio
