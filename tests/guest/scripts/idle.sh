# SPDX-License-Identifier: MIT OR Apache-2.0
#
# An attached, idle machine causes no exits.
exec mercury-judge idle "$@"
