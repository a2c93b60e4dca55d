# SPDX-License-Identifier: MIT OR Apache-2.0
#
# To be sourced. Where the cache is, and (once set-up has run) the toolchain in
# front of PATH. The toolchain's cargo and rustc are called directly, so
# rustup's proxies, and with them rust-toolchain.toml, play no part.
MERCURY_CACHE=${MERCURY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mercury}
export MERCURY_CACHE
if [ -s "$MERCURY_CACHE/toolchain-bin" ]; then
    MERCURY_TOOLCHAIN_BIN=$(cat "$MERCURY_CACHE/toolchain-bin")
    if [ -x "$MERCURY_TOOLCHAIN_BIN/cargo" ]; then
        PATH=$MERCURY_TOOLCHAIN_BIN:$PATH
        RUSTC=$MERCURY_TOOLCHAIN_BIN/rustc
        RUSTDOC=$MERCURY_TOOLCHAIN_BIN/rustdoc
        export PATH RUSTC RUSTDOC
        unset RUSTUP_TOOLCHAIN
    fi
fi
