#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad input: a clear error that names the object, the documented exit status, nothing changed, and
# nothing that would stop the next good run.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

head -c 3000000 /dev/urandom >"$tap_dir/noise"
device_package hello 1.0-1 usr/lib/hello/a.txt=a1 usr/lib/hello/noise="@$tap_dir/noise"
printf x >>"$tap_dir/noise"
device_package hello 1.0-2 usr/lib/hello/a.txt=a2 usr/lib/hello/noise="@$tap_dir/noise"
device_package hello 1.0-3 usr/lib/hello/a.txt=a3 usr/lib/hello/noise="@$tap_dir/noise"
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --no-deltas --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null 2>&1
cp -a "$repo" "$tap_dir/good"
served=$tap_dir/served
serve() { rm -rf "$served" && cp -a "${1:-$tap_dir/good}" "$served"; }
# attached files, what is current, and what lies in the state beside trust data
state() { { grep ' /usr/lib/hello' /proc/self/mountinfo; find /var/lib/bsi/images /var/lib/bsi/generations; cat /var/lib/bsi/current; } 2>/dev/null | sort; }
# `refused WHAT STATUS TEXT COMMAND...`
refused() {
	local what=$1 status=$2 text=$3 before
	shift 3
	before=$(state)
	run "$@"
	[[ $run_status =~ ^($status)$ ]] && ok "$what: exit status $run_status" ||
		not_ok "$what: exit status" "got $run_status, wanted $status: $run_err"
	like "$run_err" "$text" "$what: says so"
	is "$(state)" "$before" "$what: nothing changed"
}

refused "no enrolment" 4 "not enrolled" bsi install
refused "not root" 3 "needs root" setpriv --reuid 65534 --regid 65534 --clear-groups bsi install
refused "no such verb" 2 "unknown verb 'instal'" bsi instal
refused "an address that is none" 2 "ftp" bsi enroll ftp://example/ --root "$repo/metadata/1.root.json"
refused "no root file" 1 "nowhere" bsi enroll "file://$served" --root /nowhere
head -c 100 "$repo/metadata/1.root.json" >"$tap_dir/cut.json"
refused "a truncated root" 6 "JSON" bsi enroll "file://$served" --root "$tap_dir/cut.json"
refused "a repository that is not there" 7 "served" bsi enroll "file://$served" --root "$repo/metadata/1.root.json"
serve
pass "the device enrols" bsi enroll "file://$served/" --root "$repo/metadata/1.root.json"

# every file of the repository that an install reads, damaged in every way
damage() {
	case $1 in
	truncated) truncate -s $(($(stat -c %s "$2") / 2)) "$2" ;;
	flipped) python3 -c 'import sys
p = sys.argv[1]; b = bytearray(open(p, "rb").read()); b[len(b) // 2] ^= 1; open(p, "wb").write(b)' "$2" ;;
	oversized) head -c 6000000 /dev/zero >>"$2" ;;
	HTML) printf '<!DOCTYPE html><html><body>Sign in to the network</body></html>' >"$2" ;;
	empty) : >"$2" ;;
	missing) rm "$2" ;;
	esac
}
pristine() { find /var/lib/bsi -mindepth 1 -delete; cp -a "$tap_dir/pristine/." /var/lib/bsi/; }
cp -a /var/lib/bsi "$tap_dir/pristine"
publish add --no-deltas --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" >/dev/null 2>&1
cp -a "$repo" "$tap_dir/newer"
for file in metadata/timestamp.json metadata/3.snapshot.json "metadata/3.$base.json" \
	"targets/$base/*.index.json" "targets/$base/*.manifest-2.json" "targets/$base/*.full.zst"; do
	for way in truncated flipped oversized HTML empty missing; do
		serve "$tap_dir/newer"
		pristine
		# the newest of several: only that one is read
		victim=$(cd "$served" && ls -t $file 2>/dev/null | head -n 1)
		[[ -n $victim ]] || { not_ok "$file is there"; continue; }
		for f in "$served"/$file; do damage $way "$f"; done
		run bsi install
		if [[ $run_status =~ ^(6|7)$ && -n $run_err && -z $(grep hello /proc/self/mountinfo) ]]; then
			ok "$way $file: refused with $run_status"
		else
			not_ok "$way $file: refused" "status $run_status: $run_out$run_err"
		fi
		serve "$tap_dir/newer"
		run bsi install
		[[ $run_status == 0 && $(cat /usr/lib/hello/a.txt) == a3 ]] ||
			not_ok "$way $file: the next good run works" "status $run_status: $run_err"
		bsi remove >/dev/null 2>&1
	done
done

pristine
serve
bsi install a >/dev/null 2>&1
is "$(cat /usr/lib/hello/a.txt)" a2 "(a) is installed again"
refused "metadata that expired" 6 "expired" faketime -f '+800d' bsi check
run faketime -f '+800d' bsi run
is "$(cat /usr/lib/hello/a.txt)" a2 "time alone never removes protection"
like "$(faketime -f '-3d' bsi status)" "the clock is wrong" "a clock that is behind is reported in words"
pass "and stops nothing" faketime -f '-3d' bsi check
# a publisher whose clock was ahead: what it signed holds devices to that time, until their owners begin anew
cp -a "$repo" "$tap_dir/kept-repo"
faketime -f '+200d' bsi-publish refresh "$repo" --all --keys "$keys" --no-passphrase >/dev/null 2>&1 ||
	diag "refresh in the future failed"
cp -a "$repo" "$tap_dir/ahead"
rm -rf "$repo" && mv "$tap_dir/kept-repo" "$repo"
serve "$tap_dir/ahead"
bsi check >/dev/null 2>&1
like "$(bsi status)" "the clock is wrong; or if the publisher's was" "what was signed ahead of time: the status says so"
is "$(cat /usr/lib/hello/a.txt)" a2 "and what is attached stays"
serve
refused "what is signed with the right time then" 6 "expired|lower|older|rollback|version" bsi check
bsi remove >/dev/null 2>&1
pass "until its owner begins anew" bsi enroll "file://$served" --replace --root "$repo/metadata/1.root.json"
pass "then it is taken again" bsi check
unlike "$(bsi status)" "the clock is wrong" "and nothing is said of a clock"
bsi install a >/dev/null 2>&1
serve "$tap_dir/newer"
bsi check >/dev/null
serve
refused "a repository that went back" 6 "lower|older|rollback|version" bsi check
bsi-publish init "$tap_dir/other" --base "$base" --no-passphrase >/dev/null
serve "$tap_dir/other"
refused "a repository of somebody else" 6 "sign" bsi check
rm -rf "$served"
refused "a repository that moved away" 7 "served" bsi check
is "$(cat /usr/lib/hello/a.txt)" a2 "after all that (a) is still attached"

for other in "debian:99:$(dpkg --print-architecture)" debian:12:s390x; do
	bsi-publish init "$tap_dir/$other" --base "$other" --no-passphrase >/dev/null
	refused "a repository for $other" 9 "no improvements for $base" \
		bsi enroll "file://$tap_dir/$other" --replace --root "$tap_dir/$other/metadata/1.root.json"
done
refused "a setting that is none" 2 "no setting 'autto'" bsi config autto on
refused "a letter that is none" 7 "not published" bash -c 'cp -a "$1/newer" "$1/served"; bsi install q' - "$tap_dir"

# two at once: the first waits for a server that never answers
bsi remove >/dev/null 2>&1
python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(5); print(s.getsockname()[1], flush=True); time.sleep(60)' >"$tap_dir/port" &
stall=$!
at_exit "umount $tap_dir/small 2>/dev/null"
at_exit "kill $stall 2>/dev/null"
until [[ -s $tap_dir/port ]]; do sleep 0.05; done
bsi enroll "http://127.0.0.1:$(cat "$tap_dir/port")" --replace --offline --root "$repo/metadata/1.root.json" >/dev/null
bsi check >/dev/null 2>&1 &
first=$!
sleep 0.5
refused "two at once" 5 "at work|locked|holds|process" bsi check
pass "the status works meanwhile" bsi status
kill $first $stall 2>/dev/null
wait $first 2>/dev/null

# a full disk
mkdir "$tap_dir/small"
mount -t tmpfs -o size=6m small "$tap_dir/small"
serve "$tap_dir/newer"
small() { bsi "$@" --state "$tap_dir/small"; }
small enroll "file://$served" --root "$repo/metadata/1.root.json" >/dev/null
refused "a disk without room" 8 "free" small install
head -c 10000000 /dev/zero >"$tap_dir/small/rest" 2>/dev/null
rm -f /run/bsi/*
pass "the status works on a full disk" small status
rm "$tap_dir/small/rest"
mount -o remount,size=30m "$tap_dir/small"
pass "with room it goes on" small install
is "$(cat /usr/lib/hello/a.txt)" a3 "and is attached, from a file system that needs a loop device"
finish
