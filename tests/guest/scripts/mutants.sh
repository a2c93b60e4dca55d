# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Mercury broken on purpose: a check must notice.
exec mercury-judge mutants "$@"
