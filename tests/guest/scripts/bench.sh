# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The rows of docs/bench.md, on one machine, in instructions.
exec mercury-judge bench "$@"
