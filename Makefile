# The one list of commands. `make run` and `make test` are all that a fresh Debian 12 with a Swift toolchain needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

LISTEN ?= 127.0.0.1:8080
# Anything but nothing loads the example relays first: `make run DEMO=` runs without.
DEMO ?= yes
# PostgreSQL refuses to run as root and then runs as another user, who cannot enter everybody's home directory.
DATA_DIR ?= $(if $(filter 0,$(shell id -u)),/var/lib/relayrisk,.relayrisk)
VENV := .build/venv
# Tests that compute and wait for nothing. They run first and by themselves: on two cores they would hold every thread
# that tasks run on, and tests that talk over sockets would time out meanwhile.
PURE := RiskModelTests|JSONTests|StyleTests|TestSSL|VocabularyTests
# Tests of servers and connections, many of which want to see something while it happens: one at a time.
WRAPPERS := EventLoopTests|HTTPServerTests|PostgresTests
# The others have a service each, with its connections to one PostgreSQL, which takes a hundred.
FEW := --experimental-maximum-parallelization-width 6
# The others run programs that each have a PostgreSQL of their own.
FEWER := --experimental-maximum-parallelization-width 3
# Fills a database with a million results: nothing else gets its share of two cores meanwhile.
LARGE := RecordedPlanTests
EXCHANGES := $(CURDIR)/.build/exchanges.ndjson

.PHONY: help
help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: packages ## Builds the service, loads example relays (not with DEMO=), prints its address and a key, serves.
	swift build -c release --product relayrisk
	@mkdir -p $(DATA_DIR)
	@test -s $(DATA_DIR)/admin.key || (umask 077; \
	  .build/release/relayrisk keys create --name "make run" --scope admin --data-dir $(DATA_DIR) > $(DATA_DIR)/admin.key)
	@$(if $(DEMO),.build/release/relayrisk demo --data-dir $(DATA_DIR) 2> $(DATA_DIR)/demo.log || cat $(DATA_DIR)/demo.log >&2)
	@echo "address  http://$(LISTEN)"
	@echo "key      $$(cat $(DATA_DIR)/admin.key)"
	@echo "data     $(DATA_DIR)"
	@exec .build/release/relayrisk serve --listen $(LISTEN) --data-dir $(DATA_DIR)

.PHONY: build
build: packages ## Builds everything for debugging.
	swift build --build-tests

.PHONY: test
test: ## Runs every test, on PostgreSQL clusters of its own.
	@deploy/debian/install-packages test
	$(MAKE) --no-print-directory lint $(VENV)/installed
	swift build --build-tests
	rm -f $(EXCHANGES)
	swift test --skip-build --filter '$(PURE)'
	swift test --skip-build --no-parallel --filter '$(WRAPPERS)'
	RELAYRISK_TEST_EXCHANGES=$(EXCHANGES) swift test --skip-build $(FEW) --filter ServiceTests --skip '$(PURE)|$(LARGE)'
	RELAYRISK_TEST_EXCHANGES=$(EXCHANGES) swift test --skip-build $(FEWER) --filter EndToEndTests
	swift test --skip-build --filter '$(LARGE)'
	$(VENV)/bin/python Tests/Contract/validate.py openapi.yaml $(EXCHANGES)
	$(VENV)/bin/python Tests/Contract/journey.py openapi.yaml .build/debug/relayrisk \
	  Tests/ServiceTests/Fixtures/testssl/real-good-flat.json

# How long each test under load goes on; `make test` runs them for seconds.
SOAK_SECONDS ?= 60

.PHONY: soak
soak: ## Keeps up the tests under load for SOAK_SECONDS each, and kills service and database twenty times.
	@deploy/debian/install-packages test
	swift build --build-tests
	RELAYRISK_SOAK_SECONDS=$(SOAK_SECONDS) swift test --skip-build $(FEW) \
	  --filter 'ConsistencyTests|OutageTests|ContentionTests|EndToEndTests.*FaultTests'

# Inputs made for each reader of what anybody can send; `make test` makes a few thousand.
EXECUTIONS ?= 1000000

.PHONY: fuzz
fuzz: ## Gives each reader of what anybody can send EXECUTIONS inputs made from a corpus.
	@deploy/debian/install-packages test
	swift build --build-tests
	RELAYRISK_FUZZ_EXECUTIONS=$(EXECUTIONS) swift test --skip-build --filter HostileInputTests

.PHONY: conformance
conformance: ## Holds the service against its description with made-up requests, and its TLS against testssl.sh.
	@deploy/debian/install-packages conformance
	test -x .build/venv-conformance/bin/schemathesis || python3 -m venv .build/venv-conformance
	.build/venv-conformance/bin/pip install --quiet --disable-pip-version-check -r Tests/Conformance/requirements.txt
	swift build --product relayrisk
	.build/venv-conformance/bin/python Tests/Conformance/conformance.py .build/debug/relayrisk openapi.yaml

.PHONY: load
load: ## Puts the release build under load for a minute and checks what must hold.
	@deploy/debian/install-packages load
	swift build -c release --product relayrisk
	Benchmarks/load .build/release/relayrisk

.PHONY: bench
bench: ## Measures the engine, a history, reads, a start and writes, and writes docs/benchmarks.md.
	@deploy/debian/install-packages load
	swift build -c release --product relayrisk
	swift build -c release --product EngineBenchmark
	gcc -O2 -o .build/floor Benchmarks/floor.c -lmicrohttpd -lpthread
	Benchmarks/report .build/release/relayrisk .build/release/EngineBenchmark .build/floor > .build/benchmarks.md
	mv .build/benchmarks.md docs/benchmarks.md

# Results that are stored before anything is measured.
STORED ?= 50000000

.PHONY: bench-large
bench-large: ## Measures taking results in when STORED are there already, and writes docs/benchmarks-large.md.
	@deploy/debian/install-packages load
	swift build -c release --product relayrisk
	Benchmarks/report .build/release/relayrisk $(STORED) > .build/benchmarks-large.md
	mv .build/benchmarks-large.md docs/benchmarks-large.md

.PHONY: bench-listings
bench-listings: ## Prints the server's time for a page of each list over a million results.
	@deploy/debian/install-packages load
	swift build -c release --product relayrisk
	Benchmarks/listings .build/release/relayrisk

.PHONY: methodology
methodology: ## Computes the tables of docs/methodology.md anew.
	swift build --product MethodologyPage
	.build/debug/MethodologyPage catalogue/rm-1.json docs/methodology.md > .build/methodology.md
	mv .build/methodology.md docs/methodology.md

.PHONY: mutation
mutation: ## Changes the engine in one place after the other; a test must notice each. Takes about an hour.
	nice Tests/Mutation/mutate

.PHONY: format
format: ## Formats the Swift sources in place.
	swift format -i -r Package.swift Sources Tests Benchmarks docs

.PHONY: lint
lint: ## Checks the format of the Swift sources.
	swift format lint --strict -r Package.swift Sources Tests Benchmarks docs

.PHONY: packages
packages:
	@deploy/debian/install-packages run

$(VENV)/installed: Tests/Contract/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: clean
clean: ## Removes what was built; data stays.
	rm -rf .build
