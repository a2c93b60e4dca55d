# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A device that writes to Mercury's memory, with and without an IOMMU.
exec mercury-judge dma "$@"
