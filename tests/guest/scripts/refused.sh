# SPDX-License-Identifier: MIT OR Apache-2.0
#
# refused.sh REQUIREMENT EXIT: this machine lacks something. 'mercury check' and
# 'mercury attach' name it, end with the exit code that docs/json.md gives it,
# and change nothing.
. /tests/common
requirement=$1 code=$2
for command in check attach; do
    said=$(mercury $command --json)
    status=$?
    [ "$status" = "$code" ] || fail "mercury $command ended with $status where $code was expected: $said"
    echo "$said" | grep -q "\"$requirement\"" || fail "mercury $command does not name $requirement: $said"
    echo "mercury $command: refused for $requirement, exit code $status"
done
mercury attach
must_be native "after a refused attach"
