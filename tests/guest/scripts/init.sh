# SPDX-License-Identifier: MIT OR Apache-2.0
#
# INIT and SIPI to a guest. Where the emulator cannot bring the CPU up again, it
# is left behind as a guest that waits, so the machine is reset.
. /tests/common
mercury-judge init "$@" || fail "init ended with $?"
mercury-ask expect-reset 0 || fail "the rig does not know expect-reset"
echo b >/proc/sysrq-trigger
sleep 100
