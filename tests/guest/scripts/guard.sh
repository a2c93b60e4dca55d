# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Where there can be no checkpoint, or none any more: each refusal has its exit code and
# leaves the machine as it was, attached and at work.
. /tests/common
GUARDED=33 QUIET=34 CHECKPOINT=35
folder=/etc/mercury/rolled-back.d

# refused CODE WORDS COMMAND...: ends with the code and says the words.
refused() {
    code=$1 words=$2
    shift 2
    said=$("$@" 2>&1)
    status=$?
    [ "$status" = "$code" ] || fail "'$*' ended with $status where $code was expected: $said"
    case $said in
    *"$words"*) echo "guard: '$*' is refused with $status: $words" ;;
    *) fail "'$*' does not say '$words': $said" ;;
    esac
}
key() { mercury guard status --json | tr -d ' ",' | sed -n "s/^$1:\([a-z0-9]*\)$/\1/p"; }
kept() { [ "$(key kept_pages)" != 0 ]; }
switch() { cat /proc/sys/kernel/panic_on_oops; }

for module in virtio-pci virtio-blk crc32c-generic ext4; do
    modprobe $module || fail "no module $module"
done
work_begins
refused $GUARDED "no store" mercury checkpoint
refused $CHECKPOINT "no checkpoint" mercury rollback --yes
refused 1 "nothing to tell" mercury postmortem
attach
refused $GUARDED "no store" mercury checkpoint
refused 2 "is not a size" mercury guard on --store 7
refused 2 "is no unit" mercury guard on --every 7x

# A store that is too small, and one that the kernel cannot spare.
mercury guard on --store 4M >/dev/null || fail "mercury guard on ended with $?"
refused $CHECKPOINT "too small" mercury checkpoint
must_be attached "behind a checkpoint that did not fit"
refused 23 "memory" mercury guard on --store 8G
must_be attached "behind a store that could not be had"
[ "$(key store_bytes)" = 4194304 ] || fail "the store is $(key store_bytes) behind one that could not be had"

# The kernel's switches are set, shown and put back.
before=$(switch)
mercury guard on --store 192M --on oops >/dev/null || fail "mercury guard on --on oops ended with $?"
[ "$(switch)" = 1 ] || fail "panic_on_oops is $(switch) behind --on oops"
mercury guard status | grep -q "panic_on_oops is 1 (before: $before)" || fail "guard status does not show the switch"
mercury guard off >/dev/null || fail "mercury guard off ended with $?"
[ "$(switch)" = "$before" ] || fail "panic_on_oops is $(switch) behind guard off, and was $before"

mercury guard on --store 192M >/dev/null || fail "mercury guard on ended with $?"
refused $CHECKPOINT "no checkpoint" mercury rollback --yes
refused 1 "say --yes" mercury rollback

# Without all its CPUs a machine takes none.
echo 0 >/sys/devices/system/cpu/cpu1/online || fail "CPU 1 cannot be switched off"
refused $QUIET "CPUs online" mercury checkpoint
echo 1 >/sys/devices/system/cpu/cpu1/online || fail "CPU 1 cannot be switched on"

# A disk that is written is not rolled back.
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt || fail "no disk"
refused 1 "/dev/vda (ext4 on /mnt)" mercury checkpoint
mount -o remount,ro /mnt || fail "the disk cannot be mounted read-only"
umount /mnt

# Two at once: one of them is told that another is under way.
mercury checkpoint >/tmp/one 2>&1 &
first=$!
mercury checkpoint >/tmp/two 2>&1
second_code=$?
wait $first
first_code=$?
case $first_code,$second_code in
0,0 | 0,26 | 26,0) echo "guard: two at once ended with $first_code and $second_code" ;;
*) fail "two at once ended with $first_code and $second_code: $(cat /tmp/one /tmp/two)" ;;
esac
kept || fail "no checkpoint behind two at once"

# Whoever is to learn of a roll-back does.
mkdir -p $folder
printf '#!/bin/sh\necho $MERCURY_ROLLED_BACK >/tmp/learned\n' >$folder/10-note
chmod +x $folder/10-note
said=$(mercury checkpoint --json) || fail "mercury checkpoint ended with $?: $said"
case $said in
*'"taken"'*)
    mercury rollback --yes
    fail "mercury rollback came back with $?"
    ;;
esac
[ "$(cat /tmp/learned)" = 1 ] || fail "the program in $folder was told '$(cat /tmp/learned)'"
work_ends
echo "guard: rolled back, and $folder/10-note was told"

# Given up.
kept || fail "a roll-back took the checkpoint with it"
mercury guard give-up >/dev/null || fail "mercury guard give-up ended with $?"
refused $CHECKPOINT "no checkpoint" mercury rollback --yes
mercury checkpoint >/dev/null || fail "a checkpoint behind a roll-back ended with $?"

# Every now and then, until a signal.
mercury guard on --store 192M --every 1s >/tmp/every 2>&1 &
every=$!
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    [ "$(grep -c "checkpoint . keeps" /tmp/every)" -lt 2 ] || break
    sleep 1
done
kill -TERM $every
wait $every || fail "mercury guard on --every ended with $?: $(cat /tmp/every)"
[ "$(grep -c "checkpoint . keeps" /tmp/every)" -ge 2 ] || fail "no second checkpoint: $(cat /tmp/every)"
echo "guard: every second, $(grep -c "checkpoint . keeps" /tmp/every) checkpoints"

# A sleep of the user's gives the checkpoint up: devices forget what it remembers.
modprobe rtc-cmos 2>/dev/null
alarm=/sys/class/rtc/rtc0/wakealarm
echo deep >/sys/power/mem_sleep
echo 0 >$alarm
echo +4 >$alarm || fail "setting the alarm"
kept || fail "no checkpoint before the sleep"
echo mem >/sys/power/state || fail "the machine did not sleep"
must_be attached "behind a sleep"
! kept || fail "the checkpoint outlived a sleep: $(mercury guard status)"

# Detach takes all with it.
detach
refused $GUARDED "no store" mercury checkpoint
rmmod mercury || fail "the module cannot be removed"
# As in suspend-s3.sh.
mercury-ask expect-reset 0 || fail "the rig does not know expect-reset"
reboot -f
sleep 100
