#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An improvement that breaks what every program needs can still be looked at and taken off.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

# `broken NAME LIBRARY PROBE`: publish a truncated LIBRARY, install it, see PROBE fail, repair.
broken() {
	local name=$1 library=$2 before
	shift 2
	before=$(sha256sum <"$library")
	head -c 4096 "$library" >"$tap_dir/truncated"
	device_package "$name" 1.0-1 "${library#/}=@$library"
	device_package "$name" 1.0-2 "${library#/}=@$tap_dir/truncated"
	pass "$name: a truncated library is published" publish add --from "$packages/${name}_1.0-1.deb" \
		--to "$packages/${name}_1.0-2.deb"

	run bsi install
	is "$run_status" 0 "$name: and installed" || diag "$run_err"
	fail "$name: programs that need it die" "$@"
	# what follows uses nothing of the host but the launcher and the shell that runs already
	bsi status >"$tap_dir/status"
	is "$?" 0 "$name: status works"
	bsi base -- "$@" >"$tap_dir/base" 2>&1
	is "$?" 0 "$name: the base view works"
	bsi "$repair" >"$tap_dir/repair" 2>"$tap_dir/repair.err"
	is "$?" 0 "$name: $repair works"
	pass "$name: programs run again" "$@"
	is "$(sha256sum <"$library")" "$before" "$name: the base is as it was"
	like "$(cat "$tap_dir/status")" '\(.\)' "$name: the status named the letter"
}

device_repository
enrolled=no
libcrypto=$(realpath /usr/lib/*-linux-gnu*/libcrypto.so.3)
libc=$(realpath /usr/lib/*-linux-gnu*/libc.so.6)
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null && enrolled=yes
is "$enrolled" yes "the device is enrolled at a folder"

# what only brings files is not needed to attach them, to tell about them, and to take them off
printf 'old\n' >"$tap_dir/old"
printf 'new\n' >"$tap_dir/new"
device_package text-test 1.0-1 "usr/lib/text-test=@$tap_dir/old"
device_package text-test 1.0-2 "usr/lib/text-test=@$tap_dir/new"
lab_base "$packages/text-test_1.0-1.deb"
publish add --from "$packages/text-test_1.0-1.deb" --to "$packages/text-test_1.0-2.deb" >"$tap_dir/log" 2>&1
run bsi install
is "$(cat /usr/lib/text-test)" new "before libcurl is broken a file is attached" || diag "$run_err"
libcurl=$(realpath /usr/lib/*-linux-gnu*/libcurl.so.4)
printf 'no library\n' >"$tap_dir/no-library"
mount --bind "$tap_dir/no-library" "$libcurl"
run bsi check
isnt "$run_status" 0 "with a libcurl that cannot be loaded nothing is asked of the repository"
like "$run_err" "cannot be loaded: .*libcurl" "and that is the reason that is given"
pass "what is attached goes off" bsi detach
is "$(cat /usr/lib/text-test)" old "and the base is bare"
run bsi attach
is "$(cat /usr/lib/text-test)" new "it is attached again" || diag "$run_err"
like "$(bsi status | head -n 1)" ": protected" "the status says so"
pass "and it is removed" bsi remove
is "$(cat /usr/lib/text-test)" old "which leaves the base"
umount "$libcurl"

repair=remove
broken crypto-test "$libcrypto" openssl version
repair=rollback
broken libc-test "$libc" /bin/true
finish
