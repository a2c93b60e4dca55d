# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A thousand round trips lose no memory.
exec mercury-judge leak "$@"
