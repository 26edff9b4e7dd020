#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Deltas on the way to a device: the smallest payload is taken, it gives the same image as the full
# one, and where it cannot be used the full one is. What may befall who decodes is in worker.sh.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cache=$BSI_BUILD/packages
mkdir -p "$cache"
if ! lab_pair_real "$cache"; then
	lab_pair_made "$cache"
fi
diag "$lab_package $lab_old -> $lab_new, real: $lab_real"
lab_base "$cache"/old/*.deb
device_repository
run publish add --from "$cache/old" --to "$cache/new" --json
is "$run_status" 0 "published with deltas" || diag "$run_err"
deltas=$(jq '[.components[].payloads[] | select(.kind == "delta")] | length' <<<"$run_out")
[[ $deltas -gt 0 ]] && ok "there are $deltas" || not_ok "there are deltas" "$run_out"
smaller=$(jq '[.components[] | (.payloads[] | select(.kind == "full") | .bytes) as $f | .payloads[] | select(.kind == "delta") | .bytes < $f] | all' <<<"$run_out")
is "$smaller" true "each is smaller than the full payload"
full_bytes=$(jq '[.components[].payloads[] | select(.kind == "full") | .bytes] | add' <<<"$run_out")
delta_bytes=$(jq '[.components[].payloads[] | select(.kind == "delta") | .bytes] | add' <<<"$run_out")
most_full=$(jq '[.components[].payloads[] | select(.kind == "full") | .memory_bytes] | max' <<<"$run_out")
diag "full $full_bytes bytes, deltas $delta_bytes bytes"
pass "the repository verifies" bsi-publish verify "$repo"

# only the deltas are there: a device that needs a full payload would fail
cp -a "$repo" "$tap_dir/thin"
rm "$tap_dir/thin"/targets/*/*.full.zst
bsi enroll "file://$tap_dir/thin" --root "$repo/metadata/1.root.json" >/dev/null
run bsi install
is "$run_status" 0 "a device installs from deltas alone" || diag "$run_err"
pass "and all verifies" bsi verify
images() { (cd /var/lib/bsi/images && sha256sum ./* | sort); }
from_deltas=$(images)

fresh() {
	bsi remove >/dev/null 2>&1
	find /var/lib/bsi -mindepth 1 -delete
	rm -rf /run/bsi
	bsi enroll "file://$1" --root "$repo/metadata/1.root.json" >/dev/null
}
# the deltas are damaged: their digest says so, and the full payload is not asked in vain
cp -a "$repo" "$tap_dir/hurt"
for d in "$tap_dir/hurt"/targets/*/*.delta; do printf x | dd of="$d" bs=1 seek=100 conv=notrunc 2>/dev/null; done
fresh "$tap_dir/hurt"
run bsi install
is "$run_status" 0 "with damaged deltas it installs from full payloads"
like "$run_err" "payload delta .* cannot be used: .*; taking full" "and says why"
is "$(images)" "$from_deltas" "the images are the same, byte for byte"

# What a device cannot use is passed over without a try, and it says why: the payload is not even there.
full=$tap_dir/full
cp -a "$repo" "$full"
rm "$full"/targets/*/*.delta
# signed NAME STATEMENT: the same repository in $tap_dir/NAME, with other words about its payloads
signed() {
	cp -a "$full" "$tap_dir/$1"
	python3 "$BSI_TESTS/integration/resign.py" "$tap_dir/$1" "$keys" "$repo-online" "$base" "$2" ||
		not_ok "a repository is signed anew"
	fresh "$tap_dir/$1"
}
memory=$((most_full / 1000000 + 1))
signed large 'if p["kind"] == "delta": p["memory_bytes"] = '"$((memory * 1000000 + 1500000))"
run bsi install --memory "$memory"
is "$run_status" 0 "a delta that takes more memory than allowed: the full payload is taken" || diag "$run_err"
like "$run_err" "payload delta \([^)]+\) cannot be used: it takes $((memory + 1))\.5 MB of memory, and $memory\.0 MB are allowed; taking full" "and why is said"
is "$(images)" "$from_deltas" "the image is the same"

signed later 'if p["kind"] == "delta": p["version"] += 1'
version=$(jq '[.components[].payloads[] | select(.kind == "delta") | .version] | max + 1' "$repo"/targets/*/*.manifest-1.json)
run bsi install
is "$run_status" 0 "a delta of a later format version: the full payload is taken" || diag "$run_err"
like "$run_err" "payload delta \([^)]+\) cannot be used: this bsi does not know version $version of that kind; taking full" "and why is said"
is "$(images)" "$from_deltas" "the image is the same"

signed none 'p["version"] += 1'
run bsi install
is "$run_status" 11 "payloads of later versions alone: nothing is installed"
like "$run_err" "payload full \(any base\) cannot be used: this bsi does not know version" "each is named"
like "$run_err" "no payload of a kind that this bsi knows" "and why nothing was taken"
is "$(images)" "" "nothing was brought"

# (b) while (a) is attached: its deltas are against the base, which lies below
fresh "$tap_dir/thin"
bsi install >/dev/null 2>&1
mkdir "$tap_dir/later"
for deb in "$cache"/new/*.deb; do
	rm -rf "$tap_dir/tree"
	dpkg-deb -R "$deb" "$tap_dir/tree"
	sed -i 's/^Version: .*/&+later/' "$tap_dir/tree/DEBIAN/control"
	find "$tap_dir/tree/usr/lib" -type f -name '*.so*' -exec sh -c 'printf later >>"$1"' sh {} ';'
	(cd "$tap_dir/tree" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -Zgzip -z1 -b "$tap_dir/tree" "$tap_dir/later" >/dev/null
done
attached() { awk '$5 ~ /\.so/ { print $5 }' /proc/self/mountinfo; }
library=$(attached | head -n 1)
isnt "$library" "" "a library of (a) is attached"
run publish add --from "$cache/old" --to "$tap_dir/later" --json
is "$run_status $(jq -r .letter <<<"$run_out")" "0 b" "(b) is published" || diag "$run_err"
rm -r "$tap_dir/thin"
cp -a "$repo" "$tap_dir/thin"
rm "$tap_dir/thin"/targets/*/*.full.zst
run bsi install b
is "$run_status" 0 "it is installed over (a), from deltas alone" || diag "$run_err"
is "$(device_status .letter)" b "the status says so"
is "$(tail -c 5 "$library")" later "its library is attached"
isnt "$(bsi base -- tail -c 5 "$library")" later "and the base's is as it was"
is "$(attached | sort | uniq -d)" "" "nothing of (a) is left below"
pass "all verifies" bsi verify

repo=$tap_dir/whole keys=$tap_dir/whole-keys
device_repository
run publish add --from "$cache/old" --to "$cache/new" --no-deltas --json
is "$(jq '[.components[].payloads[].kind] | unique | join(",")' -r <<<"$run_out")" full "--no-deltas makes full payloads alone" || diag "$run_err"
finish
