# Two commands do everything on a fresh Debian or Ubuntu with a Rust toolchain: `make demo` and `make test`.

CARGO ?= cargo
PROFILE ?= debug
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/$(PROFILE)
VENV := $(TARGET_DIR)/test-venv
TOOLS := $(TARGET_DIR)/tools
CARGO_FLAGS := --locked $(if $(filter release,$(PROFILE)),--release)
PACKAGES := $(TARGET_DIR)/packages
DESTDIR ?=
PREFIX ?= /usr/local
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

# What is released names no directory of the machine that it was built on.
REMAP := --remap-path-prefix=$(CURDIR)=/usr/src/clearmld --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/usr/src/cargo

.PHONY: help build release shim nvml-stub install stage deb rpm demo test test-unit test-systemd test-packages test-e2e bench check fmt deny prepare prepare-test prepare-package prepare-package-test clean

help:
	@echo "make demo    build, then show a real training task from queue to completed"
	@echo "make test    install what the tests need, then run them all"
	@echo "make test-systemd   the part of it that boots a container with systemd"
	@echo "make test-packages  builds the packages and looks at them closely"
	@echo "make test-e2e       boots a machine in qemu, and takes the package from its installation to its purge"
	@echo "make check   formatting, lints, licences, layering"
	@echo "make bench   a trivial task beside the stock clearml-agent, in one run"
	@echo "make build   the three binaries ($(BIN)); PROFILE=release for small and fast ones"
	@echo "make shim    the static shim alone, as it is packaged"
	@echo "make deb rpm the packages, in $(PACKAGES)"
	@echo "make install release build below DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)"

build: prepare
	$(CARGO) build $(CARGO_FLAGS) --bins

# As it is packaged: static, without tokio, TLS or SQLite.
shim: prepare
	RUSTFLAGS="-C target-feature=+crt-static $(REMAP)" $(CARGO) build --locked --profile shim --target $(HOST) \
	  --no-default-features --bin clearmld-shim
	@ls -l $(TARGET_DIR)/$(HOST)/shim/clearmld-shim

# The two programs that are installed, and what writes their pages and completions.
release: prepare
	RUSTFLAGS="$(REMAP)" $(CARGO) build --locked --release --features pages \
	  --bin clearmld --bin clearmlctl --bin clearmld-pages
	rm -rf $(PACKAGES)/pages
	$(TARGET_DIR)/release/clearmld-pages $(PACKAGES)/pages packaging/workers.d/example.toml.disabled
	packaging/third_party.py $(HOST) >$(PACKAGES)/pages/THIRD-PARTY

LAY_OUT = packaging/install.sh $(TARGET_DIR)/release $(TARGET_DIR)/$(HOST)/shim/clearmld-shim $(PACKAGES)/pages

install: release shim
	$(LAY_OUT) "$(DESTDIR)" "$(PREFIX)"
	@[ -n "$(DESTDIR)" ] || echo "next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload && systemctl enable --now clearmld"

stage: release shim
	rm -rf $(PACKAGES)/stage
	$(LAY_OUT) $(PACKAGES)/stage /usr

deb: prepare-package stage
	packaging/deb.sh $(PACKAGES)/stage $(PACKAGES)

rpm: prepare-package stage
	packaging/rpm.sh $(PACKAGES)/stage $(PACKAGES)

# An NVML whose GPUs a file beside it describes (see its source), for tests on machines without any.
nvml-stub: $(TARGET_DIR)/nvml/libnvidia-ml-stub.so

$(TARGET_DIR)/nvml/libnvidia-ml-stub.so: tests/nvml/stub.c tests/nvml/two.conf
	@mkdir -p $(@D)
	cc -Wall -Wextra -Werror -O1 -shared -fPIC -o $@ $<
	cp tests/nvml/two.conf $@.conf

demo: build
	packaging/demo/demo.sh $(abspath $(BIN))

# The slowest last.
test: prepare-test build shim
	CLEARMLD_TEST_PYTHON=$(abspath $(VENV))/bin/python CLEARMLD_TEST_SHIM=$(abspath $(TARGET_DIR)/$(HOST)/shim/clearmld-shim) \
	  $(CARGO) test --locked -- --test-threads=4
	@$(MAKE) --no-print-directory test-systemd
	@$(MAKE) --no-print-directory test-packages
	@$(MAKE) --no-print-directory test-e2e

# Those of the shim that are ignored where they are built, and the escape tests; and the package, of which there may be older versions.
built = $$($(CARGO) test --locked --no-run --test $(1) 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$$/\1/p')
BOOTED_TESTS = "$(call built,shim)" "$(call built,sandbox)"
DEB = $$(ls -t $(PACKAGES)/clearmld_*.deb | head -n 1)

# The package in a container that systemd boots, its own and the oldest that it is for; needs root.
test-systemd: deb
	tests/systemd/verify.sh $(abspath $(TARGET_DIR))/systemd
	tests/systemd/run.sh $(DEB) $(BOOTED_TESTS) $(abspath $(TARGET_DIR))/systemd
	tests/systemd/run.sh $(DEB) $(BOOTED_TESTS) $(abspath $(TARGET_DIR))/systemd bullseye

# The package on a whole machine, with a kernel of its own; needs root.
test-e2e: deb
	tests/e2e/run.sh $(DEB) $(TARGET_DIR)/release/clearmld $(BOOTED_TESTS) $(abspath $(TARGET_DIR))/e2e

# The packages as they lie there, and installed into a root file system; needs root.
test-packages: prepare-package-test deb rpm
	tests/packages/main.py $(PACKAGES) $$(tests/systemd/rootfs.sh $(abspath $(TARGET_DIR))/systemd)

bench: prepare-test
	$(CARGO) build --locked --release --bins
	$(VENV)/bin/python tests/benches/beside_agent.py $(TARGET_DIR)/release 5

test-unit:
	$(CARGO) test --locked --lib

check: prepare deny
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --all-targets --features pages -- -D warnings
	$(CARGO) clippy --locked --no-default-features --bin clearmld-shim -- -D warnings
	$(CARGO) test --locked --test layering

# Licences, duplicate and unwanted crates, sources. `cargo deny check advisories` needs the advisory database from the net.
deny: $(TOOLS)/bin/cargo-deny
	$(TOOLS)/bin/cargo-deny --log-level error --locked check bans licenses sources

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install --locked --quiet --root $(TOOLS) cargo-deny@0.20.2

fmt:
	$(CARGO) fmt --all

prepare:
	@tests/prepare/host.sh build

prepare-package: prepare
	@tests/prepare/host.sh package

prepare-package-test: prepare
	@tests/prepare/host.sh package-test

prepare-test: prepare
	@tests/prepare/host.sh test
	@tests/prepare/python.sh $(VENV)
	@tests/prepare/promtool.sh $(TOOLS)/bin

clean:
	$(CARGO) clean
