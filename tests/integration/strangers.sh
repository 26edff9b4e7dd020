#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Others change files below what is attached: a second package manager that holds dpkg's lock, one
# that knows nothing of dpkg, and one that writes in place. The base wins, and the status says so.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

for v in 1 2; do
	device_package hello 1.0-$v usr/lib/hello/a.txt=a$v usr/lib/hello/b.txt=b$v
	device_package other 1.0-$v usr/lib/other/c.txt=c$v
done
lab_base "$packages/hello_1.0-1.deb" "$packages/other_1.0-1.deb"
device_repository
texts() { cat /usr/lib/hello/a.txt /usr/lib/hello/b.txt /usr/lib/other/c.txt; }
component() { device_status ".components[] | select(.name == \"$1\") | .$2"; }
mkdir "$tap_dir/old" "$tap_dir/new"
cp "$packages"/*_1.0-1.deb "$tap_dir/old/"
cp "$packages"/*_1.0-2.deb "$tap_dir/new/"
pass "two components are published" publish add --from "$tap_dir/old" --to "$tap_dir/new"
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null

# dpkg's lock, as aptitude or synaptic hold it while they think
touch /var/lib/dpkg/lock-frontend
python3 -c 'import fcntl, sys, time
f = open("/var/lib/dpkg/lock-frontend", "r+"); fcntl.lockf(f, fcntl.LOCK_EX); print("held", flush=True); time.sleep(120)' >"$tap_dir/held" &
holder=$!
at_exit 'kill $holder 2>/dev/null'
until [[ -s $tap_dir/held ]]; do sleep 0.05; done
run bsi install
is "$run_status:$(texts)" 5:a1b1c1 "while another holds dpkg's lock nothing is attached"
like "$run_err" "held: package manager at work \\(process $holder\\)" "and the process is named"
is "$(device_status .state)" base "the device is on its base, not half of it"
run bsi run
is "$run_status" 5 "nor by a run of the timer"
kill $holder
wait $holder 2>/dev/null
run bsi install
is "$run_status:$(texts)" 0:a2b2c2 "afterwards it is attached" || diag "$run_err"

# one that replaces a file by name, in a namespace without our mounts
bsi base -- sh -c 'printf a9 >/usr/lib/hello/.new && mv /usr/lib/hello/.new /usr/lib/hello/a.txt'
is "$(cat /usr/lib/hello/a.txt)" a9 "a file that was replaced is seen at once"
is "$(cat /usr/lib/other/c.txt)" c2 "and other components stay"
unlike "$(bsi status | head -n 1)" ": protected" "the status does not say protected"
pass "the timer's run looks" bsi run
is "$(texts)" a9b1c2 "and takes off the rest of that component: the base wins"
is "$(component hello state) $(component other state)" "mismatch attached" "the status says mismatch"
like "$(component hello reason)" "a.txt" "and names the file"
bsi base -- sh -c 'printf a1 >/usr/lib/hello/.new && mv /usr/lib/hello/.new /usr/lib/hello/a.txt'
touch /var/lib/dpkg/status
pass "after the file came back" bsi attach
is "$(texts)" a2b2c2 "it is attached again"

# one in the host's own namespace finds a file that it cannot replace, and not half of it done
run sh -c 'printf a8 >/usr/lib/hello/.new && mv /usr/lib/hello/.new /usr/lib/hello/a.txt'
isnt "$run_status" 0 "without the base view a rename onto a patched file fails"
like "$run_err" "busy" "as busy"
rm -f /usr/lib/hello/.new
fail "nor can it be written" sh -c 'printf a8 >/usr/lib/hello/a.txt'
is "$(texts)" a2b2c2 "and nothing changed"

# one that writes in place: the mount stays, so only a look at the file tells
sleep 1.1 # a file that changed since the last run began is looked at in any case
pass "a run without news" bsi run
bsi base -- sh -c 'printf a7 >/usr/lib/hello/a.txt'
is "$(texts)" a2b2c2 "a base file that is written in place is still covered"
pass "the next run sees it" bsi run
is "$(texts)" a7b1c2 "and the base wins"
is "$(component hello state)" mismatch "as a mismatch"
bsi base -- sh -c 'printf c7 >/usr/lib/other/c.txt'
pass "so does the path unit's attach" bsi attach
is "$(texts)" a7b1c7 "for the other component"

# an owner's own binds of a place on itself, hardened with what a lid bears (but for strict atime), a disk below one
mkdir -p /usr/lib/own/disk
echo own >/usr/lib/own.txt
mount --bind /usr/lib/own /usr/lib/own
mount -t tmpfs disk /usr/lib/own/disk
echo here >/usr/lib/own/disk/x
mount -o remount,bind,ro,nosuid,nodev,noexec,nodiratime,nosymfollow /usr/lib/own
mount --bind /usr/lib/own.txt /usr/lib/own.txt
mount -o remount,bind,ro,nodev,nodiratime,nosymfollow /usr/lib/own.txt
owns() { grep -c ' /usr/lib/own[^ ]* ' /proc/self/mountinfo; }
theirs=$(owns) # what is mounted below may show on both
printf a1 | bsi base -- tee /usr/lib/hello/a.txt >/dev/null
printf c1 | bsi base -- tee /usr/lib/other/c.txt >/dev/null
pass "what is installed is attached" bsi attach
is "$(texts)" a2b2c2 "as far as it fits"
is "$(bsi base -- cat /usr/lib/own/disk/x)" here "a base view has them too"
pass "before dpkg everything of ours goes" bsi hook pre
is "$(texts):$(owns)" "a1b1c1:$theirs" "and nothing of theirs"
bsi hook post >/dev/null
pass "all off" bsi detach
is "$(texts):$(owns):$(cat /usr/lib/own/disk/x)" "a1b1c1:$theirs:here" "theirs stay"
pass "a removal" bsi remove
is "$(owns)" "$theirs" "leaves them as well"

# what doctor says of package managers that have no hook
unlike "$(bsi doctor)" "rpm keeps a database" "without another package manager doctor says nothing of it"
mkdir -p /var/lib/rpm
: >/var/lib/rpm/rpmdb.sqlite
run bsi doctor --json
problem=$(jq -rn '[inputs][0].checks[] | select(.name == "packages") | .problem' <<<"$run_out")
like "$problem" "rpm keeps a database here \\(/var/lib/rpm/rpmdb.sqlite\\)" "with one it is named"
like "$problem" "bsi base --follow" "and what to do"
finish
