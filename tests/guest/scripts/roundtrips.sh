# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Round trips from every CPU in turn while the workload runs.
exec mercury-judge roundtrips "$@"
