# SPDX-License-Identifier: MIT OR Apache-2.0
#
# several.sh SUITE...: these suites of the judge's, one after another in one boot,
# for a machine on which a boot takes longer than a suite (Bochs). None may skip.
. /tests/common
for suite in "$@"; do
    # Each is a word or a suite with its options.
    # shellcheck disable=SC2086
    mercury-judge $suite
    status=$?
    [ $status = 0 ] || fail "'$suite' ended with $status"
done
