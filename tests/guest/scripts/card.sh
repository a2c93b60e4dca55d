# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What an image for a board holds, tried on QEMU's model of the board: with
# Mercury in it the demonstration, else that Linux runs and reaches the rig.
. /tests/common
echo "$(tr -d '\0' </proc/device-tree/model): Linux $(uname -r), $(nproc) CPUs"
mercury-ask expect-shutdown 0 || fail "no answer from the rig"
[ -f "/lib/modules/$(uname -r)/extra/mercury.ko" ] || {
    echo "there is no Mercury on this card"
    exit 0
}
exec mercury-judge demonstrate "$@"
