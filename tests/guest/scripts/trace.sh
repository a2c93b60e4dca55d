# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A round trip recorded by mercury trace, and exported.
exec mercury-judge trace "$@"
