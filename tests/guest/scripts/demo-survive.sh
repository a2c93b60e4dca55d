# SPDX-License-Identifier: MIT OR Apache-2.0
#
# One screen: a counter and a file writer run, the kernel is crashed on purpose, the
# counter goes on. The script is rolled back too: all that it knows of the crash is that
# `mercury checkpoint` comes back a second time.
. /tests/common
counter() { cat /tmp/counter; }
lines() { wc -l </tmp/written; }

echo "Guarded"
mercury guard on --store 256M || fail "mercury guard on ended with $?"
(
    number=0
    while :; do
        number=$((number + 1))
        echo $number >/tmp/counter.new && mv /tmp/counter.new /tmp/counter
        sleep 0.1
    done
) &
counting=$!
(while :; do cat /proc/uptime >>/tmp/written; sleep 0.1; done) &
writing=$!
sleep 1

echo "Checkpoint at counter $(counter), $(lines) lines written"
kept_counter=$(counter) kept_lines=$(lines)
said=$(mercury checkpoint --json) || fail "mercury checkpoint ended with $?: $said"
case $said in
*'"taken"'*)
    sleep 2
    echo "Crash      at counter $(counter), $(lines) lines written: echo c >/proc/sysrq-trigger"
    sleep 0.2
    echo c >/proc/sysrq-trigger
    fail "the crash came back"
    ;;
*'"rolled-back"'*) ;;
*) fail "mercury checkpoint said $said" ;;
esac

first=$(counter)
echo "Back       at counter $first, $(lines) lines written"
[ "$first" -lt $((kept_counter + 15)) ] || fail "the counter is not the checkpoint's, which was $kept_counter"
[ "$(lines)" -lt $((kept_lines + 15)) ] || fail "the file is not the checkpoint's, which had $kept_lines lines"
sleep 1
last=$(counter)
echo "Going on   at counter $last, $(lines) lines written"
[ "$last" -gt "$first" ] || fail "the counter stands still"
kill $counting $writing

echo "What had happened"
mercury postmortem >/tmp/postmortem || fail "mercury postmortem ended with $?"
head -n 1 /tmp/postmortem
grep -m 1 "Kernel panic" /tmp/postmortem || fail "mercury postmortem does not tell of the panic"
mercury guard off >/dev/null || fail "mercury guard off ended with $?"
detach
