# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A reboot while attached: Mercury steps aside, the machine resets.
. /tests/common
work_begins
attach
mercury-ask expect-reset 0 || fail "the rig does not know expect-reset"
reboot -f
sleep 100
