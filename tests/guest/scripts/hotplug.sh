# SPDX-License-Identifier: MIT OR Apache-2.0
#
# CPUs go and come while attached.
exec mercury-judge hotplug "$@"
