# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A panic while attached with a crash kernel loaded: it boots as guest, and
# reads the dead kernel's memory, Mercury's hole included (second.sh). The
# machine needs crashkernel=... on its command line.
. /tests/common
[ -x /sbin/kexec ] || skip "no kexec in this guest"
[ -f /boot/vmlinuz ] && [ -f /boot/initrd.img ] || skip "no kernel in this guest to go to"
[ "$(cat /sys/kernel/kexec_crash_size)" -gt 0 ] || fail "no memory is reserved: boot with crashkernel=160M"
name_text
/sbin/kexec $KEXEC_QUICKLY -p /boot/vmlinuz --initrd=/boot/initrd.img \
    --command-line="console=$CONSOLE maxcpus=1 reset_devices panic=-1 mercury.load=0 mercury.script=/tests/second.sh mercury.arguments=crash" ||
    fail "kexec -p"
work_begins
attach
echo "first kernel: attached, crashing"
echo c >/proc/sysrq-trigger
sleep 100
