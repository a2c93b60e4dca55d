# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Checkpoints, crashes on purpose, and back, with whatever disk and network the
# machine has.
for module in virtio-pci virtio-blk virtio-net ahci sd_mod nvme e1000e ext4; do
    modprobe "$module" 2>/dev/null || true
done
exec mercury-judge survive "$@"
