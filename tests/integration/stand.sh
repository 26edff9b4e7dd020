#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is attached stands whatever goes wrong, and what was withdrawn goes whatever goes wrong:
# a server that is gone or withholds, a damaged state, a full disk, a reboot in between.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

for v in 1 2 3; do
	device_package hello 1.0-$v usr/lib/hello/a.txt=a$v usr/lib/hello/b.txt=b$v
done
lab_base "$packages/hello_1.0-1.deb"
device_repository
served=$tap_dir/served
texts() { cat /usr/lib/hello/a.txt /usr/lib/hello/b.txt; }
serve() { rm -rf "$served" && cp -a "$1" "$served"; }
# as after a reboot: no mounts, no run-time files
reboot() {
	while umount /usr/lib/hello/a.txt 2>/dev/null; do :; done
	while umount /usr/lib/hello/b.txt 2>/dev/null; do :; done
	rm -rf /run/bsi
}
keep() { rm -rf "$tap_dir/kept" && cp -a /var/lib/bsi "$tap_dir/kept"; }
bring() {
	find /var/lib/bsi -mindepth 1 -delete
	cp -a "$tap_dir/kept/." /var/lib/bsi/
	reboot
	bsi attach >/dev/null
}
image() { find /var/lib/bsi/images -type f | head -n 1; }

publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null 2>&1
cp -a "$repo" "$repo.a"
cp -a "$repo-online" "$tap_dir/online.a"
publish withdraw a --action remove --reason "breaks a printer" >/dev/null
cp -a "$repo" "$repo.w"
# another course of things from there on: the publisher's record goes back too
rm -rf "$repo" "$repo-online" && cp -a "$repo.a" "$repo" && cp -a "$tap_dir/online.a" "$repo-online"
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" >/dev/null 2>&1
cp -a "$repo" "$repo.b"
serve "$repo.a"
bsi enroll "file://$served" --root "$repo.a/metadata/1.root.json" >/dev/null
bsi install >/dev/null 2>&1
is "$(texts)" a2b2 "(a) is installed"
keep

# a withdrawal that was seen once
serve "$repo.w"
bsi check >/dev/null
rm -rf "$served"
run bsi run
is "$run_status" 7 "the repository is gone, and run says so"
is "$(texts)" a1b1 "and still obeys the withdrawal that was seen"
bring
serve "$repo.w"
bsi check >/dev/null
rm -rf "$served"
reboot
bsi attach >/dev/null 2>&1
is "$(texts)" a1b1 "nor does it come back at boot"

# a server that serves new roles and withholds the index that they list
bring
serve "$repo.w"
bsi check >/dev/null
serve "$repo.b"
# both are a version 3 of the same role: this one has no index that fits
rm "$served"/targets/*/*.index.json
bsi check >/dev/null 2>&1
unlike "$(bsi status | head -n 1)" ": protected" "a withheld index does not make a withdrawal forgotten"
like "$(bsi status | head -n 1)" "withdrawn" "the status still says it"

# an image that is damaged, or missing, on the disk
bring
serve "$repo.a"
printf x | dd of="$(image)" bs=1 seek=5000 conv=notrunc 2>/dev/null
reboot
bsi attach >/dev/null 2>&1
is "$(texts)" a1b1 "a damaged image is not attached"
run bsi run
is "$(texts)" a2b2 "run brings it again" || diag "$run_out$run_err"
rm "$(image)"
pass "an image that vanishes while it is attached" bsi attach
is "$(texts)" a2b2 "leaves the mounted code alone"
touch /var/lib/dpkg/status
bsi attach >/dev/null 2>&1
is "$(texts)" a2b2 "also when the packages are matched again"

# a new letter that cannot be had
bring
serve "$repo.b"
rm -f "$served"/targets/*/*.full.zst "$served"/targets/*/*.delta
reboot
run bsi run
is "$run_status" 7 "(b) cannot be had, and run says so"
is "$(texts)" a2b2 "(a) is attached all the same"

# a state that cannot be read
bring
serve "$repo.a"
generation=$(find /var/lib/bsi/generations -name 'manifest*' | head -n 1)
printf x | dd of="$generation" bs=1 seek=20 conv=notrunc 2>/dev/null
like "$(bsi status)" "cannot be read" "a damaged generation: the status says so"
run bsi run
is "$run_status" 0 "run installs it anew" || diag "$run_err"
is "$(texts)" a2b2 "and it is attached"
generation=$(find /var/lib/bsi/generations -name 'manifest*' | sort | tail -n 1)
printf x | dd of="$generation" bs=1 seek=20 conv=notrunc 2>/dev/null
run bsi remove
is "$run_status" 0 "and the owner can take it off" || diag "$run_err"
is "$(texts)" a1b1 "without anybody reading it"
bsi run >/dev/null 2>&1
is "$(texts)" a1b1 "nothing comes back by itself then"
bring
printf x >/var/lib/bsi/current
run bsi remove
is "$(texts)" a1b1 "also where current is damaged" || diag "$run_err"

# tidying up that fails is no result
bring
mkdir -p /var/lib/bsi/images/unremovable/x
mount --bind /var/lib/bsi/images/unremovable /var/lib/bsi/images/unremovable
pass "a collection that fails does not fail the removal" bsi remove
umount /var/lib/bsi/images/unremovable
bsi run >/dev/null 2>&1
is "$(texts)" a1b1 "and the letter stays denied"

# letters are names, builds are identities
bring
bsi-publish init "$tap_dir/other" --base "$base" --no-passphrase >/dev/null
bsi-publish add "$tap_dir/other" --base "$base" --no-passphrase --from "$packages/hello_1.0-1.deb" \
	--to "$packages/hello_1.0-3.deb" >/dev/null 2>&1
run bsi enroll "file://$tap_dir/other" --replace --root "$tap_dir/other/metadata/1.root.json"
is "$run_status" 4 "another publisher while (a) is attached: refused"
pass "the same publisher at another address: fine" bsi enroll "file://$repo.a" --replace \
	--root "$repo.a/metadata/1.root.json"

# what the owner sees
bring
serve "$repo.a"
umount /usr/lib/hello/b.txt
run bsi verify
is "$run_status" 6 "verify does not pass while a file is not covered"
bsi run >/dev/null 2>&1
is "$(texts)" a2b2 "run covers it again"
bsi base -- sh -c 'for f in a b; do cp /usr/lib/hello/$f.txt /tmp/.x.$$ && printf new >/usr/lib/hello/.$f && mv /usr/lib/hello/.$f /usr/lib/hello/$f.txt; done; rm -f /tmp/.x.*'
bsi run >/dev/null 2>&1
unlike "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status)" ": protected" \
	"what everybody sees follows when the base changes"
bring 2>/dev/null
printf '\nPackage: more\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n' >>/var/lib/dpkg/status
unlike "$(bsi status | head -n 1)" ": protected" "a changed package database: not protected before it was matched again"

# a name of a process that is no text
lab_base "$packages/hello_1.0-1.deb"
bring
cat >"$tap_dir/name.py" <<'PY'
import ctypes, mmap, sys, time
ctypes.CDLL(None).prctl(15, b"\xc2\x9b31m\xff", 0, 0, 0)
f = open(sys.argv[1], "rb"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print("ready", flush=True); time.sleep(60)
PY
bsi detach >/dev/null 2>&1 || reboot
python3 "$tap_dir/name.py" /usr/lib/hello/a.txt >"$tap_dir/ready" &
named=$!
at_exit "kill $named 2>/dev/null"
until [[ -s $tap_dir/ready ]]; do sleep 0.05; done
bsi attach >/dev/null 2>&1
run bsi exposure
is "$run_status" 0 "a process with a hostile name does not stop the scan"
like "$run_out" "1 of" "and is counted"
unlike "$run_out" $'\xc2\x9b' "its name steers no terminal"
kill $named
finish
