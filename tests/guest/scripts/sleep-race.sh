# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Sleep, attach and detach at the same time.
exec mercury-judge sleep-race "$@"
