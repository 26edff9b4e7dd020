#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where an attach is not possible: in a container, or on a kernel that lacks something. Refused with
# the reason, before anything is brought; the status works; and nothing is claimed that is not so.
# A kernel is made poorer by a filter on system calls (refuse.c); the rest of the way is the real one.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

refuse=$BSI_BUILD/tests/integration/refuse
device_package hello 1.0-1 usr/lib/hello/a.txt=a1
device_package hello 1.0-2 usr/lib/hello/a.txt=a2
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
sees() { cat /usr/lib/hello/a.txt; }
brought() { find /var/lib/bsi/images /var/lib/bsi/generations -mindepth 1 2>/dev/null | wc -l; }
doctor() { "$@" bsi doctor --json 2>/dev/null | jq -rn '[inputs][0].checks[] | select(.name == "mounts") | .problem'; }

no_right=(setpriv --bounding-set -sys_admin --inh-caps -sys_admin)
# `place WHAT REGEX COMMAND...`: bsi below COMMAND
place() {
	local what=$1 regex=$2 json
	shift 2
	run "$@" bsi install
	is "$run_status:$(sees):$(brought)" 11:a1:0 "$what: refused, and nothing was brought" || diag "$run_err"
	like "$run_err" "$regex" "$what: with the reason"
	json=$("$@" bsi install --json 2>/dev/null)
	is "$(jq -r .error.id <<<"$json")" unsupported "$what: and the id"
	run "$@" bsi run
	is "$run_status:$(brought)" 11:0 "$what: a run of the timer neither"
	like "$("$@" bsi status | head -n 1)" "the base" "$what: the status works"
	like "$(doctor "$@")" "$regex" "$what: doctor says it too"
}
bsi config auto on >/dev/null
place "no CAP_SYS_ADMIN" "a container without CAP_SYS_ADMIN" "${no_right[@]}"
place "a user namespace" "root of a user namespace" unshare --user --map-root-user
place "a user namespace with mounts of its own" "root of a user namespace" unshare --user --map-root-user --mount
place "no EROFS" "this kernel has no EROFS.*modprobe erofs" "$refuse" fsopen=ENODEV
for call in fsopen open_tree move_mount mount_setattr; do
	place "no $call" "the system call $call is missing: bsi needs Linux 5.12" "$refuse" $call=ENOSYS
done
place "a filter on mounts" "open_tree is refused .*not let bsi mount" "$refuse" open_tree=EPERM

# a machine that had it attached, and boots a kernel that cannot
run bsi install
is "$run_status:$(sees)" 0:a2 "the machine itself attaches" || diag "$run_err"
bsi detach
for filter in fsopen=ENODEV open_tree=ENOSYS; do
	rm -rf /run/bsi
	run "$refuse" $filter bsi attach --boot
	is "$run_status:$(sees)" 11:a1 "$filter at boot: the base stays"
	like "$("$refuse" $filter bsi status)" "not attached since boot: .*(EROFS|open_tree)" "$filter at boot: the status says why"
	is "$("$refuse" $filter bsi status --json | jq -r .boot.action)" failed "$filter at boot: for programs as well"
	is "$(jq .content.current /var/lib/bsi/current)" 1 "$filter at boot: and it is still wanted"
	bsi boot-complete
done
rm -rf /run/bsi
run bsi attach --boot
is "$run_status:$(sees)" 0:a2 "with the right kernel the next boot attaches"
bsi boot-complete

# a container that sees the machine's mounts
for how in "" --mount; do
	what="in a user namespace${how:+ with mounts of its own}"
	# shellcheck disable=SC2086
	ns() { unshare --user --map-root-user $how "$@"; }
	run ns bsi base -- cat /usr/lib/hello/a.txt
	is "$run_status:$run_out" 3: "$what: a base view that would be none is refused"
	like "$run_err" "root of a container: run it on the machine" "$what: with the next step"
	run ns bsi remove
	is "$run_status:$(sees)" 11:a2 "$what: nothing is taken off"
	is "$(jq .content.current /var/lib/bsi/current)" 1 "$what: nor is that wanted from now on"
	run ns bsi base --lenient -- cat /usr/lib/hello/a.txt
	is "$run_status:$run_out" 0:a2 "$what: who does not mind gets the files as they are"
done
run "${no_right[@]}" bsi base -- cat /usr/lib/hello/a.txt
is "$run_status" 3 "without the right to mount there is no base view"
run "${no_right[@]}" bsi remove
is "$run_status:$(sees)" 11:a2 "and nothing is taken off"
run "${no_right[@]}" bsi detach
is "$run_status:$(sees)" 3:a2 "neither by detach"
like "$run_err" "run it on the machine" "which says where to go"
pass "on the machine it is removed" bsi remove
is "$(sees)" a1 "and the base is there"
finish
