# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A kernel that is locked down refuses Mercury.
exec mercury-judge refusals --lockdown "$@"
