# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Registers before and after, at the door and far from it.
exec mercury-judge residue "$@"
