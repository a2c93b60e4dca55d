#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What must be on the machine before any of Mercury's own Rust can run: Debian
# packages and a Rust toolchain that knows the bare-metal target. Everything
# later (kernels, initramfs, QEMU) is the rig's work, in Rust.
#
#   scripts/setup.sh [build|deb|debug|system|all|bochs] [ARCH]
#                     build: enough to compile; deb: to make Debian packages too; debug: gdb too; all: QEMU as well; bochs: Bochs
#                     too; for guests of this instruction set
#
# It says what it is about to install before it does; without apt it lists
# what is missing and stops. A second run asks no network and takes well under
# a second. Nothing is installed outside apt's packages and the cache directory.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
wanted=${1:-all}
arch=${2:-x86_64}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# One line a package: who needs it, for guests of which instruction set, its
# name, and the file that shows its presence where there is no dpkg to ask.
packages() {
    cat <<'TABLE'
build any     gcc               /usr/bin/gcc
build any     g++               /usr/bin/g++
build any     gcc-12            /usr/bin/gcc-12
build any     make              /usr/bin/make
build any     binutils          /usr/bin/objcopy
build any     libc6-dev         /usr/include/stdio.h
build any     libelf-dev        /usr/include/libelf.h
build any     bc                /usr/bin/bc
build any     xz-utils          /usr/bin/xz
build any     ca-certificates   /etc/ssl/certs/ca-certificates.crt
all   x86_64  qemu-system-x86   /usr/bin/qemu-system-x86_64
all   aarch64 qemu-system-arm   /usr/bin/qemu-system-aarch64
all   any     qemu-system-data  /usr/share/qemu
all   x86_64  seabios           /usr/share/seabios/bios.bin
all   any     busybox-static    /bin/busybox
all   any     kmod              /sbin/depmod
all   any     e2fsprogs         /sbin/mkfs.ext4
all   x86_64  kexec-tools       /sbin/kexec
TABLE
    # What a few guests need and the others do not.
    if [ "$wanted" = bochs ]; then
        cat <<'TABLE'
all   x86_64  bochs             /usr/bin/bochs-bin
all   x86_64  bochsbios         /usr/share/bochs/BIOS-bochs-latest
all   x86_64  vgabios           /usr/share/vgabios/vgabios.bin
TABLE
    fi
    # What makes Debian packages, and judges them.
    if [ "$wanted" = deb ]; then
        cat <<'TABLE'
build any     dpkg-dev          /usr/bin/dpkg-buildpackage
build any     debhelper         /usr/bin/dh
build any     dh-dkms           /usr/bin/dh_dkms
build any     lintian           /usr/bin/lintian
TABLE
    fi
    # What makes a whole Debian.
    if [ "$wanted" = system ]; then
        cat <<'TABLE'
build any     mmdebstrap        /usr/bin/mmdebstrap
TABLE
    fi
    if [ "$wanted" = debug ]; then
        cat <<'TABLE'
build x86_64  gdb               /usr/bin/gdb
build aarch64 gdb-multiarch     /usr/bin/gdb-multiarch
TABLE
    fi
    # What is compiled for another machine than this one.
    if [ "$arch" = aarch64 ] && [ "$(uname -m)" != aarch64 ]; then
        cat <<'TABLE'
build aarch64 gcc-aarch64-linux-gnu      /usr/bin/aarch64-linux-gnu-gcc
build aarch64 gcc-12-aarch64-linux-gnu   /usr/bin/aarch64-linux-gnu-gcc-12
build aarch64 binutils-aarch64-linux-gnu /usr/bin/aarch64-linux-gnu-objcopy
build aarch64 libc6-dev-arm64-cross      /usr/aarch64-linux-gnu/lib/libc.a
TABLE
    fi
}

present() { # package, file
    if command -v dpkg-query >/dev/null 2>&1; then
        dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
    else
        [ -e "$2" ]
    fi
}

missing=
note_missing() { present "$1" "$2" || missing="$missing $1"; }

while read -r who for package file; do
    [ "$for" = any ] || [ "$for" = "$arch" ] || continue
    if [ "$who" = build ] || { [ "$wanted" != build ] && [ "$wanted" != deb ] && [ "$wanted" != debug ] && [ "$wanted" != system ]; }; then note_missing "$package" "$file"; fi
done <<LIST
$(packages)
LIST

# Which toolchain: rustup's where it may be used, else Debian's compiler with
# a sysroot of our own. toolchain.sh decides; it is asked now only so that one
# apt-get call installs everything.
route=$(sh "$here/toolchain.sh" route "$arch")
if [ "$route" = debian ]; then
    for package in rustc-web cargo-web rust-web-src rust-web-llvm lld-22 rust-web-clippy rustfmt-web; do
        note_missing "$package" /nonexistent
    done
fi

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "this machine has no apt-get, and these packages (Debian's names) are missing:$missing. Install what corresponds to them (for the Rust packages: rustup), then run this again."
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "these packages are missing:$missing. Neither root nor sudo is at hand: run 'apt-get install --no-install-recommends$missing' as root, then run this again."
        as_root=sudo
    fi
    say "about to install with apt-get:$missing"
    say "updating apt's package lists"
    $as_root apt-get update -qq || fail "'apt-get update' failed; its message stands above. Missing packages:$missing"
    # kexec-tools asks at install time whether it should take over reboots: no.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2 ||
        fail "'apt-get install$missing' failed; its message stands above"
fi

status=0
sh "$here/toolchain.sh" "$route" "$arch" || status=$?
if [ $status = 3 ] && [ -z "${MERCURY_TOOLCHAIN:-}" ] && command -v apt-get >/dev/null 2>&1; then
    say "rustup could not install the toolchain: taking Debian's compiler instead"
    export MERCURY_TOOLCHAIN=debian
    exec sh "$here/setup.sh" "$wanted" "$arch"
fi
exit $status
