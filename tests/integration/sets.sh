#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# One published image over two older versions of a package; what fits no base set is left alone;
# what the base has already is superseded; what a device does not have is absent.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

for v in 1 2 3; do
	device_package hello 1.0-$v usr/lib/hello/a.txt=a$v usr/lib/hello/b.txt=b$v usr/lib/hello/same.txt=same
	device_package other 1.0-$v usr/lib/other/o.txt=o$v
done
device_repository
pass "two base states and one patched state" publish add \
	--from "$packages/hello_1.0-1.deb,$packages/other_1.0-1.deb" --from "$packages/hello_1.0-2.deb" \
	--to "$packages/hello_1.0-3.deb,$packages/other_1.0-3.deb" --cve-named

# `device STATE VERSION`: a fresh device with that version, enrolled
device() {
	bsi remove --below-minimum >/dev/null 2>&1
	rm -rf /usr/lib/hello /usr/lib/other
	find /var/lib/bsi -mindepth 1 -delete
	rm -rf /run/bsi
	[[ -z ${1:-} ]] || lab_base "$packages/hello_1.0-$1.deb"
	bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
}
component() { device_status ".components[] | select(.name == \"$1\") | .$2"; }
texts() { cat /usr/lib/hello/a.txt /usr/lib/hello/b.txt; }

for v in 1 2; do
	device $v
	run bsi install
	is "$run_status" 0 "version $v: installed" || diag "$run_err"
	is "$(texts)" a3b3 "version $v: patched"
	is "$(bsi base -- cat /usr/lib/hello/a.txt)" a$v "version $v: its own base below"
	is "$(component other state)" absent "version $v: what is not there is absent"
	is "$(device_status .state)" protected "version $v: which is no fault"
	is "$(component hello files)" 2 "version $v: a file that did not change is not in the image"
done

device 3
run bsi install
is "$run_status" 0 "the fixed version: nothing to do is no error"
is "$(component hello state)" superseded "the fixed version: superseded"
is "$(device_status '.cves_fixed[0]')" CVE-2026-0001 "the fixed version: its CVE counts as fixed"
fail "the fixed version: nothing is mounted" grep -q ' /usr/lib/hello' /proc/self/mountinfo

device 1
printf 'changed by hand' >/usr/lib/hello/b.txt
run bsi install
is "$run_status" 9 "a file that merely differs: refused"
like "$run_err" "usr/lib/hello/b.txt" "a file that merely differs: named"
is "$(texts)" "a1changed by hand" "a file that merely differs: nothing changed"
run bsi run
is "$run_status" 0 "the timer does not fail because of it"
like "$(bsi status)" "does not fit" "and the status says it"

device 1
bsi install >/dev/null 2>&1
lab_unpack "$packages/hello_1.0-3.deb" 2>/dev/null
like "$(bsi base -- sh -c 'printf two >/usr/lib/hello/new && mv /usr/lib/hello/new /usr/lib/hello/a.txt; cat /usr/lib/hello/a.txt')" two \
	"below the graft a file is replaced"
is "$(cat /usr/lib/hello/a.txt)" two "and wins at once"
run bsi attach
is "$(cat /usr/lib/hello/b.txt)" b1 "the component no longer matches as a whole and goes off"
like "$(bsi status)" "does not fit" "the status says so"
like "$(device_status '.cves_open[0]')" CVE-2026-0001 "and its CVE is open"
finish
