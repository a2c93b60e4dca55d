# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Power-off while attached.
. /tests/common
work_begins
attach
mercury-ask expect-shutdown 0 || fail "the rig does not know expect-shutdown"
poweroff -f
sleep 100
