#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What checks the reads of an attached image, and the owner's word that something must. Where the
# kernel has neither dm-verity nor fs-verity, require-seal keeps everything off and says why; where it
# has one, that one is named and holds. What the seals themselves do is tested in tests/vm.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

lab_pair_made "$tap_dir/made" || skip_all "no compiler"
lab_base "$tap_dir"/made/old/*.deb
device_repository
# a third version, so that there is something new to hold
cp -a "$tap_dir/made/new" "$tap_dir/made/third"
mkdir "$tap_dir/unpacked"
dpkg-deb -R "$tap_dir"/made/new/*.deb "$tap_dir/unpacked"
printf 'int lab_version(void);\nint lab_version(void) { return 3; }\n' |
	cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tap_dir/unpacked/usr/lib/lab/liblab.so.1" -x c -
sed -i 's/^Version: .*/Version: 1.0-3/' "$tap_dir/unpacked/DEBIAN/control"
(cd "$tap_dir/unpacked" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
rm "$tap_dir"/made/third/*.deb
dpkg-deb --root-owner-group -b "$tap_dir/unpacked" "$tap_dir/made/third/liblab1.deb" >/dev/null

mounted() { grep -c ' /usr/lib/lab/' /proc/self/mountinfo; }
component() { device_status ".components[] | select(.name == \"liblab1\") | $1"; }
# Whether this kernel can check reads of a file there: asked without our own code.
can_seal() {
	modprobe -q dm-verity 2>/dev/null
	grep -q device-mapper /proc/devices && return 0
	: >"$tap_dir/probe" && fsverity enable "$tap_dir/probe" 2>/dev/null
}

is "$(bsi config | grep require-seal)" "require-seal no" "no seal is required at first"
run bsi config require-seal maybe
is "$run_status" 2 "a word that is none is a usage error"
like "$run_err" "yes or no" "and says what there is"
pass "(a) is published" publish add --from "$tap_dir/made/old" --to "$tap_dir/made/new"
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
pass "the device takes it" bsi install
is "$(lab)" 2 "it is attached"

if can_seal; then
	like "$(component .seal)" '^(dm|fs)-verity$' "the kernel checks its reads"
	seal=$(component .seal)
	like "$(cat /proc/self/mountinfo)" "/run/bsi/image/$seal/liblab1-[0-9a-f]{64} " "the mount says so"
	is "$(bsi history --json | jq ".[] | select(.event == \"installed\") | .detail.images[\"$seal\"]")" 1 \
		"and so does the history"
	bsi config require-seal yes >/dev/null
	run bsi run
	is "$run_status $(lab)" "0 2" "where a seal is required it stays"
	pass "doctor is content" bash -c 'bsi doctor --json | jq -e ".checks[] | select(.name == \"seal\") | .well"'
	bsi remove >/dev/null
	is "$(mounted)" 0 "it goes"
	sleep 1
	unlike "$(cat /sys/block/dm-*/dm/name 2>/dev/null)" "^bsi-liblab1" "and no device of it stays"
	finish
fi

is "$(component .seal)" measured "this kernel has no seal: it is measured"
like "$(cat /proc/self/mountinfo)" "/run/bsi/image/liblab1-[0-9a-f]{64} " "the mount says so"
is "$(bsi history --json | jq '.[] | select(.event == "installed") | .detail.images.measured')" 1 \
	"and so does the history"

run bsi config require-seal yes
is "$run_status" 0 "a seal is required"
like "$run_err" "'bsi run' does it now" "and what brings that about is said"
run bsi config require-seal yes
is "$run_status:$run_err" "0:" "once"
is "$(bsi config --json | jq '."require-seal"')" true "the configuration says so"
run bsi run
is "$run_status" 0 "run is no failure"
is "$(mounted) $(lab)" "0 1" "what is only measured goes off"
like "$run_err" "require-seal is set" "and it says why"
is "$(component .state)" detached "the status: detached"
like "$(component .reason)" "no dm-verity.*no fs-verity.*bsi config require-seal no" \
	"with what is missing, and the next step"
run bsi attach
is "$(mounted)" 0 "attach does not bring it"
run bsi run
is "$run_status $(mounted)" "0 0" "nor does another run"
run bsi doctor
is "$run_status" 1 "doctor finds it"
like "$run_out$run_err" "require-seal is set" "and says what to do"

pass "(b) is published" publish add --from "$tap_dir/made/old" --to "$tap_dir/made/third"
run bsi check --json
is "$(jq -r '.action + " " + .id' <<<"$run_out")" "hold unsealable" "a new letter is held"
like "$(jq -r .reason <<<"$run_out")" "bsi config require-seal no" "with the next step"
run bsi plan
like "$run_out" "require-seal is set" "the plan says why"
run bsi install
is "$run_status" 11 "it is refused when asked for"
like "$run_err" "\(b\) is not taken: require-seal is set" "with the reason"
is "$(mounted)" 0 "nothing is attached"
printf damaged >"/var/lib/bsi/config"
run bsi install
is "$run_status" 11 "a damaged configuration does not ask for less"

rm "/var/lib/bsi/config"
run bsi install
is "$run_status $(mounted) $(lab)" "0 1 3" "when no seal is required it comes" || diag "$run_out $run_err"
bsi config require-seal yes >/dev/null
pass "and rollback, remove work where one is" bsi remove
is "$(mounted)" 0 "all is off"
finish
