# SPDX-License-Identifier: MIT OR Apache-2.0
#
# kexec while attached: Mercury steps aside, and the second kernel is native
# and can be attached itself (second.sh). The first kernel gives no status.
. /tests/common
[ -x /sbin/kexec ] || skip "no kexec in this guest"
[ -f /boot/vmlinuz ] && [ -f /boot/initrd.img ] || skip "no kernel in this guest to go to"
line=$(sed 's/mercury\.[a-z]*=[^ ]*//g' /proc/cmdline)
/sbin/kexec $KEXEC_QUICKLY -l /boot/vmlinuz --initrd=/boot/initrd.img \
    --command-line="$line mercury.script=/tests/second.sh mercury.arguments=kexec" || fail "kexec -l"
work_begins
attach
echo "first kernel: attached, leaving"
/sbin/kexec -e
fail "kexec -e came back"
