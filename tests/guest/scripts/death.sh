# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The hypervisor dies on each CPU, in each way, and the machine lives.
exec mercury-judge death "$@"
