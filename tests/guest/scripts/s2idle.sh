# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Suspend to idle while attached, as far as the devices: this machine may have
# nothing that could wake it from more.
. /tests/common
grep -qw freeze /sys/power/state || skip "this kernel has no s2idle"
[ -w /sys/power/pm_test ] || skip "this kernel has no pm_test"
work_begins
attach
echo devices >/sys/power/pm_test
for time in 1 2; do
    echo freeze >/sys/power/state || fail "suspend $time"
    must_be attached "after suspend $time"
done
echo none >/sys/power/pm_test
detach
work_ends
