#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Keys are exchanged, and a device that knows the first root alone follows: at every moment, also
# where the exchange is cut, and over several exchanges at once.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cutat=$BSI_BUILD/tests/unit/store/cutat tuf=$BSI_BUILD/src/cmd/bsi-tuf
points=${CUT_POINTS:-25}
cd "$tap_dir" || exit 99
for v in 1 2 3 4 5; do
	device_package hello "1.0-$v" "usr/lib/hello/hello.txt=$v"
done
lab_base "$packages/hello_1.0-1.deb"
device_repository
online=$repo-online
add() { publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-$1.deb" "${@:2}"; }
# rotate OPTION...
rotate() { bsi-publish rotate "$repo" --keys "$keys" "$@"; }
keys_of() { bsi-publish list "$repo" --json | jq -r ".roles[] | select(.role == \"$1\") | .keys[]" | sort; }
threshold_of() { bsi-publish list "$repo" --json | jq -r ".roles[] | select(.role == \"$1\") | .threshold"; }
text() { cat /usr/lib/hello/hello.txt; }
# a client that has never been here
stranger() {
	rm -rf stranger
	"$tuf" --metadata-dir stranger init "$repo/metadata/1.root.json" &&
		"$tuf" --metadata-dir stranger --metadata-url "file://$repo/metadata/" --target-dir targets \
			--target-base-url "file://$repo/targets/" --target-name "$base/index.json" download
}

add 2 >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
bsi install >/dev/null 2>&1
is "$(text)" 2 "a device has (a)"
cp -a "$keys" stolen && cp -a "$online" stolen-online
old_root=$(keys_of root) old_base=$(keys_of "$base") old_timestamp=$(keys_of timestamp)

# ---- root and targets, with another threshold --------------------------------------------------
run rotate --role root --role targets --threshold 2 --key-count 3 --json
is "$run_status" 0 "root and targets get three keys, two of which must sign" || diag "$run_err"
is "$(jq -c '[.root_version, [.roles[].keys], [.roles[].threshold]]' <<<"$run_out")" '[2,[3,3],[2,2]]' "and say so"
is "$(comm -12 <(echo "$old_root") <(keys_of root))" "" "none of the old keys is left"
is "$(find "$keys/root" "$keys/targets" -maxdepth 1 -name '*.pem' | wc -l)" 6 "the new ones are in the folder"
is "$(find "$keys/root/retired" -name '*.pem' -printf '%f\n')" "$old_root.pem" "the old one lies apart"
pass "the repository verifies" bsi-publish verify "$repo"
pass "a client that starts from the first root follows" stranger
pass "refresh --all works with the new keys" bsi-publish refresh "$repo" --all --keys "$keys"
pass "the device follows" bsi check
run bsi-publish refresh "$repo" --all --keys stolen
is "$run_status" 6 "the old keys sign nothing any more"
like "$run_err" "role root needs 2 signatures, and 0 of the keys here" "and that is said"

# ---- online keys and a base's, while the device does not look ------------------------------------
pass "other online keys" rotate --role snapshot --role timestamp
is "$(comm -12 <(echo "$old_timestamp") <(keys_of timestamp))" "" "the old timestamp key is out"
run bsi-publish refresh "$repo" --online-keys stolen-online
is "$run_status" 6 "stolen online keys renew nothing"
pass "other keys for the base" rotate --role "$base" --threshold 2 --key-count 2
is "$(comm -12 <(echo "$old_base") <(keys_of "$base"))" "" "the old one is out"
is "$(threshold_of "$base")" 2 "both must sign"
before=$(find "$repo" -type f -exec sha256sum {} + | sort)
run bsi-publish withdraw "$repo" a --base "$base" --action remove --reason forged --keys stolen
is "$run_status" 6 "the base's old key withdraws nothing"
is "$(find "$repo" -type f -exec sha256sum {} + | sort)" "$before" "and writes nothing"
pass "a letter by the new ones" add 3
pass "the repository verifies" bsi-publish verify "$repo"
pass "the device follows over all of that" bsi run
is "$(text)" 3 "and has (b)"

# ---- one key -------------------------------------------------------------------------------------
first=$(keys_of "$base" | head -n 1) second=$(keys_of "$base" | tail -n 1)
run rotate --revoke "${first:0:16}"
is "$run_status" 0 "one key of a base is revoked" || diag "$run_err"
is "$(keys_of "$base" | grep -c -e "$first" -e "$second")" 1 "that one alone"
is "$(keys_of "$base" | wc -l)" 2 "another takes its place"
pass "a letter by both that are left" add 4
pass "the device takes it" bsi run
is "$(text)" 4 "and has (c)"
run rotate --revoke "${first:0:16}"
is "$run_status" 7 "a key that is none any more is not found"
run rotate --revoke "${second:0:4}"
is "$run_status" 2 "four digits name no key"
run rotate --role nobody
is "$run_status" 9 "nor is there such a role"
run rotate --role root --threshold 3 --key-count 2
is "$run_status" 2 "a threshold above the number of keys is refused"
run rotate
is "$run_status" 2 "without a role there is nothing to do"
mv "$keys/targets" away
before=$(find "$repo" "$keys" "$online" -type f -exec sha256sum {} + | sort)
run rotate --role "$base"
is "$run_status" 1 "without the keys of targets"
like "$run_err" "targets holds no private key" "they are named"
is "$(find "$repo" "$keys" "$online" -type f -exec sha256sum {} + | sort)" "$before" "and nothing changes, no key is made"
mv away "$keys/targets"

# ---- lost keys of a base -------------------------------------------------------------------------
rm -rf "${keys:?}/$base"
pass "a base whose keys are lost gets others from targets" rotate --role "$base" --key-count 1 --threshold 1
pass "and goes on" add 5
pass "for the device, too" bsi run
is "$(text)" 5 "it has (d)"

# ---- cut anywhere --------------------------------------------------------------------------------
cp -a "$repo" kept && cp -a "$keys" kept-keys && cp -a "$online" kept-online
bring() {
	rm -rf "$repo" "$keys" "$online"
	cp -a kept "$repo" && cp -a kept-keys "$keys" && cp -a kept-online "$online"
}
all=(bsi-publish rotate "$repo" --keys "$keys" --role root --role targets --role snapshot --role timestamp --role "$base")
bring
total=$("$cutat" 0 "${all[@]}" 2>&1 >/dev/null | tail -n 1)
step=1 torn=0 bad=0 cut=0
((points == 0 || total <= points)) || step=$((total / points))
for ((n = 1; n <= total; n += n > total - 25 ? 1 : step)); do
	bring
	"$cutat" "$n" "${all[@]}" >/dev/null 2>&1
	(($? == 137)) && cut=$((cut + 1))
	if ! bsi-publish verify "$repo" >log 2>&1 || ! stranger >>log 2>&1; then
		torn=$((torn + 1))
		diag "cut before call $n: $(<log)"
	fi
	if ! "${all[@]}" >log 2>&1 || ! bsi-publish verify "$repo" >>log 2>&1 || ! stranger >>log 2>&1; then
		bad=$((bad + 1))
		diag "cut before call $n, then: $(<log)"
	fi
done
is "$torn" 0 "$cut cuts in $total calls: a client found a valid repository after each"
is "$bad" 0 "and the exchange run again came to its end"
if ((cut > 0)); then ok "the cuts were reached"; else not_ok "the cuts were reached"; fi
pass "the device follows after all that" bsi check
is "$(device_status .state)" protected "and is protected"
finish
