# SPDX-License-Identifier: MIT OR Apache-2.0
#
# NMIs from outside during round trips.
exec mercury-judge nmi "$@"
