#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A Rust toolchain that can compile for the bare-metal targets. Two ways:
#
#   rustup  rust-toolchain.toml's toolchain, when the targets are in it already,
#           or when rustup may download them. RUSTUP_AUTO_INSTALL=0 in the
#           environment says that it may not.
#   debian  Debian's rustc-web and its library source: wrappers around
#           /usr/bin/rustc that name a sysroot of our own, in which core, alloc
#           and compiler_builtins are built once (about a minute a target).
#
#   toolchain.sh route [ARCH]           prints which of the two this machine takes
#   toolchain.sh rustup|debian [ARCH]   does it, and writes the toolchain's bin
#                                       directory to $MERCURY_CACHE/toolchain-bin
#
# For guests of another instruction set programs are linked with that one's
# standard library. rustup has it; beside Debian's compiler the rig lays
# Debian's own, when it first builds such a program.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
arch=${2:-x86_64}
# targets: for bare machines. programs: with a standard library, for Linux.
targets="x86_64-unknown-none" programs=
if [ "$arch" = aarch64 ]; then
    targets="$targets aarch64-unknown-none-softfloat"
    [ "$(uname -m)" = aarch64 ] || programs="aarch64-unknown-linux-gnu"
fi
oldest_minor=95 # the workspace's rust-version is 1.95

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

new_enough() { # path of rustc
    minor=$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$oldest_minor" ]
}

# The bin directory of rustup's toolchain if it has everything; asks no network
# (RUSTUP_AUTO_INSTALL=0 for the question itself).
rustup_bin() {
    command -v rustup >/dev/null 2>&1 || return 1
    rustc=$(cd "$here/.." && RUSTUP_AUTO_INSTALL=0 rustup which rustc 2>/dev/null) || return 1
    new_enough "$rustc" || return 1
    for target in $targets $programs; do
        [ -d "$(dirname "$rustc")/../lib/rustlib/$target/lib" ] || return 1
    done
    for tool in cargo cargo-clippy cargo-fmt rustfmt; do
        [ -x "$(dirname "$rustc")/$tool" ] || return 1
    done
    dirname "$rustc"
}

remember() { # bin directory
    mkdir -p "$MERCURY_CACHE"
    [ "$(cat "$MERCURY_CACHE/toolchain-bin" 2>/dev/null || true)" = "$1" ] && return
    printf '%s\n' "$1" >"$MERCURY_CACHE/.toolchain-bin.new"
    mv -f "$MERCURY_CACHE/.toolchain-bin.new" "$MERCURY_CACHE/toolchain-bin"
    say "toolchain: $("$1/rustc" --version), in $1"
}

route() {
    if [ "${MERCURY_TOOLCHAIN:-}" = debian ] || [ "${MERCURY_TOOLCHAIN:-}" = rustup ]; then
        echo "$MERCURY_TOOLCHAIN"
    elif rustup_bin >/dev/null; then
        echo rustup
    elif command -v rustup >/dev/null 2>&1 && [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; then
        echo rustup
    else
        echo debian
    fi
}

from_rustup() {
    if ! bin=$(rustup_bin); then
        [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] || fail "RUSTUP_AUTO_INSTALL=0, and rustup's toolchain lacks one of $targets $programs or is older than 1.$oldest_minor; MERCURY_TOOLCHAIN=debian takes Debian's compiler instead"
        say "about to install with rustup: toolchain stable with $targets $programs, rustfmt, clippy"
        # Status 3 tells set-up that Debian's compiler may be taken instead.
        rustup toolchain install stable --profile minimal --no-self-update \
            --component rustfmt --component clippy --target "$(echo $targets $programs | tr ' ' ,)" >&2 || exit 3
        bin=$(rustup_bin) || fail "rustup's stable toolchain is still not usable: it must be 1.$oldest_minor or newer and have $targets $programs"
    fi
    remember "$bin"
}

wrap() { # directory, tool, environment, arguments
    printf '#!/bin/sh\n%sexec /usr/bin/%s %s"$@"\n' "$3" "$2" "$4" >"$1/.$2.new"
    chmod 755 "$1/.$2.new"
    mv -f "$1/.$2.new" "$1/$2"
}

build_target() { # toolchain, source, target, stamp
    toolchain=$1 source=$2 target=$3 stamp=$4
    [ "$(cat "$toolchain/lib/rustlib/$target/.stamp" 2>/dev/null || true)" = "$stamp" ] && return
    say "building core, alloc and compiler_builtins for $target from Debian's source (once, about a minute)"
    seed=$toolchain/build
    rm -rf "$seed"
    mkdir -p "$seed/src"
    printf '%s\n' '[package]' 'name = "sysroot-seed"' 'version = "0.0.0"' 'edition = "2021"' '[workspace]' \
        '[profile.release]' 'panic = "abort"' 'debug = "line-tables-only"' >"$seed/Cargo.toml"
    echo '#![no_std]' >"$seed/src/lib.rs"
    # The library's dependencies come vendored with its source: no registry is asked.
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendored-std"' '[source.vendored-std]' \
        "directory = \"$source/library/vendor\"" >"$seed/offline.toml"
    # -Cembed-bitcode so that link-time optimisation reaches into core;
    # RUSTC_BOOTSTRAP because a stable compiler builds its own library so.
    env -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER -u CARGO_BUILD_TARGET -u CARGO_TARGET_DIR \
        PATH="$toolchain/bin:/usr/bin:/bin" RUSTC="$toolchain/bin/rustc" RUSTC_BOOTSTRAP=1 \
        CARGO_HOME="$seed/cargo-home" RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$source=/rustc/library" \
        "$toolchain/bin/cargo" build -q --offline --release --manifest-path "$seed/Cargo.toml" \
        --config "$seed/offline.toml" -Zbuild-std=core,alloc,compiler_builtins \
        -Zbuild-std-features=compiler-builtins-mem --target "$target" --target-dir "$seed/target" ||
        fail "building the library for $target failed; the compiler's message stands above"
    new=$toolchain/lib/rustlib/.$target.new
    rm -rf "$new"
    mkdir -p "$new/lib"
    for crate in core alloc compiler_builtins; do
        cp "$seed/target/$target/release/deps/lib$crate"-*.rlib "$seed/target/$target/release/deps/lib$crate"-*.rmeta "$new/lib/"
    done
    echo "$stamp" >"$new/.stamp"
    rm -rf "$toolchain/lib/rustlib/$target"
    mv "$new" "$toolchain/lib/rustlib/$target"
    rm -rf "$seed"
}

from_debian() {
    toolchain=$MERCURY_CACHE/toolchain
    version=$(dpkg-query -W -f='${Version}' rustc-web 2>/dev/null) || fail "Debian's package rustc-web is not installed: run scripts/setup.sh, which installs it"
    stamp="$version 1"
    ready=yes
    for target in $targets; do
        [ "$(cat "$toolchain/lib/rustlib/$target/.stamp" 2>/dev/null || true)" = "$stamp" ] || ready=no
    done
    if [ $ready = no ] || [ ! -x "$toolchain/bin/rustc" ]; then
        new_enough /usr/bin/rustc || fail "/usr/bin/rustc is $(/usr/bin/rustc --version); 1.$oldest_minor or newer is needed"
        source=$(readlink -f /usr/lib/rustlib/src/rust)
        [ -f "$source/library/core/src/lib.rs" ] || fail "no library source under $source: package rust-web-src is missing or broken"
        host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
        mkdir -p "$toolchain/bin" "$toolchain/lib/rustlib"
        # Wrappers, not links: a linked rustc takes /usr as its sysroot, from
        # where its library lies.
        wrap "$toolchain/bin" rustc "" "--sysroot '$toolchain' "
        wrap "$toolchain/bin" rustdoc "" "--sysroot '$toolchain' "
        wrap "$toolchain/bin" clippy-driver "SYSROOT='$toolchain' " ""
        wrap "$toolchain/bin" cargo-clippy "SYSROOT='$toolchain' " ""
        for tool in cargo rustfmt cargo-fmt; do ln -sfn "/usr/bin/$tool" "$toolchain/bin/$tool"; done
        for part in "$host" src etc; do ln -sfn "/usr/lib/rustlib/$part" "$toolchain/lib/rustlib/$part"; done
        for target in $targets; do build_target "$toolchain" "$source" "$target" "$stamp"; done
    fi
    remember "$toolchain/bin"
}

case ${1:-} in
route) route; exit ;;
rustup | debian) ;;
*) fail "usage: toolchain.sh route|rustup|debian [ARCH]" ;;
esac
# Two `make` at once must not build the same sysroot twice into one place.
mkdir -p "$MERCURY_CACHE"
exec 9>"$MERCURY_CACHE/.setup-lock"
flock 9
"from_$1"
