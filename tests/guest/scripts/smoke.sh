# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The shortest way through: in, out, each half seen by 'mercury status'.
. /tests/common
mercury check || fail "mercury check ended with $?"
must_be native "before anything was done"
attach
mercury status
detach
mercury log | tail -n 20
