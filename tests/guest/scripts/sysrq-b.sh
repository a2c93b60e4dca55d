# SPDX-License-Identifier: MIT OR Apache-2.0
#
# An immediate reset while attached: nobody is told before.
. /tests/common
work_begins
attach
mercury-ask expect-reset 0 || fail "the rig does not know expect-reset"
echo b >/proc/sysrq-trigger
sleep 100
