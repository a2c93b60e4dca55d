# SPDX-License-Identifier: MIT OR Apache-2.0
#
# rig.sh CASE: what the rig promises to those who write scripts (docs/rig.md),
# tried from inside a guest. Needs nothing of Mercury.

fail() { echo "FAILED: $*"; exit 1; }

case $1 in
status) # the script's own status is the verdict
    echo "ending with $2"
    printf 'and a last line without an end'
    exit "$2"
    ;;
guest) # what every guest has
    [ "$(id -u)" = 0 ] || fail "not root"
    [ -d /with ] && [ -f /with/board.toml ] || fail "/with is not the folder that was given"
    [ -f /tests/rig.sh ] || fail "no /tests"
    for place in /proc /sys /dev /dev/pts /tmp /sys/kernel/debug /sys/kernel/security; do
        grep -q " $place " /proc/mounts || fail "$place is not mounted"
    done
    su user -c 'test "$(id -u)" = 1000' || fail "no other user"
    [ "$2" = "two words" ] || fail "the second argument is '$2', not 'two words'"
    [ -z "$(cat)" ] || fail "standard input is not empty"
    if [ "$(uname -m)" = x86_64 ]; then
        modprobe msr && [ -c /dev/cpu/0/msr ] || fail "modprobe msr"
    fi
    ;;
el) # Linux took its KVM into use in this way: 'Hyp' beneath itself, or 'VHE'
    dmesg | grep -q 'CPU: All CPU(s) started at EL2' || fail "not all CPUs started at EL2"
    dmesg | grep -q "kvm.*: $2 mode initialized successfully" || fail "no '$2 mode initialized' in the log"
    ;;
board) # so many CPUs, all at EL2, started in this way; what cannot go does not
    [ "$(nproc)" = "$2" ] || fail "$(nproc) CPUs, expected $2"
    dmesg | grep -q 'CPU: All CPU(s) started at EL2' || fail "not all CPUs started at EL2"
    dmesg | grep -q 'kvm.*: Hyp .*mode initialized successfully' || fail "no KVM beneath Linux"
    for cpu in /proc/device-tree/cpus/cpu@*; do
        method=$(tr -d '\0' <"$cpu/enable-method")
        [ "$method" = "$3" ] || fail "$cpu is started by '$method', expected '$3'"
    done
    # A spin table starts a CPU once: Linux offers no way to take one away.
    online=/sys/devices/system/cpu/cpu1/online
    if [ "$3" = spin-table ]; then
        [ ! -e $online ] || fail "Linux offers to take cpu1 away, which a spin table cannot"
    else
        echo 0 >$online && [ "$(cat $online)" = 0 ] || fail "cpu1 does not go"
        echo 1 >$online && [ "$(cat $online)" = 1 ] || fail "cpu1 does not come back"
    fi
    mercury-ask expect-shutdown 0 || fail "no answer to a request"
    echo "$(tr -d '\0' </proc/device-tree/model): $2 CPUs at EL2, started by $3"
    ;;
memory) # SVM and nested paging are there where nobody took them away
    grep -qw svm /proc/cpuinfo && grep -qw npt /proc/cpuinfo || fail "no svm or npt in /proc/cpuinfo"
    ;;
ask) # requests are answered, unknown ones refused
    mercury-ask nmi 0 || fail "nmi 0"
    if mercury-ask dance; then fail "an unknown request was granted"; fi
    ;;
nmi) # as many NMIs as asked for reach every CPU, none is lost
    # LINT1 is open on the first CPU only unless apic_extnmi=all stands on the
    # kernel's command line.
    count() { awk '/NMI:/ { n = 0; for (i = 2; i <= 1 + cpus; i++) printf "%s ", $i }' cpus="$(nproc)" /proc/interrupts; }
    before=$(count)
    mercury-ask nmi "$2" 5000 || fail "nmi"
    after=$(count)
    echo "before: $before after: $after"
    set -- "$2" $before
    asked=$1
    shift
    for now in $after; do
        [ $((now - $1)) = "$asked" ] || fail "a CPU took $((now - $1)) NMIs, asked for were $asked"
        shift
    done
    ;;
die) echo b >/proc/sysrq-trigger; sleep 60 ;;
panic) echo c >/proc/sysrq-trigger; sleep 60 ;;
hang) sleep 1000 ;;
announced-reset) mercury-ask expect-reset 0 && reboot -f; sleep 60 ;;
announced-panic)
    mercury-ask expect-panic 0 || fail "expect-panic"
    echo c >/proc/sysrq-trigger
    sleep 60
    ;;
*) fail "no case '$1'" ;;
esac
