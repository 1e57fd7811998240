# `make` lists the targets. Every one installs with apt-get what it needs and says so before (hack/setup.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Where a toolchain installed by rustup is, should the shell not know it yet; and programs of Debian's that an ordinary user has no path to.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/sbin:/usr/sbin:/sbin
CARGO ?= cargo
# `$(STAGE) NAME COMMAND`: a line of its own in the table at the end of `make test`.
STAGE := hack/stage.sh

# Seconds that a parser is fed arbitrary input.
test: export KILN_FUZZ_SECONDS ?= $(if $(CI),10,5)
fuzz: export KILN_FUZZ_SECONDS ?= 600

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: demo
demo: setup-demo build ## Bake a worker, boot it in QEMU, and see its kubelet healthy
	hack/demo.sh

.PHONY: test
test: ## All checks and tests, boot tests included; ends with a table of what each stage has cost
	$(STAGE) --run $(MAKE) --no-print-directory --keep-going checked

# Compiled for what tests run, see Cargo.toml; the program that tests start is built so, too. Always of the whole workspace:
# cargo would compile crates again with other features for a part of it.
TESTS := $(CARGO) test --profile checks --locked --workspace
PROGRAM := $(TESTS) --test program --
# Boots of `make test` are the smallest set that notices each kind of fault (docs/testing.md); these are all of them.
BOOTED := boot:: cluster::boots:: import::booted:: upstream::real::

# A stage that fails stops no other one.
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
boots: setup-test kubernetes ## Boot everything that tests boot; the seconds in all stand at the end
	$(PROGRAM) --include-ignored --nocapture $(BOOTED)

.PHONY: roles
roles: export KILN_ROLES := all
roles: setup-test kubelet ## Boot every role, and every node that was imported, and compare what runs with what was asked for
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

.PHONY: powercut
powercut: setup-test kubelet ## Cut a node's power 30 times while it makes its state, and 10 times later: some 20 minutes
	KILN_POWER_CUTS=30,10 $(PROGRAM) disk_boot::power_cut --nocapture

.PHONY: joins
joins: setup-test kubernetes ## Join a cluster from the network and from disks, with the seed by each of its channels, and reboot
	$(PROGRAM) --include-ignored cluster::boots:: --test-threads 2 --nocapture

.PHONY: faults
faults: export KILN_OUTAGE_SECONDS ?= 300
faults: export KILN_CUT_STRIDE ?= 1
faults: export KILN_FAULT_STRIDE ?= 1
faults: export KILN_CONTROLLER_QPS ?= 500
faults: setup-test kubernetes ## Cut joins off at every byte, at every write, and for five minutes: some 30 minutes
	$(PROGRAM) --nocapture cluster::outage cluster::cuts cluster::interruptions cluster::clock

.PHONY: lint
lint: setup-build ## Formatting, lints, documentation, shell scripts, dependencies
	$(STAGE) 'lint: fmt' $(CARGO) fmt --all --check
	$(STAGE) 'lint: clippy' $(CARGO) clippy --profile checks --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(STAGE) 'lint: doc' $(CARGO) doc --profile checks --locked --workspace --no-deps --quiet
	if command -v shellcheck >/dev/null; then $(STAGE) 'lint: shell' shellcheck -x hack/*.sh benches/*.sh .ci/run; else echo 'lint: shellcheck is not installed; shell scripts were not checked'; fi
	if command -v cargo-deny >/dev/null; then $(STAGE) 'lint: deny' $(CARGO) deny --locked --log-level error check --hide-inclusion-graph licenses bans sources; else echo 'lint: cargo-deny is not installed; dependencies were not checked'; fi

# The programs of Kubernetes that tests run; built once, then kept outside the clone.
.PHONY: kubelet
kubelet: setup-demo
	hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/$$(dpkg --print-architecture) kubelet kube-proxy

# And the control plane that tests of the agent join.
.PHONY: kubernetes
kubernetes: setup-demo
	$(STAGE) 'kubernetes' hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/$$(dpkg --print-architecture) \
		kubelet kube-proxy kube-apiserver kube-controller-manager kubeadm kubectl

.PHONY: setup-build setup-demo setup-test
setup-build setup-demo setup-test: setup-%: ## Only install the Debian packages
	$(STAGE) 'packages: $*' hack/setup.sh $*

.PHONY: fresh
fresh: ## Run demo and test in minimal Debian roots, on both suites, as root and as an ordinary user: hours, and needs root
	hack/fresh.sh $(FRESH)
