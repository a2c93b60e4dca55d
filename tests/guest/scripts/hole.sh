# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Mercury's frames read, written and locked.
exec mercury-judge hole "$@"
