# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Memory and PCI devices plugged in while attached. The machine needs
# -m ...,slots=..,maxmem=.. and two PCIe root ports, slot1 and slot2.
exec mercury-judge hot-add "$@"
