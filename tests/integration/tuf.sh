#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bsi-publish lays out, read by a plain TUF client that knows nothing of improvements.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

publish=$(find "$BSI_STAGE" -name bsi-publish -type f -perm -u+x | head -n 1)
[[ $publish ]] || skip_all "bsi-publish is not in $BSI_STAGE"
tuf=$BSI_BUILD/src/cmd/bsi-tuf
[[ -x $tuf ]] || skip_all "$tuf was not built"
cd "$tap_dir" || exit 1
base=debian:12:amd64
index=$base/index.json

refresh() {
	"$tuf" --metadata-dir device --metadata-url "file://$tap_dir/repo/metadata/" refresh
}

download() {
	"$tuf" --target-name "$1" --target-dir targets --metadata-dir device \
		--target-base-url "file://$tap_dir/repo/targets/" \
		--metadata-url "file://$tap_dir/repo/metadata/" download
}

stored() {
	(cd device && printf '%s ' *)
}

# The file of a base's role is the one that names the base and a version.
newest() {
	find repo/metadata -name "[0-9]*.$1.json" | sort -V | tail -n 1
}

pass "a repository for two bases" "$publish" init repo --base "$base" --base debian:13:arm64 \
	--threshold 2 --no-passphrase
fail "nothing works before the root is there" refresh
pass "the root is taken" "$tuf" --metadata-dir device init repo/metadata/1.root.json
is "$(stored)" "root.json " "and nothing else is fetched for it"
pass "refresh" refresh
is "$(stored)" "root.json snapshot.json targets.json timestamp.json " "the four top-level files"
pass "the index of one base" download "$index"
is "$(stored)" "debian%3A12%3Aamd64.json root.json snapshot.json targets.json timestamp.json " \
	"the role of that base, and of no other"
pass "it is what the publisher wrote" cmp targets/debian%3A12%3Aamd64%2Findex.json.json \
	"repo/targets/$base/"*.index.json
for file in device/*; do
	name=${file#device/}
	name=${name//%3A/:}
	name=${name%.json}
	[[ $name == timestamp ]] && want=repo/metadata/timestamp.json || want=$(newest "$name")
	pass "$name is stored as it came" cmp "$file" "$want"
done
run download "$base/other.json"
is "$run_status" 1 "a target that no role lists: status 1"
like "$run_err" "no role lists" "and the words say so"

# a mirror that serves an index of its own, of the same length
good=$(find "repo/targets/$base" -name '*.index.json')
cp "$good" kept
sed -i 's/"entries"/"ENTRIES"/' "$good"
rm -r targets
fail "a changed index is refused" download "$index"
is "$(ls -A targets)" "" "and nothing of it is left"
cp kept "$good"
pass "the good one again" download "$index"

# a mirror that rolls back
pass "the publisher renews the online metadata" "$publish" refresh repo
cp repo/metadata/timestamp.json new
pass "and the client follows" refresh
before=$(sha256sum device/*)
cp device/timestamp.json kept
sed 's/"version":[0-9]*/"version":1/g' kept >repo/metadata/timestamp.json
fail "a changed timestamp is refused" refresh
is "$(sha256sum device/*)" "$before" "and the device holds what it held"
cp new repo/metadata/timestamp.json
pass "the good one again" refresh

run "$tuf" --metadata-dir device
is "$run_status" 1 "no command: status 1"
run "$tuf" --nonsense
is "$run_status" 1 "an option that is none: status 1"
run "$tuf" --metadata-dir device refresh
is "$run_status" 1 "no URL: status 1"
run "$tuf" --help
is "$run_status" 0 "help: status 0"
finish
