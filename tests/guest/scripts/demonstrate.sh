# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The demonstration.
exec mercury-judge demonstrate "$@"
