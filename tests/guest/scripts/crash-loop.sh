# SPDX-License-Identifier: MIT OR Apache-2.0
#
# crash-loop.sh [resume]: a kernel that crashes behind every roll-back is rolled back five
# times, and then its panic takes its normal course: the machine resets. With `resume` it
# crashes while it wakes up, before any process runs.
#
# The script cannot count: it is rolled back too. The number comes back with the call.
. /tests/common
echo -1 >/proc/sys/kernel/panic
mercury guard on --crash-loop 1h || fail "mercury guard on ended with $?"
mercury-ask expect-panic 0 || fail "the rig does not know expect-panic"
if [ "$1" = resume ]; then
    insmod /lib/modules/*/extra/mercury_test.ko || fail "no test module"
    echo "crash resume 0" >/proc/mercury_test
    mercury checkpoint
    fail "a machine that panics when it wakes up came back"
fi
said=$(mercury checkpoint --json) || fail "mercury checkpoint ended with $?: $said"
number=$(echo "$said" | sed -n 's/.*"rolled_back": \([0-9]*\).*/\1/p')
echo "crash-loop: behind roll-back $number"
[ "$number" -le 5 ] || fail "a sixth roll-back"
echo c >/proc/sysrq-trigger
sleep 100
