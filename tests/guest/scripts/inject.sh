# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Every failure point of an attach is undone.
exec mercury-judge inject "$@"
