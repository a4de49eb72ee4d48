# Every entry point of the project. `make help` lists them; `make test` is what CI runs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
TOOLS := .tools
CLIENTS := tests/clients
PYTHON := $(TOOLS)/venv/bin/python
PYTEST := scripts/with-localhost $(PYTHON) -m pytest
RUST_CLIENT_TARGET := target/client-rust

# Seconds of kill -9 rounds and of power cuts; a soak test sets more: make crash CRASH_SECONDS=3600
CRASH_SECONDS ?= 10
# Extra arguments for pytest: make clients ARGS='-k boto3'
ARGS ?=

.PHONY: help run build test lint unit compatibility instructions fuzz-smoke clients crash bench bench-quick bench-build scaling listings \
        tools clean-tools fmt-check clippy doc

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Start a server on 127.0.0.1:9000 with its data in ./oncilla-data (release build)
	$(CARGO) run --release -- server

# All targets of the workspace, as `cargo test` builds them: with one package alone, cargo would pick other features
# of libraries that all share, and build nearly all of them a second time.
build: ## Build the debug binary that the black-box tests use
	$(CARGO) build --workspace --all-targets

test: ## Everything below, in order, as CI runs it
	scripts/run-steps tools lint unit instructions fuzz-smoke build crash clients

lint: fmt-check clippy doc ## Formatting, clippy and documentation, warnings denied

fmt-check:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path $(CLIENTS)/rust/Cargo.toml --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

unit: ## Unit, property, conformance and differential tests of the crates
	$(CARGO) test --workspace --no-fail-fast

instructions: $(TOOLS)/stamp/system ## Instruction counts of the hot paths; UPDATE=1 renews what is expected
	scripts/instruction-counts $(if $(UPDATE),--update)

compatibility: ## Write docs/s3-compatibility.md anew, from the operation table and tests/s3-tests/results.txt
	UPDATE=1 $(CARGO) test -p oncilla-wire --test compatibility_page

fuzz-smoke: ## Every fuzz target over its corpus and 2 s of mutations (docs/fuzzing.md)
	scripts/fuzz-smoke

crash: build $(TOOLS)/stamp/venv $(TOOLS)/lib/powerloss.so ## Kill -9, power loss and disk faults under load, then verify (CRASH_SECONDS=10)
	ONCILLA_CRASH_SECONDS=$(CRASH_SECONDS) $(PYTEST) tests/crash $(ARGS)

clients: build tools ## Black-box tests: the real binary and the clients people use
	$(PYTEST) $(CLIENTS) bench $(ARGS)

# ---- speed, beside peers; not part of `make test`: it wants a machine for itself ----

bench: bench-build $(TOOLS)/bench/bin/garage ## Measure every cell beside Garage and nginx, 45 minutes (bench/README.md)
	bench/run.py $(ARGS)

bench-quick: bench-build $(TOOLS)/bench/bin/garage ## Measure the cells with a yardstick, 8 minutes
	bench/run.py --quick $(ARGS)

scaling: ## Measure what operations cost beside 10 M objects, as a ratio: 6 minutes, 8 GB (bench/SCALING.md)
	$(CARGO) run --release -p oncilla-store --example scaling -- --objects 10000000 $(ARGS) > bench/SCALING.md

listings: ## Measure listings of a bucket of a million objects: 2 minutes
	$(CARGO) run --release -p oncilla-store --example scaling -- --listings $(ARGS)

bench-build:
	$(CARGO) build --release -p oncilla
	$(CARGO) build --release -p oncilla-hash --example put_limit

$(TOOLS)/bench/bin/garage: bench/peers/install
	bench/peers/install $(TOOLS)/bench
	@touch $@

# ---- what the tests need; each stamp is renewed when its list changes ----

TOOL_FILES := $(TOOLS)/stamp/system $(TOOLS)/stamp/venv $(TOOLS)/stamp/cli $(TOOLS)/stamp/js \
    $(TOOLS)/go-client $(RUST_CLIENT_TARGET)/debug/oncilla-client-test-rust $(TOOLS)/lib/powerloss.so

tools: $(TOOL_FILES) ## Install the clients that the tests use into .tools

$(TOOLS)/stamp/system: scripts/install-system-packages
	scripts/install-system-packages
	@mkdir -p $(@D) && touch $@

$(TOOLS)/stamp/venv: $(CLIENTS)/requirements.txt | $(TOOLS)/stamp/system
	scripts/make-venv $(TOOLS)/venv $<
	@mkdir -p $(@D) && touch $@

$(TOOLS)/stamp/cli: $(CLIENTS)/requirements-cli.txt | $(TOOLS)/stamp/system
	scripts/make-venv $(TOOLS)/cli $<
	@mkdir -p $(@D) && touch $@

$(TOOLS)/stamp/js: $(CLIENTS)/js/package.json $(CLIENTS)/js/package-lock.json
	cd $(CLIENTS)/js && npm ci --no-audit --no-fund
	@mkdir -p $(@D) && touch $@

$(TOOLS)/go-client: $(wildcard $(CLIENTS)/go/*.go) $(CLIENTS)/go/go.mod $(CLIENTS)/go/go.sum | $(TOOLS)/stamp/system
	@mkdir -p $(@D)
	cd $(CLIENTS)/go && CGO_ENABLED=1 go build -o ../../../$@ .

$(RUST_CLIENT_TARGET)/debug/oncilla-client-test-rust: $(wildcard $(CLIENTS)/rust/src/*.rs) $(CLIENTS)/rust/Cargo.toml $(CLIENTS)/rust/Cargo.lock
	CARGO_TARGET_DIR=$(RUST_CLIENT_TARGET) $(CARGO) build --locked --manifest-path $(CLIENTS)/rust/Cargo.toml
	@touch $@

$(TOOLS)/lib/powerloss.so: tests/crash/powerloss/powerloss.c | $(TOOLS)/stamp/system
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -O2 -g -Wall -Wextra -Werror -pthread -o $@ $< -ldl

clean-tools: ## Remove everything that `make tools` installed below this directory
	rm -rf $(TOOLS) $(CLIENTS)/js/node_modules $(RUST_CLIENT_TARGET)
