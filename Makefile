# What people and CI run. Everything is built in target/, and nothing of the system is touched except by `make setup`
# (packages that are missing), `make install` and `make uninstall`.

# The PostgreSQL to build for, and to copy for the private clusters: Debian's newest, else the one on PATH.
PG_CONFIG ?= $(shell ls -v /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | tail -n 1 | grep . || command -v pg_config)
export PG_CONFIG
export PGRX_PG_CONFIG_PATH = $(PG_CONFIG)

# What runs in the demo, in chaos runs and in the benchmarks: nothing else is built for them.
demo_packages := pfa_sync pfa-relay pfa-api pems-simulator pfa-demo
chaos_packages := pfa_sync pfa-relay pfa-chaos
bench_packages := pfa_sync pfa-relay pfa-api pfa-bench

# How long `make test-long` runs each parser, in seconds (one test has up to three), and how many tests at once.
FUZZ_SECONDS ?= 1200
FUZZ_THREADS ?= 16

with_cluster := target/debug/testbed with-cluster --

.DEFAULT_GOAL := help
.PHONY: help demo web test test-long chaos build install lint fmt bench clean setup uninstall setup-build checks doc

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: setup-build $(if $(ONCE),,web) ## See an edit reach PEMS here (ONCE=1: check, exit; INPUT=file: a PEMS grid export; ORGANIZATIONS='A B': its codes)
	cargo build $(foreach package,$(demo_packages),--package $(package))
	target/debug/demo $(if $(ONCE),--once) $(if $(INPUT),--input '$(INPUT)') $(foreach code,$(ORGANIZATIONS),--organization '$(code)')

web: ## Build the dashboard: packages, types, lints, unit tests, build (Node 20.19 or newer)
	@scripts/setup web
	cd api/web && npm ci --silent --no-audit && npm run --silent all

test: web build ## Run everything that proves the project, on a private PostgreSQL cluster; then lint
	$(with_cluster) cargo nextest run --workspace
	@$(MAKE) --no-print-directory lint

test-long: build ## Give random bytes to all that parses foreign bytes, for an hour (FUZZ_SECONDS=1200: for each parser)
	PFA_FUZZ_SECONDS=$(FUZZ_SECONDS) $(with_cluster) cargo nextest run --workspace --profile long --test-threads $(FUZZ_THREADS) \
	    --filterset 'test(any_bytes) | test(any_text) | test(any_json) | test(any_signed)'

chaos: setup-build ## Kill, crash and edit at random, then check every promise (SEED=7 SECONDS=60 EDITS=5000: that run)
	cargo build $(foreach package,$(chaos_packages),--package $(package))
	target/debug/chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(EDITS),--edits $(EDITS))

build: setup ## Build all of it, for development
	cargo build --workspace --all-targets

install: setup-build ## Install extension and programs (PREFIX=/usr/local; DESTDIR=dir: for packages)
	cargo build --release --package pfa_sync --package pfa-relay --package pfa-api \
	    --no-default-features --features "pfa_sync/pg$$($(PG_CONFIG) --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')"
	@scripts/install

uninstall: ## Remove what `make install` installed under the same PREFIX and DESTDIR
	@scripts/install remove

lint: setup checks ## Check format and lints, and the sources by `make checks`
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	$(if $(shell command -v shellcheck),shellcheck $(shell grep -l '^#!/bin/sh' scripts/* .ci/run))

checks: setup ## Check sources without a build: SQL, imports, search_path (pgspot), licences (cargo-deny), alerts (promtool), systemd units
	scripts/check-sql
	scripts/check-imports
	scripts/check-security
	scripts/check-alerts
	scripts/check-units
	scripts/check-dependencies

doc: setup-build ## Build the documentation of the code (rustdoc) in target/doc
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items

fmt: ## Format the code
	cargo fmt --all
	$(if $(wildcard api/web/node_modules),cd api/web && npm run --silent format)

bench: setup-build ## Measure, with commits forced to disk; a table and JSON (SECTIONS='commit road': only these)
	cargo build --release $(foreach package,$(bench_packages),--package $(package)) --features pfa-bench/peers
	target/release/bench $(SECTIONS)

clean: ## Remove all that was built
	cargo clean

setup: ## Install what is missing on this machine for build and tests (as root), or print what to install
	@scripts/setup test

setup-build: ## The same for a build alone
	@scripts/setup build
