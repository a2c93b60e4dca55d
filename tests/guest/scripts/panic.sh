# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A panic while attached, no crash kernel: the machine resets as it would have.
. /tests/common
work_begins
attach
echo -1 >/proc/sys/kernel/panic
mercury-ask expect-panic 0 || fail "the rig does not know expect-panic"
echo c >/proc/sysrq-trigger
sleep 100
