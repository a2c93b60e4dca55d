# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Every refusal but lockdown, which cannot be undone.
exec mercury-judge refusals "$@"
