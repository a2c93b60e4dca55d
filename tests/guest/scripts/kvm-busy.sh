# SPDX-License-Identifier: MIT OR Apache-2.0
#
# KVM beside Mercury.
exec mercury-judge kvm-busy "$@"
