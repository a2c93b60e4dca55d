# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What a guest must not do is refused, what it must see it sees.
exec mercury-judge instructions "$@"
