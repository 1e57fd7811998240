# `make` lists the targets. Each installs the packages it needs with apt-get, and prints them before
# (hack/setup.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The directory of rustup's toolchain, which may not be in PATH yet; and Debian's directories that are
# not in an ordinary user's PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/sbin:/usr/sbin:/sbin
CARGO ?= cargo
# `$(STAGE) NAME COMMAND`: a line in the table at the end of `make test`.
STAGE := hack/stage.sh

# Seconds for which each parser is fed arbitrary input.
test: export KILN_FUZZ_SECONDS ?= $(if $(CI),10,5)
fuzz: export KILN_FUZZ_SECONDS ?= 600

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: demo
demo: setup-demo build ## Bake a worker, boot it in QEMU, and see its kubelet healthy
	hack/demo.sh

.PHONY: test
test: ## Run all checks and tests, including boots; print a table of the cost of each stage
	$(STAGE) --run $(MAKE) --no-print-directory --keep-going checked

# The profile for tests (see Cargo.toml), also of the program that tests start. Always the whole
# workspace: for a part of it, cargo would compile crates again with other features.
TESTS := $(CARGO) test --profile checks --locked --workspace
PROGRAM := $(TESTS) --test program --
# The tests that boot machines. `make test` runs the smallest set of them that detects each kind of
# fault (docs/testing.md).
BOOTED := boot:: cluster::boots:: import::booted:: upstream::real::

# A failed stage does not stop the others (--keep-going).
.PHONY: checked
checked: export LC_ALL := C.UTF-8
checked: setup-test kubernetes lint test-build test-crates test-program test-cluster test-boots test-fuzz

.PHONY: test-build test-crates test-program test-cluster test-boots test-fuzz
test-build: setup-test
	$(STAGE) 'build of tests' $(TESTS) --no-run
test-crates: test-build
	$(STAGE) --each $(TESTS) --no-fail-fast --lib --bins --test it
test-program: test-build kubernetes
	$(STAGE) 'test: program' $(PROGRAM) $(BOOTED:%=--skip %) --skip cluster::
test-cluster: test-build kubernetes
	$(STAGE) 'test: cluster' $(PROGRAM) cluster:: --skip cluster::boots::
test-boots: test-build kubernetes
	$(STAGE) 'test: boots' $(PROGRAM) $(BOOTED)
test-fuzz: test-build
	$(STAGE) 'test: fuzz' $(TESTS) --test fuzz

.PHONY: boots
boots: export KILN_ROLES := all
boots: export KILN_POWER_CUTS := 2,1
boots: setup-test kubernetes ## Run all tests that boot machines; print the total time
	$(PROGRAM) --include-ignored --nocapture $(BOOTED)

.PHONY: roles
roles: export KILN_ROLES := all
roles: setup-test kubelet ## Boot every role and every imported node, and compare it with its profile
	$(PROGRAM) --include-ignored --nocapture boot::roles:: import::booted::

.PHONY: build
build: setup-build ## Build kiln: target/release/kiln
	$(CARGO) build --release --locked

.PHONY: bench
bench: setup-test kubernetes build ## Measure kiln against packing by hand (and mmdebstrap, mkosi where these are installed), joins against curl and openssl
	$(CARGO) bench --locked --bench build --bench clouds --bench join

.PHONY: fuzz
fuzz: setup-build ## Feed arbitrary input to each parser for KILN_FUZZ_SECONDS (default: 600)
	$(CARGO) test --release --locked --package kiln --package kiln-agent --test fuzz -- --nocapture

.PHONY: hostile
hostile: export KILN_ATTACKS := all
hostile: setup-test ## Attack kiln in every way that the tests know, and print how often (10 minutes)
	$(PROGRAM) --nocapture bad_input::attacks bad_input::hostile bad_input::repositories registry::hostile

.PHONY: powercut
powercut: setup-test kubelet ## Cut a node's power 30 times while it makes its state, and 10 times later (20 minutes)
	KILN_POWER_CUTS=30,10 $(PROGRAM) disk_boot::power_cut --nocapture

.PHONY: joins
joins: setup-test kubernetes ## Join a cluster from the network and from disks, with a seed by each channel, and reboot
	$(PROGRAM) --include-ignored cluster::boots:: --test-threads 2 --nocapture

.PHONY: faults
faults: export KILN_OUTAGE_SECONDS ?= 300
faults: export KILN_CUT_STRIDE ?= 1
faults: export KILN_FAULT_STRIDE ?= 1
faults: export KILN_CONTROLLER_QPS ?= 500
faults: setup-test kubernetes ## Cut joins off at every byte, at every write, and for five minutes (30 minutes)
	$(PROGRAM) --nocapture cluster::outage cluster::cuts cluster::interruptions cluster::clock

.PHONY: lint
lint: setup-build ## Check formatting, lints, documentation, shell scripts, dependencies
	$(STAGE) 'lint: fmt' $(CARGO) fmt --all --check
	$(STAGE) 'lint: clippy' $(CARGO) clippy --profile checks --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(STAGE) 'lint: doc' $(CARGO) doc --profile checks --locked --workspace --no-deps --quiet
	if command -v shellcheck >/dev/null; then $(STAGE) 'lint: shell' shellcheck -x hack/*.sh benches/*.sh .ci/run; else echo 'lint: shellcheck is not installed; shell scripts were not checked'; fi
	if command -v cargo-deny >/dev/null; then $(STAGE) 'lint: deny' $(CARGO) deny --locked --log-level error check --hide-inclusion-graph licenses bans sources; else echo 'lint: cargo-deny is not installed; dependencies were not checked'; fi

# The Kubernetes programs that tests run; built once, and stored outside the clone.
.PHONY: kubelet
kubelet: setup-demo
	hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/$$(dpkg --print-architecture) kubelet kube-proxy

# Also the control plane that tests of the agent join.
.PHONY: kubernetes
kubernetes: setup-demo
	$(STAGE) 'kubernetes' hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/$$(dpkg --print-architecture) \
		kubelet kube-proxy kube-apiserver kube-controller-manager kubeadm kubectl

.PHONY: setup-build setup-demo setup-test
setup-build setup-demo setup-test: setup-%: ## Only install the Debian packages
	$(STAGE) 'packages: $*' hack/setup.sh $*

.PHONY: fresh
fresh: ## Run demo and test in minimal Debian roots, on both suites, as root and as an ordinary user (hours; needs root)
	hack/fresh.sh $(FRESH)
