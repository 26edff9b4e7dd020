#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A verb that is killed before any of its system calls leaves a device that works, and from which
# the next run goes on. CUT_POINTS says how many points of each verb are tried (0: every one).
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cutat=$BSI_BUILD/tests/unit/store/cutat
points=${CUT_POINTS:-40}

device_package hello 1.0-1 usr/lib/hello/a.txt=a1 usr/lib/hello/b.txt=b1
device_package hello 1.0-2 usr/lib/hello/a.txt=a2 usr/lib/hello/b.txt=b2
device_package hello 1.0-3 usr/lib/hello/a.txt=a3 usr/lib/hello/b.txt=b3
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" 2>/dev/null >/dev/null
cp -a "$repo" "$repo.a"
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb" 2>/dev/null >/dev/null
cp -a "$repo" "$repo.b"
publish withdraw b --action remove --reason bad >/dev/null
cp -a "$repo" "$repo.w"
mkdir "$tap_dir/served"

texts() { cat /usr/lib/hello/a.txt /usr/lib/hello/b.txt; }
serve() { ln -sfn "$repo.$1" "$tap_dir/now"; }
# the state of a device, kept and brought back
keep() { rm -rf "$tap_dir/kept.$1" && cp -a /var/lib/bsi "$tap_dir/kept.$1"; }
bring() {
	find /var/lib/bsi -mindepth 1 -delete
	cp -a "$tap_dir/kept.$1/." /var/lib/bsi/
	rm -rf /run/bsi
	bsi attach >/dev/null 2>&1
}

# `sweep NAME STATE SERVED WANTED REPAIR... -- VERB...`: cut VERB everywhere, then REPAIR must do
sweep() {
	local name=$1 from=$2 served=$3 wanted=$4 n total step cut=0 bad=0 mixed=0 now
	local -a repair=()
	shift 4
	while [[ $1 != -- ]]; do repair+=("$1"); shift; done
	shift

	serve "$served"
	bring "$from"
	total=$("$cutat" 0 "$@" 2>&1 >/dev/null | tail -n 1)
	[[ $total =~ ^[0-9]+$ ]] || { not_ok "$name: counted" "$total"; return; }
	is "$(texts)" "$wanted" "$name: $total system calls, uncut it works"
	step=1
	((points == 0 || total <= points)) || step=$((total / points))
	for ((n = 1; n <= total; n += step)); do
		bring "$from"
		"$cutat" "$n" "$@" >/dev/null 2>&1
		(($? == 137)) && cut=$((cut + 1))
		# whatever is there now, each file is of one state
		now=$(texts)
		[[ $now =~ ^a[123]b[123]$ ]] || mixed=$((mixed + 1))
		"${repair[@]}" >/dev/null 2>"$tap_dir/repair.err" || true
		if [[ $(texts) != "$wanted" ]] || ! bsi verify >/dev/null 2>"$tap_dir/verify.err"; then
			bad=$((bad + 1))
			diag "$name: cut before call $n: then $now, after the repair $(texts): $(cat "$tap_dir/repair.err" "$tap_dir/verify.err" 2>/dev/null)"
		fi
	done
	is "$bad" 0 "$name: $cut cuts, and after each the next run did the rest"
	is "$mixed" 0 "$name: no file was missing or torn"
	[[ $cut -gt 0 ]] && ok "$name: the cuts were reached" || not_ok "$name: the cuts were reached"
}

serve a
bsi enroll "file://$tap_dir/now" --root "$repo/metadata/1.root.json" >/dev/null
keep enrolled
bsi install >/dev/null 2>&1
is "$(texts)" a2b2 "(a) is installed"
keep a
serve b
bsi run >/dev/null 2>&1
is "$(texts)" a3b3 "(b) is installed"
keep b

sweep install enrolled a a2b2 bsi run -- bsi run
sweep exchange a b a3b3 bsi run -- bsi run
# a fresh device gets (a) now, and so does this one
sweep withdrawal b w a2b2 bsi run -- bsi run
sweep remove a a a1b1 bsi remove -- bsi remove

# detach, cut anywhere: what lies on the files meanwhile (lids) is no improvement, and in nobody's way
serve a
bring a
lids() { grep -c ' /usr/lib/hello/[ab].txt .*nosymfollow' /proc/self/mountinfo; }
mounts() { grep -c ' /usr/lib/hello/[ab].txt ' /proc/self/mountinfo; }
total=$("$cutat" 0 bsi detach 2>&1 >/dev/null | tail -n 1)
is "$(texts):$(mounts)" a1b1:0 "detach: $total system calls, uncut it works"
step=1
((points == 0 || total <= points)) || step=$((total / points))
with_lids=0 untrue= left=
for ((n = 1; n <= total; n += step)); do
	bring a
	"$cutat" "$n" bsi detach >/dev/null 2>&1
	now=$(texts) were=$(lids)
	((were == 0)) || with_lids=$((with_lids + 1))
	state=$(device_status '.components[0].state')
	case $now:$state in
	a2b2:attached) ;;
	a[12]b[12]:attached | a2b2:*) untrue+=" $n:$now:$state" ;;
	a[12]b[12]:*) ;;
	*) untrue+=" $n:$now" ;;
	esac
	# to be repaired by each of those who may come next
	case $((n / step % 4)) in
	0) bsi attach >/dev/null && [[ $(texts):$(lids):$(mounts) == a2b2:0:2 ]] ;;
	1) bsi detach && [[ $(texts):$(mounts) == a1b1:0 ]] ;;
	2) bsi hook pre && [[ $(texts):$(mounts) == a1b1:0 ]] && bsi hook post >/dev/null && [[ $(texts):$(mounts) == a2b2:2 ]] ;;
	3) bsi base -- sh -c 'cat /usr/lib/hello/?.txt; grep -c " /usr/lib/hello/" /proc/self/mountinfo' | tr '\n' ' ' | grep -qx 'a1 b1 0 \|a1b10 ' ;;
	esac || left+=" $n:$now:$(texts):$(mounts)"
done
isnt "$with_lids" 0 "detach: cuts that leave lids"
is "$untrue" "" "the status calls attached what is, and nothing under a lid"
is "$left" "" "the next attach, detach, dpkg or base view finds no lid in its way"

# detach, which asks for no lock, in the middle of an attach: whatever comes of both, the next run looks
bring a
bsi detach
total=$("$cutat" 0 bsi attach 2>&1 >/dev/null | tail -n 1)
step=1
((points == 0 || total <= 2 * points)) || step=$((total / (2 * points)))
wrong= blind= off=0
for ((n = 1; n <= total; n += step)); do
	bring a
	bsi detach
	"$cutat" "$n!bsi detach" bsi attach >/dev/null 2>&1
	now=$(texts)
	[[ $now == a1b1 ]] && off=$((off + 1))
	[[ $now =~ ^a[12]b[12]$ ]] || wrong+=" $n:$now"
	bsi attach >/dev/null 2>&1
	[[ $(texts):$(lids):$(mounts) == a2b2:0:2 ]] || blind+=" $n:$now:$(texts):$(mounts)"
done
isnt "$off" 0 "attach: a detach in its midst can be the last word"
is "$wrong" "" "and each file is of one state"
is "$blind" "" "the next attach is not told that all is done"
finish
