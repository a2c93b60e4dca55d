# SPDX-License-Identifier: MIT OR Apache-2.0
#
# refused.sh REQUIREMENT EXIT [WORDS]: this machine lacks something. 'mercury
# check' and 'mercury attach' name it, end with the exit code that docs/json.md
# gives it, say the words to people, and change nothing.
. /tests/common
requirement=$1 code=$2 words=$3
for command in check attach; do
    said=$(mercury $command --json)
    status=$?
    [ "$status" = "$code" ] || fail "mercury $command ended with $status where $code was expected: $said"
    echo "$said" | grep -q "\"$requirement\"" || fail "mercury $command does not name $requirement: $said"
    echo "mercury $command: refused for $requirement, exit code $status"
done
said=$(mercury attach 2>&1) && fail "mercury attach succeeded"
echo "$said"
case $said in
*"$words"*) ;;
*) fail "mercury attach does not say '$words'" ;;
esac
must_be native "after a refused attach"
