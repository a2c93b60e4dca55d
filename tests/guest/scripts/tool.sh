# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The tool as its users run it: dry run, rope, JSON, exit codes, Ctrl-C.
exec mercury-judge tool "$@"
