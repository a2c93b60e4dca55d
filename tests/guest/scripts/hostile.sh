# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A kernel and programs that mean harm, from a seed: --seed N --count ROUNDS.
exec mercury-judge hostile "$@"
