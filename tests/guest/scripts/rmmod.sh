# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The module stays while Mercury is attached, and goes when it is not.
. /tests/common
attach
if rmmod mercury 2>/tmp/rmmod; then fail "the module was removed while attached"; fi
cat /tmp/rmmod
must_be attached "after rmmod was refused"
detach
rmmod mercury || fail "rmmod after detach"
[ ! -e /dev/mercury ] || fail "/dev/mercury is still there"
insmod "/lib/modules/$(uname -r)/extra/mercury.ko" || fail "loading the module again"
attach
detach
