#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# In a Debian that systemd booted from a disk: the packages as an administrator uses
# them. Started by mercury-system.service at each boot; what is to be done at which boot
# is kept in /var/lib/mercury-system. Every line that begins with `ok` or `FAILED` is a
# result; the last says `done`.
set -u
packages=/packages
state=/var/lib/mercury-system
boot=$(cat "$state" 2>/dev/null || echo 1)

result() { # what, exit code
    if [ "$2" = 0 ]; then echo "ok $1"; else echo "FAILED $1"; fi
}
# What is expected to end with a code.
ends() { # code, what, command...
    code=$1 what=$2
    shift 2
    said=$("$@" 2>&1)
    found=$?
    [ $found = "$code" ]
    result "$what (exit $found)" $?
    [ $found = "$code" ] || echo "$said"
}
state_is() { # state, what
    found=$(mercury status --json | sed -n 's/^  "state": "\(.*\)",$/\1/p')
    [ "$found" = "$1" ]
    result "$2: the machine is $found" $?
}

first_boot() {
    ends 0 "apt install" apt-get install -y --no-install-recommends \
        "$packages"/mercury_*.deb "$packages"/mercury-dkms_*.deb
    dkms status
    for kernel in /lib/modules/*; do
        release=${kernel##*/}
        [ -e "$kernel/build" ] || continue
        ends 0 "DKMS built the module for $release" modinfo -k "$release" mercury
    done
    [ ! -e /dev/mercury ]
    result "being installed loads nothing" $?
    ends 1 "the unit is not enabled" systemctl is-enabled --quiet mercury
    ends 3 "check before the module is loaded" mercury check
    ends 0 "modprobe" modprobe mercury
    ends 0 "check" mercury check
    ends 0 "systemctl start" systemctl start mercury
    state_is attached "the unit is started"
    ends 0 "upgrade while attached" apt-get install -y --reinstall \
        "$packages"/mercury_*.deb "$packages"/mercury-dkms_*.deb
    state_is attached "after the upgrade"
    ends 0 "prove" mercury prove --expect guest
    ends 0 "systemctl stop" systemctl stop mercury
    state_is native "the unit is stopped"
    ends 0 "attach by hand" mercury attach
    ends 0 "man page" test -e /usr/share/man/man8/mercury-attach.8.gz
    ends 0 "purge while attached" apt-get purge -y mercury mercury-dkms
    [ ! -e /sys/module/mercury ]
    result "the module is unloaded" $?
    left=$(find / -xdev -name '*mercury*' \
        -not -path '/packages*' -not -path '*/mercury-system*' -not -path '/proc/*' -not -path '/var/log/*' \
        -not -path '/usr/src/linux-headers*' -not -path '/usr/lib/modules/*/kernel/*')
    [ -z "$left" ]
    result "purge leaves nothing $left" $?
    # Then with the unit enabled, into a boot on a machine that is refused.
    ends 0 "apt install again" apt-get install -y --no-install-recommends \
        "$packages"/mercury_*.deb "$packages"/mercury-dkms_*.deb
    ends 0 "systemctl enable" systemctl enable mercury
}

attached_boot() {
    state_is attached "booted with the unit enabled"
}

refused_boot() {
    [ "$(systemctl show -p ActiveState --value mercury)" = failed ]
    result "the unit has failed where check refuses" $?
    ends 0 "the boot went on to multi-user" systemctl is-active --quiet multi-user.target
    systemctl status --no-pager mercury
}

signed_boot() {
    said=$(modprobe mercury 2>&1)
    [ $? != 0 ] && [ ! -e /sys/module/mercury ]
    result "modprobe where signatures are demanded: $said" $?
    said=$(mercury attach 2>&1)
    echo "$said" | grep -q mokutil
    result "the tool says what to do about it" $?
    systemctl is-active --quiet multi-user.target
    result "the boot went on" $?
}

# The timer may have been quicker than the boot.
settled() {
    for _ in $(seq 600); do
        systemctl is-active --quiet multi-user.target && return
        sleep 1
    done
    echo "FAILED the boot did not come to multi-user in 10 minutes"
}

echo "boot $boot"
settled
case $boot in
1) first_boot ;;
2) attached_boot ;;
3) refused_boot ;;
4) signed_boot ;;
esac
echo "done $boot"
echo $((boot + 1)) >"$state"
sync
systemctl --no-block poweroff
