# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The workload alone: it must be right without Mercury too.
exec mercury-judge workload "$@"
