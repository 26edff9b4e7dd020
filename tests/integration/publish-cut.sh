#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A publisher that is killed before any of its system calls, that runs twice at once, lacks a key,
# waits for a passphrase, or works on an old copy: nothing is half done, and the next run goes on.
# CUT_POINTS says how many points of each verb are tried (0: every one).
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

publish=$(find "$BSI_STAGE" -name bsi-publish -type f -perm -u+x | head -n 1)
[[ $publish ]] || skip_all "bsi-publish is not in $BSI_STAGE"
for program in dpkg-deb jq flock; do
	command -v "$program" >/dev/null || skip_all "$program is not installed"
done
cutat=$BSI_BUILD/tests/unit/store/cutat tuf=$BSI_BUILD/src/cmd/bsi-tuf
points=${CUT_POINTS:-20}
cd "$tap_dir" || exit 1
base=debian:12:amd64

content() {
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}
# keep NAME, bring NAME: the repository with its keys, put aside and brought back
keep() { rm -rf "kept.$1" && mkdir "kept.$1" && cp -a repo repo-keys repo-online "kept.$1/"; }
bring() { rm -rf repo repo-keys repo-online && cp -a "kept.$1/." .; }
nothing() { rm -rf repo repo-keys repo-online .repo*; }

# sweep NAME PREPARE CHECK COMMAND...: cut COMMAND everywhere; after it a reader must find a whole
# repository, COMMAND must be able to run again, and CHECK hold
sweep() {
	local name=$1 prepare=$2 check=$3 n total step=1 cut=0 torn=0 bad=0
	shift 3
	$prepare
	total=$("$cutat" 0 "$@" 2>&1 >/dev/null | tail -n 1)
	[[ $total =~ ^[0-9]+$ ]] || { not_ok "$name: counted" "$total"; return; }
	$check >log 2>&1 || not_ok "$name: works when it is not cut" "$(<log)"
	((points == 0 || total <= points)) || step=$((total / points))
	# the end, where folders and files get their names, at every call
	for ((n = 1; n <= total; n += n > total - 30 ? 1 : step)); do
		$prepare
		"$cutat" "$n" "$@" >/dev/null 2>&1
		(($? == 137)) && cut=$((cut + 1))
		if [[ -e repo ]] && ! "$publish" verify repo >log 2>&1; then
			torn=$((torn + 1))
			diag "$name: cut before call $n: $(<log)"
		fi
		run "$@"
		if ! $check >log 2>&1; then
			bad=$((bad + 1))
			diag "$name: cut before call $n: $run_status $run_err $(<log)"
		fi
	done
	is "$torn" 0 "$name: $cut cuts in $total calls, and readers never found it torn"
	is "$bad" 0 "$name: run again it comes to its end"
	if ((cut > 0)); then ok "$name: the cuts were reached"; else not_ok "$name: the cuts were reached"; fi
}

whole() {
	"$publish" verify repo && "$publish" refresh repo --all --passphrase-file word && "$publish" verify repo &&
		[[ -z $(find . -maxdepth 1 -name '.repo*') ]]
}
has_late() { whole && "$publish" list repo --base late:1:amd64; }
echo secret >word

# ---- killed anywhere ---------------------------------------------------------------------------
for v in 1 2; do
	mkdir -p tree/DEBIAN tree/usr/lib && echo "$v" >tree/usr/lib/data
	printf 'Package: one\nVersion: %s\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: made by a test\n' \
		"$v" >tree/DEBIAN/control
	dpkg-deb --root-owner-group -Zgzip -b tree "$v.deb" >/dev/null && rm -rf tree
done
sweep init nothing whole "$publish" init repo --base "$base" --threshold 2 --no-passphrase
keep fresh
"$publish" add repo --base "$base" --from 1.deb --to 2.deb >/dev/null 2>&1 || exit 1
keep a
bring_fresh() { bring fresh; }
bring_a() { bring a; }
sweep "refresh --all" bring_a whole "$publish" refresh repo --all
sweep extend bring_fresh has_late "$publish" extend repo --base late:1:amd64 --threshold 2

# ---- keys of another repository are never taken back ---------------------------------------------
nothing
"$publish" init repo --base "$base" --no-passphrase >/dev/null
rm -rf repo
before=$(content repo-keys)
run "$publish" init repo --base "$base" --no-passphrase
is "$run_status" 1 "keys whose repository is gone stay in the way"
like "$run_err" "repo-keys exists already" "and are named"
for ((n = 200; n < 500; n += 20)); do
	"$cutat" "$n" "$publish" init other --base "$base" --no-passphrase >/dev/null 2>&1
	[[ ! -e .other.init/metadata/timestamp.json ]] || break
done
mv .other.init .repo.init
run "$publish" init repo --base "$base" --no-passphrase
is "$run_status" 1 "the draft of another repository proves nothing about them"
is "$(content repo-keys)" "$before" "and they are as they were"
rm -rf .repo* .other* other*

# ---- two at once -------------------------------------------------------------------------------
lost=0 odd=0 words=
for ((i = 0; i < 25; i++)); do
	nothing
	"$publish" init repo --base "$base" --no-passphrase >/dev/null 2>one &
	first=$!
	"$publish" init repo --base "$base" --no-passphrase >/dev/null 2>two
	second=$?
	wait "$first"
	first=$?
	((first == 0 || second == 0)) || lost=$((lost + 1))
	((first != 0 || second != 0)) || odd=$((odd + 1))
	words+=$(cat one two)$'\n'
	"$publish" refresh repo --all >/dev/null 2>&1 && "$publish" verify repo >/dev/null 2>&1 || odd=$((odd + 1))
done
is "$lost" 0 "of two inits at once one wins"
is "$odd" 0 "only one, and what it made is whole"
is "$(grep -cvE '^$|exists already|another bsi-publish is making it' <<<"$words")" 0 "and the other says so"

# ---- a key that is missing -----------------------------------------------------------------------
bring a
mv "repo-keys/$base" away
before=$(content repo)
run "$publish" refresh repo --all
is "$run_status" 1 "refresh --all without the keys of a base"
like "$run_err" "repo-keys/$base holds no private key" "names them"
is "$(content repo)" "$before" "and changes nothing"
mkdir "repo-keys/$base" && cp away/1.pem "repo-keys/$base/"
run "$publish" refresh repo --all
is "$run_status" 6 "with one key of two"
like "$run_err" "needs 2 signatures" "it says what is needed"
is "$(content repo)" "$before" "and changes nothing, either"

# ---- nobody waits for somebody who types --------------------------------------------------------
nothing
"$publish" init repo --base "$base" --passphrase-file word >/dev/null || exit 1
if command -v script >/dev/null; then
	(sleep 3; echo secret; sleep 2) | script -qec "'$publish' refresh repo --all; echo status \$?" /dev/null >typed 2>&1 &
	typing=$!
	for ((i = 0; i < 100; i++)); do
		grep -q Passphrase typed && break
		sleep 0.05
	done
	like "$(<typed)" "Passphrase" "a passphrase is asked for"
	pass "and the timer's refresh goes through meanwhile" "$publish" refresh repo
	wait "$typing"
	like "$(<typed)" "status 0" "then the one who typed has his turn"
	pass "and all is whole" "$publish" verify repo
else
	skip "the timer's refresh goes through meanwhile" "script is not installed"
fi

# ---- an old copy ---------------------------------------------------------------------------------
client() {
	"$tuf" --metadata-dir device --metadata-url "file://$tap_dir/repo/metadata/" --target-dir targets \
		--target-base-url "file://$tap_dir/repo/targets/" --target-name "$base/index.json" download
}
bring a
"$publish" add repo --base "$base" --from 1.deb --to 2.deb --text second >/dev/null 2>&1
cp -a repo newer
pass "a client" "$tuf" --metadata-dir device init repo/metadata/1.root.json
pass "reads the newest" client
rm -rf repo && cp -a kept.a/repo .
before=$(content repo)
for verb in "refresh repo" "refresh repo --all" "extend repo --base late:1:amd64" "minimum repo a --base $base" \
	"withdraw repo a --base $base --action stop --reason x" "add repo --base $base --from 1.deb --to 2.deb"; do
	# shellcheck disable=SC2086
	run "$publish" $verb
	is "$run_status" 6 "${verb%% *} on an old copy is refused"
	like "$run_err" "older than what was signed last .*refresh --all --lost" "and what to do is said"
done
is "$(content repo)" "$before" "nothing was written"
is "$(find repo-keys -name 'late*')" "" "nor a key made"
rm -rf repo && mv newer repo
pass "the newer copy is put back" "$publish" refresh repo
rm -rf repo && cp -a kept.a/repo .
run "$publish" refresh repo --lost
is "$run_status" 2 "--lost alone is a usage error"
pass "where there is none, --lost goes on" "$publish" refresh repo --all --lost
pass "the repository verifies" "$publish" verify repo
pass "the client that saw the newer one follows" client
run "$publish" add repo --base "$base" --from 1.deb --to 2.deb --text third --json
is "$(jq -c '[.letter, .build]' <<<"$run_out")" '["c",3]' "a letter that was lost is not given again"
pass "and follows still" client
printf '{"format": "bsi-record", "version": 1, "roles": {"root": "x"}, "bases": {}}' >repo-online/signed.json
run "$publish" refresh repo
is "$run_status" 6 "a record that is damaged"
like "$run_err" "repo-online/signed.json" "is named"
finish
