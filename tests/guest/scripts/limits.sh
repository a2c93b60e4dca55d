# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What switches and hypercalls may cost, in instructions.
exec mercury-judge limits "$@"
