# SPDX-License-Identifier: MIT OR Apache-2.0
#
# second.sh CASE: what the second kernel sees, after kexec or a crash.
. /tests/common
case $1 in
kexec)
    grep -q 'mercury.arguments=kexec' /proc/cmdline || fail "this is not the second kernel"
    must_be native "in the second kernel"
    attach
    detach
    echo "second kernel: native, attached and native again"
    ;;
crash)
    [ -f /proc/vmcore ] || fail "there is no /proc/vmcore: this is no crash kernel"
    magic=$(dd if=/proc/vmcore bs=4 count=1 2>/dev/null | tr -d '\177')
    [ "$magic" = ELF ] || fail "/proc/vmcore does not begin as an ELF file: '$magic'"
    # All of it: Mercury's frames are in there and read as zeros.
    bytes=$(cat /proc/vmcore | wc -c)
    [ "$bytes" -gt 67108864 ] || fail "/proc/vmcore ends after $bytes bytes"
    echo "crash kernel: read $bytes bytes of /proc/vmcore"
    ;;
*) fail "no case '$1'" ;;
esac
