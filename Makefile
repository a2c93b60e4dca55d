# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The front door. Everything real happens in scripts/setup.sh (what must be on
# the machine) and in the rig (tests/rig, Rust). `make help` lists the targets.

# A board brings its instruction set.
ARCH ?= $(or $(if $(BOARD),$(shell sed -n 's/^arch = "\(.*\)"$$/\1/p' 'boards/$(BOARD)/board.toml' 2>/dev/null)),x86_64)
KDIR ?= /lib/modules/$(shell uname -r)/build
FLAVOUR ?= release

# The environment of the toolchain that set-up chose, for one recipe line.
env := . scripts/env.sh
rig := $(env) && cargo build --quiet -p mercury-rig --target-dir target && target/debug/mercury-rig

# A variable that is 1, and one that has a value, as options of the rig.
flag = $(if $(filter 1 yes true,$($(1))),$(2))
option = $(if $($(1)),$(2) '$($(1))')

# The board says its ARCH itself; one that the user says beside it is checked.
said_arch = $(if $(and $(BOARD),$(filter file,$(origin ARCH))),,--arch '$(ARCH)')

run_options = $(said_arch) $(call option,BOARD,--board) $(call flag,CARD,--card) $(call option,MACHINE,--machine) $(call option,GIC,--gic) \
	$(call flag,NOVHEFIX,--no-vhe-fix) $(call option,SMP,--smp) $(call option,MEM,--memory) \
	$(call option,CPU,--cpu) $(call option,KERNEL,--kernel) $(call option,WITH,--with) \
	$(call option,SCRIPT,--script) $(call option,DEMO,--demo) $(call flag,INTERACTIVE,--interactive) \
	$(call option,ACCEL,--accel) $(call flag,ICOUNT,--icount) $(call option,APPEND,--append) \
	$(call flag,BARE,--bare) --flavour '$(FLAVOUR)'

# Tests are of all instruction sets where none is named.
test_archs = $(if $(filter file,$(origin ARCH)),$(if $(filter bochs,$(ACCEL)),x86_64,x86_64 aarch64),$(ARCH))

test_options = $(foreach arch,$(test_archs),--arch '$(arch)') $(call flag,HOST,--host) $(call option,PART,--part) $(call option,MATRIX,--matrix) \
	$(call option,SUITE,--suite) $(call option,ACCEL,--accel) $(call flag,VERBOSE,--verbose)

.PHONY: help setup setup-build run torture test test-the-tests fuzz check bench record image deb test-packages debug flash module tool kernel clean

help:
	@echo "make run ARCH=x86_64    boot Debian in QEMU, slip Mercury beneath it and out again"
	@echo "     ARCH=aarch64       the same on ARM64"
	@echo "     BOARD=rpi4         QEMU's model of a board: raspi3b, rpi4, zcu102"
	@echo "     CARD=1             with BOARD=: boot what 'make image BOARD=' made"
	@echo "     SMP=2 MEM=512M     CPUs and memory"
	@echo "     CPU=max,-la57      a whole QEMU -cpu string; svm and npt are added where not named"
	@echo "     GIC=2|3            version of ARM's interrupt controller"
	@echo "     MACHINE=virt,...   a whole QEMU -machine string"
	@echo "     NOVHEFIX=1         let Linux keep EL2 on an ARM CPU with VHE"
	@echo "     KERNEL=package     any Debian kernel package (linux-image-rt-amd64, ...), or backports"
	@echo "     SCRIPT=file        run this in the guest instead of the demonstration"
	@echo "     DEMO=survive       the kernel crashes on purpose, and the machine goes on"
	@echo "     WITH=folder        what the guest finds at /with"
	@echo "     INTERACTIVE=1      a shell in the guest"
	@echo "     ACCEL=tcg|kvm|bochs  QEMU's emulation, the host's nested KVM, or Bochs (Intel VMX)"
	@echo "     ICOUNT=1           count instructions instead of time (x86_64: one CPU)"
	@echo "     APPEND='a b=c'     more kernel parameters"
	@echo "     BARE=1             nothing of Mercury in the guest"
	@echo "make test               all tests: format, lints, host tests, guests"
	@echo "     ARCH=aarch64       of one instruction set alone"
	@echo "     HOST=1             the quick half: no guest"
	@echo "     PART=promtool      one part of that half: promtool, packages"
	@echo "     MATRIX=long        all rows of tests/matrix.toml"
	@echo "     SUITE=name         only these rows"
	@echo "make torture            attach and detach while all that may happen happens"
	@echo "     SEED=7 MINUTES=2   the order of what happens; how long"
	@echo "     TRIPS=300          round trips, at least"
	@echo "     ONLY=a,b WITHOUT=c disturbances, by name"
	@echo "     ICOUNT=1           two runs are alike"
	@echo "make check              the same as make test HOST=1"
	@echo "make fuzz               the decoders under libFuzzer: coverage, and a planted defect each"
	@echo "     TARGET=name SECONDS=20 SEED=1"
	@echo "make test-the-tests     plants each defect of tests/defects.toml; which tests notice?"
	@echo "     ONLY=name HOST=1   only these; only those that need no guest"
	@echo "make bench              what it costs: target/bench/report.md (docs/bench.md)"
	@echo "     QUICK=1            only what is deterministic and short"
	@echo "make record             lists what is recorded in docs/results, and makes the docs' tables anew"
	@echo "     WHAT=figures|fuzz  records it, and makes the docs' tables from it; goes on where it was"
	@echo "     SEED=1             the first seed, where there are seeds"
	@echo "make image              the hypervisor's image"
	@echo "make image BOARD=rpi4   what is written to the SD card of a board (docs/boards.md)"
	@echo "     FIRMWARE=folder    with the board's own boot files, which Debian's main archive lacks"
	@echo "make flash BOARD=rpi4 DEV=/dev/sdX   writes that to a disk; asks first"
	@echo "     YES=1 FORCE=1      without asking; also to a disk that is not removable"
	@echo "make deb                Debian packages for amd64 and arm64 (ARCH=: for one), in target/deb"
	@echo "make test-packages      them in a Debian that boots from a disk: an hour, as root"
	@echo "make debug              gdb on the image in a guest, stopped at the door (CONTRIBUTING.md)"
	@echo "     SCRIPT=file SMP=1  what the guest does; BATCH=1: show the door, and end"
	@echo "make module KDIR=...    mercury.ko and its image for your own kernel"
	@echo "make tool               the static programs"
	@echo "make kernel KERNEL=...  download a Debian kernel into the cache"
	@echo "make setup              install what is missing (run and test do it by themselves)"
	@echo "make clean              remove target/ (downloads stay in the cache)"

setup:
	@sh scripts/setup.sh '$(if $(filter bochs,$(ACCEL)),bochs,all)' '$(ARCH)'

setup-build:
	@sh scripts/setup.sh build '$(ARCH)'

run: setup
	@$(rig) run $(run_options)

# What is shaped like a row of tests/matrix.toml is not said here.
torture: setup
	@$(rig) torture --arch '$(ARCH)' $(call option,ACCEL,--accel) $(call option,SEED,--seed) $(call option,MINUTES,--minutes) \
		$(call option,TRIPS,--trips) $(call option,ONLY,--only) $(call option,WITHOUT,--without) $(call flag,JSON,--json) \
		$(call option,SMP,--smp) $(call option,MEM,--memory) $(call option,CPU,--cpu) $(call option,KERNEL,--kernel) \
		$(call flag,ICOUNT,--icount) --flavour '$(FLAVOUR)'

test:
	@began=$$(date +%s); for arch in $(test_archs); do \
		if [ $$arch = x86_64 ]; then what=bochs; else what=all; fi; \
		sh scripts/setup.sh $$what $$arch || exit; \
	done; sh scripts/setup.sh deb $(firstword $(test_archs)) || exit; export MERCURY_BEGAN=$$began; $(rig) test $(test_options)

check:
	@for arch in $(test_archs); do sh scripts/setup.sh build $$arch || exit; done
	@sh scripts/setup.sh deb $(firstword $(test_archs))
	@$(rig) test --host $(foreach arch,$(test_archs),--arch '$(arch)')

fuzz: setup-build
	@$(rig) fuzz $(call option,TARGET,--target) $(call option,SECONDS,--seconds) $(call option,SEED,--seed)

test-the-tests:
	@for arch in $(test_archs); do sh scripts/setup.sh $(if $(call flag,HOST,1),build,all) $$arch || exit; done
	@$(rig) test-the-tests $(call option,ONLY,--only) $(call flag,HOST,--host)

bench:
	@began=$$(date +%s); for arch in x86_64 aarch64; do \
		if [ $$arch = x86_64 ]; then what=$(if $(call flag,QUICK,1),all,bochs); else what=all; fi; \
		sh scripts/setup.sh $$what $$arch || exit; \
	done; export MERCURY_BEGAN=$$began; $(rig) bench $(call flag,QUICK,--quick)

record:
	@$(if $(WHAT),for arch in x86_64 aarch64; do \
		if [ $$arch = x86_64 ]; then what=bochs; else what=all; fi; \
		sh scripts/setup.sh $$what $$arch || exit; \
	done;) $(rig) record $(WHAT) $(call option,SEED,--seed)

ifdef BOARD
image: setup
	@$(rig) image --board '$(BOARD)' $(call option,FIRMWARE,--firmware) $(call option,KERNEL,--kernel) \
		$(call flag,BARE,--bare) $(call flag,JSON,--json) --flavour '$(FLAVOUR)'
else
image: setup-build
	@$(rig) build --arch '$(ARCH)' --only image --flavour '$(FLAVOUR)'
endif

debug:
	@sh scripts/setup.sh all '$(ARCH)'; sh scripts/setup.sh debug '$(ARCH)'
	@$(rig) debug --arch '$(ARCH)' $(call option,SMP,--smp) $(call option,SCRIPT,--script) $(call flag,BATCH,--batch) \
		--flavour '$(FLAVOUR)'

test-packages:
	@sh scripts/setup.sh all x86_64; sh scripts/setup.sh deb x86_64; sh scripts/setup.sh system x86_64
	@$(rig) test-packages

deb_archs = $(if $(filter file,$(origin ARCH)),x86_64 aarch64,$(ARCH))
deb:
	@for arch in $(deb_archs); do sh scripts/setup.sh deb $$arch || exit; done
	@$(rig) deb $(if $(filter file,$(origin ARCH)),,--arch '$(ARCH)')

flash: setup-build
	@$(if $(and $(BOARD),$(DEV)),:,echo "make flash needs BOARD= and DEV=, like BOARD=rpi4 DEV=/dev/sdX" >&2; exit 2)
	@$(rig) flash --board '$(BOARD)' --device '$(DEV)' $(call option,IMAGE,--image) \
		$(call flag,YES,--yes) $(call flag,FORCE,--force) $(call flag,JSON,--json)

module: setup-build
	@$(rig) module --arch '$(ARCH)' --kdir '$(KDIR)' --flavour '$(FLAVOUR)'

tool: setup-build
	@$(rig) build --arch '$(ARCH)' --only programs

kernel: setup
	@$(rig) kernel fetch --arch '$(ARCH)' $(if $(KERNEL),'$(KERNEL)') --refresh

clean:
	rm -rf target
