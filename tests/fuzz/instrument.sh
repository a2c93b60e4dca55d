#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# RUSTC_WRAPPER of `make fuzz`: coverage instrumentation (LLVM's, by flags that
# stable compilers take) for Mercury's own crates and for the one whose parser is
# tried, and for nothing else: what the oracles do must not guide the fuzzer.
compiler=$1
shift
case " $* " in
*" --crate-name mercury_"* | *" --crate-name fdt "*)
    # Little is optimized, so that an edge is still one of the source's.
    exec "$compiler" "$@" -C opt-level=1 -C passes=sancov-module \
        -C llvm-args=-sanitizer-coverage-level=3 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
        -C llvm-args=-sanitizer-coverage-pc-table \
        -C llvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$compiler" "$@" ;;
esac
