# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Addresses that iomem does not name, touched while attached.
exec mercury-judge on-demand "$@"
