#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Going on and going back: exchange, rollback, the publisher's minimum, and a change that fails.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

for v in 1 2 3 4; do
	device_package hello 1.0-$v usr/lib/hello/a.txt=a$v usr/lib/hello/b.txt=b$v
done
lab_base "$packages/hello_1.0-1.deb"
device_repository
texts() { cat /usr/lib/hello/a.txt /usr/lib/hello/b.txt; }
for v in 2 3; do
	publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-$v.deb" >/dev/null 2>&1
done
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
run bsi rollback
is "$run_status" 1 "on the base there is nothing to go back from"
bsi install a >/dev/null 2>&1
is "$(texts)" a2b2 "(a) is installed"
run bsi run
is "$(texts)" a3b3 "run goes on to (b)"
like "$run_out" "2 files exchanged" "by exchange"
is "$(grep -c ' /usr/lib/hello/a.txt ' /proc/self/mountinfo)" 1 "and the stack stays one deep"
run bsi rollback
is "$(texts)" a2b2 "rollback goes back to (a)"
like "$run_out" "\(a\)" "and says so"
bsi run >/dev/null
is "$(texts)" a2b2 "(b) is not taken again by itself"
like "$(bsi status)" "taken off on this device" "the status says why"
bsi rollback >/dev/null
is "$(texts)" a1b1 "a second rollback goes to the base, not forward again"
is "$(find /var/lib/bsi/images -type f | wc -l)" 0 "images that nothing uses are gone"

bsi install b >/dev/null 2>&1
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-4.deb" >/dev/null 2>&1
# a package manager at work: the change cannot be made, and everything stays
python3 -c 'import fcntl, time, sys
f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX); print("locked", flush=True); time.sleep(60)' >"$tap_dir/locked" &
holder=$!
at_exit "kill $holder 2>/dev/null"
until [[ -s $tap_dir/locked ]]; do sleep 0.05; done
run bsi install
is "$run_status" 5 "while a package manager is at work nothing is attached"
like "$run_err" "package manager" "and the reason is given"
is "$(texts)" a3b3 "(b) is still attached"
is "$(device_status .letter)" b "and current"
fail "a removal waits too" bsi remove
is "$(texts)" a3b3 "and changes nothing"
kill $holder
wait $holder 2>/dev/null
run bsi install
is "$(texts)" a4b4 "afterwards it goes on"
bsi rollback >/dev/null
is "$(texts)" a3b3 "what failed in between is not what was before"

publish minimum b >/dev/null
bsi check >/dev/null
run bsi remove
is "$run_status" 10 "below the publisher's minimum removal is refused"
like "$run_err" "below-minimum" "with the way to insist"
run bsi install a
is "$run_status" 10 "and so is a lower letter"
pass "the owner may insist" bsi remove --below-minimum
is "$(texts)" a1b1 "and is on the base"
finish
