# The front door. On a bare Debian 12: `sudo make demo` and `sudo make test` do all their own set-up.
.DEFAULT_GOAL := build
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
RELEASE := build/release

.PHONY: help deps deps-test build demo test chaos bench rooms lint fuzz install clean

help:
	@echo 'make demo     two sites in namespaces: the commands, the traffic, the captures (root)'
	@echo 'make test     everything: units, vectors, corpora, model, namespaces, other stacks (root)'
	@echo 'make chaos    faults of all kinds at random for CHAOS_SECONDS (3600), every kind of packet trying to get out (root)'
	@echo 'make bench    one table: bare veth, Adit, strongSwan, wireguard-go; micro-benchmarks; what the guard costs (root); BENCH=--quick: shorter'
	@echo 'make fuzz     each fuzz target for FUZZ_SECONDS (60), then FUZZ_MESSAGES (5000) to each server of a daemon (root)'
	@echo 'make rooms    who may include whom, checked against what each file includes; prints the table of rooms'
	@echo 'make lint     format and static analysis; BASE=COMMIT: of what changed since'
	@echo 'make install  a complete system below DESTDIR with PREFIX ($(PREFIX))'

deps:
	@packaging/deps build run

deps-test: deps
	@packaging/deps test

build: deps
	@cmake --preset release -DADIT_TESTS=OFF >/dev/null
	@cmake --build $(RELEASE) -j $(JOBS)

# Only what it needs: a newcomer waits for it.
demo: deps
	@cmake --preset release -DADIT_TESTS=OFF >/dev/null
	@cmake --build $(RELEASE) -j $(JOBS) --target adit aditd adit-guard
	@packaging/deps test
	@python3 examples/two-sites/demo.py

test: deps-test
	@python3 tests/run

chaos: build
	@packaging/deps test
	@python3 tests/chaos/run.py --seconds $(or $(CHAOS_SECONDS),3600) --first-seed $(or $(CHAOS_SEED),$$(date +%s))

bench: build
	@packaging/deps test bench
	@python3 bench/run.py $(BENCH)
	@python3 bench/guard.py $(filter --smoke,$(BENCH))
	@$(if $(filter --smoke,$(BENCH)),python3 bench/tunnels.py --smoke)

fuzz: build
	@packaging/deps fuzz
	@cmake --preset fuzz >/dev/null && cmake --build build/fuzz -j $(JOBS) --target fuzzers
	@python3 fuzz/run.py --seconds $(or $(FUZZ_SECONDS),60)
	@python3 fuzz/doors.py -n $(or $(FUZZ_MESSAGES),5000) --build $(RELEASE)

rooms:
	@packaging/rooms

lint: deps
	@packaging/rooms >/dev/null
	@packaging/deps lint
	@sh packaging/lint $(BASE)

install: build
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) sh packaging/install

clean:
	@rm -rf build
