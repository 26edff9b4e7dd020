#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the owner of a device did to a base file (mode, owner, group, capabilities, ACL) is never undone
# by a patched file: the component is not attached, or goes off, and the reason says what and why.
# Put back, it is attached again.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cat >"$tap_dir/who.c" <<'C'
#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%d " MARK "\n", (int)geteuid()); }
C
for mark in old new; do
	cc -O1 -DMARK="\"$mark\"" -o "$tap_dir/who.$mark" "$tap_dir/who.c" || exit 99
done
tool=/usr/lib/hello/tool
finish_package() { chmod 4755 "$1$tool"; }
device_finish=finish_package
device_package hello 1.0-1 usr/lib/hello/tool=@"$tap_dir/who.old" usr/lib/hello/a.txt=a1
device_package hello 1.0-2 usr/lib/hello/tool=@"$tap_dir/who.new" usr/lib/hello/a.txt=a2
device_repository
pass "a setuid program is published" publish add \
	--from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" --cve-named
pass "and what was published verifies" bsi-publish verify "$repo"

# `device`: a fresh device with the old version, enrolled
device() {
	bsi remove --below-minimum >/dev/null 2>&1
	rm -rf /usr/lib/hello /run/bsi
	find /var/lib/bsi -mindepth 1 -delete
	lab_base "$packages/hello_1.0-1.deb"
	bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
}
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
component() { device_status ".components[] | select(.name == \"hello\") | .$1"; }
has_acl() { getfattr -n system.posix_acl_access "$1" >/dev/null 2>&1; }
listing() { stat -c '%n %a %u:%g %i %s %y' /usr/lib/hello/*; getcap $tool; }
# rwx for the owner, r-x for the group and others, and r-- for user 7: version 2, then tag, permissions, id
acl=0x0200000001000700ffffffff020004000700000004000500ffffffff10000500ffffffff20000500ffffffff

# `change NAME`, `restore NAME`: what the owner of the device does below; both as `bsi base` runs them
change() {
	case $1 in
	mode) chmod 0755 $tool ;;
	owner) chown 65534 $tool && chmod 4755 $tool ;;
	group) chgrp 12 $tool && chmod 4755 $tool ;;
	capabilities) setcap cap_net_raw+ep $tool ;;
	acl) setfattr -n system.posix_acl_access -v $acl $tool ;;
	esac
}
restore() {
	case $1 in
	capabilities) setcap -r $tool ;;
	acl) setfattr -x system.posix_acl_access $tool && chmod 4755 $tool ;;
	*) chown 0:0 $tool && chmod 4755 $tool ;;
	esac
}
below() {
	local what=$1 name=$2

	tool=$tool acl=$acl bsi base -- bash -c "$(declare -f "$what"); $what $name"
}
declare -A words=(
	[mode]="usr/lib/hello/tool: mode 0755 here, 4755 in the base it was made for: the owner changed it; to have the fix, chmod 4755"
	[owner]="usr/lib/hello/tool: owned by user 65534 here, 0 in the base it was made for: the owner changed it"
	[group]="usr/lib/hello/tool: owned by group 12 here, 0 in the base it was made for: the owner changed it"
	[capabilities]="usr/lib/hello/tool: file capabilities or an ACL here, none in the base it was made for: the owner changed it"
	[acl]="usr/lib/hello/tool: file capabilities or an ACL here, none in the base it was made for: the owner changed it"
)

device
pass "nothing changed: installed" bsi install
is "$(nobody $tool)" "0 new" "the setuid program is patched, and is setuid"
is "$(device_status .state)" protected "and all is well"

for name in mode owner group capabilities acl; do
	device
	if ! change $name 2>/dev/null || { [[ $name == acl ]] && ! has_acl $tool; }; then
		skip "$name changed" "not possible on this file system"
		continue
	fi
	before=$(listing)
	run bsi install
	is "$run_status" 9 "$name changed: refused"
	[[ $run_err == *"${words[$name]}"* ]] && ok "$name changed: the reason names file and difference" ||
		not_ok "$name changed: the reason names file and difference" "$run_err"
	is "$(listing)" "$before" "$name changed: it stays as the owner has it"
	fail "$name changed: nothing is mounted" grep -q ' /usr/lib/hello' /proc/self/mountinfo
	run bsi run
	is "$run_status" 0 "$name changed: the timer does not fail because of it"

	pass "$name put back" restore $name
	pass "$name put back: installed" bsi install
	is "$(nobody $tool)" "0 new" "$name put back: patched, and setuid"

	pass "$name changed while attached" below change $name
	is "$(nobody $tool)" "0 new" "$name changed while attached: what runs is the patched one still"
	run bsi run
	is "$run_status" 0 "$name changed while attached: the next run is no failure" || diag "$run_err"
	like "$(nobody $tool)" old "$name changed while attached: it is off"
	is "$(cat /usr/lib/hello/a.txt)" a1 "$name changed while attached: as a whole"
	is "$(component state)" mismatch "$name changed while attached: the status says so"
	[[ $(component reason) == *"${words[$name]}"* ]] && ok "$name changed while attached: and names the difference" ||
		not_ok "$name changed while attached: and names the difference" "$(component reason)"
	is "$(device_status '.cves_open[0]')" CVE-2026-0001 "$name changed while attached: its CVE is open"

	pass "$name put back again" restore $name
	pass "$name put back again: a run" bsi run
	is "$(nobody $tool)" "0 new" "$name put back again: attached"
	is "$(device_status .state)" protected "$name put back again: and all is well"
done

# what has the fix has it, whoever may run it
device
lab_base "$packages/hello_1.0-2.deb"
chmod 0700 $tool
pass "the fixed version with another mode: nothing to do" bsi install
is "$(component state)" superseded "the fixed version with another mode: superseded"
is "$(stat -c %a $tool)" 700 "the fixed version with another mode: it stays"

# dpkg's own record of such a change; chmod is what it does
device
pass "dpkg-statoverride" dpkg-statoverride --update --add root root 0755 $tool
run bsi install
is "$run_status" 9 "dpkg-statoverride: refused"
is "$(nobody $tool)" "65534 old" "dpkg-statoverride: holds"
dpkg-statoverride --remove $tool
chmod 4755 $tool
pass "dpkg-statoverride taken back: installed" bsi install
fail "an attached file refuses" dpkg-statoverride --update --add root root 0755 $tool
pass "and below it can be changed" bsi base -- dpkg-statoverride --force-all --update --add root root 0755 $tool
pass "which takes it off" bsi attach
is "$(nobody $tool)" "65534 old" "dpkg-statoverride below: holds"
finish
