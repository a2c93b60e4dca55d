# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Suspend to RAM while attached, woken by the real-time clock: Mercury steps
# aside before and comes back after.
. /tests/common
grep -qw mem /sys/power/state || skip "this machine cannot suspend to RAM"
modprobe rtc-cmos 2>/dev/null
alarm=/sys/class/rtc/rtc0/wakealarm
[ -w "$alarm" ] || skip "no real-time clock that can wake"
grep -qw deep /sys/power/mem_sleep && echo deep >/sys/power/mem_sleep
work_begins
attach
for time in 1 2 3; do
    echo 0 >"$alarm"
    echo +4 >"$alarm" || fail "setting the alarm"
    echo mem >/sys/power/state || fail "suspend $time"
    must_be attached "after waking up ($time)"
done
detach
work_ends
[ "$(cat /sys/power/suspend_stats/success)" -ge 3 ] || fail "Linux counts $(cat /sys/power/suspend_stats/success) suspends"
mercury log | tail -n 12
# After S3 this machine no longer switches off (without Mercury neither: QEMU
# ignores S5 then, and Linux warns), so the suite ends it by a reset.
mercury-ask expect-reset 0 || fail "the rig does not know expect-reset"
reboot -f
sleep 100
