# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Attach and detach while all that may happen on a machine happens.
exec mercury-judge torture "$@"
