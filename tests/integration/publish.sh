#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bsi-publish from end to end, on packages that the test makes itself.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

for program in dpkg-deb ar tar python3 flock; do
	command -v "$program" >/dev/null || skip_all "$program is not installed"
done
publish=$(find "$BSI_STAGE" -name bsi-publish -type f -perm -u+x | head -n 1)
[[ $publish ]] || skip_all "bsi-publish is not in $BSI_STAGE"
cd "$tap_dir" || exit 1
base=debian:12:amd64
umask 022

# deb FOLDER NAME VERSION [FIELD...]: a package of the tree ./tree, which is emptied
deb() {
	local folder=$1 name=$2 version=$3 field

	shift 3
	mkdir -p "$folder" tree/DEBIAN
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: amd64\n' "$name" "$version"
		printf 'Maintainer: a <a@b>\nDescription: made by a test\n'
		for field; do printf '%s\n' "$field"; done
	} >tree/DEBIAN/control
	dpkg-deb --root-owner-group -Zgzip -b tree "$folder/${name}_$version.deb" >/dev/null || exit 1
	rm -rf tree
}

# file PATH TEXT [MODE]
file() {
	mkdir -p "tree/$(dirname "$1")"
	printf '%s\n' "$2" >"tree/$1"
	chmod "${3:-644}" "tree/$1"
}

# changelog NAME VERSION LINE
changelog() {
	mkdir -p "tree/usr/share/doc/$1"
	printf '%s (%s) stable; urgency=high\n\n  * %s\n\n -- a <a@b>  Thu, 01 Jan 2026 00:00:00 +0000\n' \
		"$1" "$2" "$3" | gzip -9n >"tree/usr/share/doc/$1/changelog.Debian.gz"
}

# json EXPRESSION: of the document d that the last run printed
json() {
	python3 -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" <<<"$run_out"
}

# content REPO: every name and byte of it
content() {
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

# new NAME OPTION...: a repository with plain keys
new() {
	local name=$1

	shift
	"$publish" init "$name" --base "$base" --no-passphrase "$@" >/dev/null || exit 1
}

# ---- two versions of two packages -------------------------------------------------------------
for v in 1 2; do
	file usr/lib/data "data $v"
	file usr/bin/helper "#!/bin/sh $v" 4755
	file usr/share/man/man1/x.1 "page $v"
	ln tree/usr/bin/helper tree/usr/bin/helper-too
	((v == 1)) || changelog one 2 "CVE-2026-1111: a flaw. Closes: 1"
	deb "v$v" one "$v"
	file opt/two/file "file $v"
	((v == 1)) || changelog two 2 "CVE-2026-2222: not affected."
	deb "v$v" two "$v"
done

# ---- init ------------------------------------------------------------------------------------
echo secret >word
run "$publish" init repo --base "$base" --base "debian:13:arm64=Test 13" --passphrase-file word --json
is "$run_status" 0 "init"
is "$(json 'd["bases"]')" "['$base', 'debian:13:arm64']" "init says its bases"
is "$(stat -c %a repo-keys repo-online repo-keys/root repo | tr '\n' ' ')" "700 700 700 755 " \
	"keys are private, the repository is not"
is "$(find repo-keys repo-online -name '*.pem' -printf '%m\n' | sort -u)" 600 "key files are 0600"
is "$(find repo-keys -name '*.pem' -print0 | xargs -0 grep -L 'BEGIN ENCRYPTED PRIVATE KEY')" "" \
	"every offline key is encrypted"
is "$(find repo -name '*.pem' | wc -l)" 0 "no key is in the repository"
run "$publish" verify repo
is "$run_status" 0 "an empty repository verifies"
before=$(content repo)
run "$publish" init repo --base "$base" --no-passphrase
isnt "$run_status" 0 "init over a repository is refused"
like "$run_err" "exists already" "and says so"
is "$(content repo)" "$before" "and changes nothing"
run "$publish" init bad --base "../x" --no-passphrase
is "$run_status" 2 "a base that is none is a usage error"
is "$(find . -maxdepth 1 -name '*bad*')" "" "and leaves nothing"
run "$publish" init bad --base "$base"
is "$run_status" 2 "without a terminal a passphrase must come from somewhere"
if command -v script >/dev/null; then
	# what is typed before the question is thrown away: wait for it
	(sleep 1; echo typed; sleep 1; echo typed; sleep 1) | script -qec "'$publish' init typed --base $base" /dev/null >typed.log 2>&1
	like "$(<typed.log)" "Passphrase of typed-keys" "a passphrase is asked for on the terminal"
	pass "the typed passphrase opens the keys" "$publish" refresh typed --all --passphrase-file \
		<(echo typed)
else
	skip "a passphrase is asked for on the terminal" "script is not installed"
fi

if command -v script >/dev/null && command -v stty >/dev/null; then
	(sleep 3) | script -qec "timeout --foreground 1 '$publish' init gone --base $base; echo status \$?; stty -a" \
		/dev/null >gone.log 2>&1
	like "$(<gone.log)" "status 124" "a signal ends the question for a passphrase"
	unlike "$(<gone.log)" " -echo " "and the terminal shows again what is typed"
else
	skip "a signal ends the question for a passphrase" "script or stty is not installed"
	skip "and the terminal shows again what is typed" "script or stty is not installed"
fi
printf 'a\0%0500d\n' 1 >nul
run "$publish" init bad --base "$base" --passphrase-file nul
is "$run_status" 2 "a passphrase with a NUL byte is refused, not cut"
like "$run_err" "NUL" "and the reason is said"

# ---- plan ------------------------------------------------------------------------------------
run "$publish" plan --base "$base" --from v1 --to v2 --json
is "$run_status" 0 "plan"
is "$(json 'sorted(c["name"] for c in d["components"])')" "['one', 'two']" "plan: components"
is "$(json '[f["path"] for c in d["components"] if c["name"] == "one" for f in c["files"]]')" \
	"['usr/lib/data', 'usr/bin/helper', 'usr/bin/helper-too']" "plan: files, data before programs"
is "$(json '[f["privileged"] for c in d["components"] if c["name"] == "one" for f in c["files"]]')" \
	"[False, True, True]" "plan: setuid files are privileged"
is "$(json '[(v["id"], v["verdict"], v["confirmed"]) for c in d["components"] for v in c["cves"]]' | tr -d ' ')" \
	"[('CVE-2026-1111','named',False),('CVE-2026-2222','check',False)]" "plan: CVEs and doubts"
is "$(json '[n["kind"] for n in d["notes"] if n["subject"] == "one"]')" "['left-out']" \
	"plan: documentation is said to be left out"
run "$publish" plan --base "$base" --from v1 --to v1
is "$run_status" 13 "nothing to publish is refused"
run "$publish" plan --base debian:12:arm64 --from v1 --to v2
is "$run_status" 13 "packages for another architecture are refused"
like "$run_out" "another architecture" "and the plan says why"

file usr/lib/data "data 2" 600 && file usr/bin/helper "#!/bin/sh 2" 4755 && ln tree/usr/bin/helper tree/usr/bin/helper-too
deb modes one 2
run "$publish" plan --base "$base" --from v1/one_1.deb --to modes
like "$run_out" "/usr/lib/data is 0:0 0644 there" "the plan shows what a base set has of another owner or mode"
like "$run_out" "warning in one: usr/lib/data: owner or mode change: v1/one_1.deb has 0:0 0644, and devices get 0:0 0600" \
	"plan: a mode that changes with the content is said"
unlike "$run_out" "helper: owner or mode" "and only that"

# ---- bad packages ----------------------------------------------------------------------------
mkdir cut
size=$(stat -c %s v2/one_2.deb)
head -c $((size - 20)) v2/one_2.deb >cut/one_2.deb
run "$publish" plan --base "$base" --from v1 --to cut
is "$run_status" 6 "a truncated package"
like "$run_err" "cut/one_2.deb: member data.tar.gz is damaged or cut short" "names the file and member"
run "$publish" add repo --base "$base" --from v1 --to cut --passphrase-file word
is "$run_status" 6 "add refuses it, too"
is "$(content repo)" "$before" "and changes nothing"
run "$publish" plan --base "$base" --from v1 --to /dev/null
is "$run_status" 6 "something that is no package"
run "$publish" plan --base "$base" --from v1 --to nowhere
is "$run_status" 1 "a package that is not there"
like "$run_err" "nowhere: No such file" "is named"

# evil NAME: a package with a member of that name
evil() {
	rm -rf e && mkdir -p e evil && (
		cd e || exit
		printf 'Package: one\nVersion: 2\nArchitecture: amd64\n' >control
		tar czf control.tar.gz ./control
		echo x >x
		tar czPf data.tar.gz --transform "s,^x\$,$1," x
		echo 2.0 >debian-binary
		ar rc ../evil/one.deb debian-binary control.tar.gz data.tar.gz
	)
}
for name in ../../etc/x /etc/x ./usr/../../x; do
	evil "$name"
	run "$publish" plan --base "$base" --from v1 --to evil/one.deb
	is "$run_status" 6 "path $name is refused"
	like "$run_err" "leaves the root" "and says why"
done

# two candidates for one library cannot be made with a shell; the unit tests have them. Names:
file usr/lib/data "data 2"
file usr/lib/new "new"
deb appears one 2
run "$publish" plan --base "$base" --from v1 --to appears
is "$run_status" 13 "a name that appears is refused"
like "$run_out" "refused in one: usr/lib/new: its name is in no base state" "with its reason"
like "$run_out" "refused in one: usr/bin/helper: its name vanishes" "as is one that vanishes"
run "$publish" plan --base "$base" --from v1 --to appears --leave-out '/usr/lib/new' --leave-out '/usr/bin/*'
is "$run_status" 0 "unless the publisher leaves them out"

for v in 1 2; do
	file $'usr/lib/\xff' "$v"
	deb "latin$v" latin "$v"
done
run "$publish" plan --base "$base" --from latin1 --to latin2
is "$run_status" 13 "a name that is not UTF-8 is refused"
like "$run_out" "its name is not UTF-8" "with its reason"

# ---- add -------------------------------------------------------------------------------------
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file <(echo wrong)
is "$run_status" 6 "a wrong passphrase"
is "$(content repo)" "$before" "changes nothing"
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word --json \
	--cve-named --severity high --text "first"
is "$run_status" 0 "add"
is "$(json '(d["letter"], d["build"], [c["cves"] for c in d["components"]])')" \
	"('a', 1, [['CVE-2026-1111'], []])" "only what is named without doubt is signed as fixed"
like "$run_err" "two: 1 CVE id that changelogs name not confirmed" "and the rest is said"
run "$publish" verify repo --json
is "$run_status" 0 "the repository verifies"
is "$(json '(d["letters"], d["images"])')" "(1, 2)" "with its images"
is "$(find repo/targets -name '.*' -type f | wc -l)" 0 "no draft is left"
run "$publish" list repo --json
is "$(json '[(b["current"], b["version"]) for b in d["bases"]]')" \
	"[('a', 2), (None, 1)]" "list: one base moved, the other did not"
run "$publish" add repo --base fedora:40:x86_64 --from v1 --to v2 --passphrase-file word
is "$run_status" 9 "a base that the repository does not have"

run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word --severity grave
is "$run_status" 2 "a severity that is none is a usage error"
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word --text $'\a'
is "$run_status" 2 "and so is a text with control characters"
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word --drop three
is "$run_status" 2 "a component to drop must be in the letter before"
like "$run_err" "--drop three" "and is named"

# ---- letters are cumulative ------------------------------------------------------------------
file opt/two/file "file 3"
deb v3 two 3
mkdir first-two && cp v1/two_1.deb first-two/
run "$publish" add repo --base "$base" --from first-two --to v3 --passphrase-file word --json
is "$run_status" 0 "the next letter"
is "$(json '(d["letter"], sorted(c["name"] for c in d["components"]))')" "('b', ['one', 'two'])" \
	"carries on what it does not replace"
is "$(json '[c["cves"] for c in d["components"] if c["name"] == "one"]')" "[['CVE-2026-1111']]" \
	"with its fixes"
is "$(find repo/targets -name '*.full.zst' | wc -l)" 3 "an image that stays is not made again"
run "$publish" add repo --base "$base" --from first-two --to v2/two_2.deb --passphrase-file word
is "$run_status" 13 "going back to an older version is refused"
like "$run_err" "brings version 3 already" "and says why"
run "$publish" add repo --base "$base" --component 'x=two' --from first-two --to v3 --passphrase-file word
is "$run_status" 13 "a file in two components is refused"
run "$publish" add repo --base "$base" --component 'x=two' --drop two --from first-two --to v3 \
	--passphrase-file word --json
is "$(json '(d["letter"], sorted(c["name"] for c in d["components"]))')" "('c', ['one', 'x'])" \
	"unless the old one is dropped"

# ---- what a letter keeps and loses -------------------------------------------------------------
new next
"$publish" add next --base "$base" --from v1 --to v2 --text first --json >/dev/null 2>&1
before=$(content next)
run "$publish" add next --base "$base" --from v1 --to v2 --json
is "$run_status" 0 "the same content twice"
is "$(json '(d["letter"], d["build"], d["already"])')" "('a', 1, True)" "makes no second letter"
is "$(content next)" "$before" "and changes nothing"
run "$publish" add next --base "$base" --from v1 --to v2 --text first
like "$run_out" "already published as \\(a\\)" "in words, too"
run "$publish" add next --base "$base" --from v1 --to v2 --text second --json
is "$(json '(d["letter"], d["already"])')" "('b', False)" "another text does"
run "$publish" add next --base "$base" --from v1 --to v2 --cve-named --json
is "$(json 'd["letter"]')" c "and so does a CVE that is confirmed"
cp -r v1 v1-later && file usr/lib/data "data 1.5" && file usr/bin/helper "#!/bin/sh 1" 4755 &&
	ln tree/usr/bin/helper tree/usr/bin/helper-too && rm v1-later/one_1.deb && deb v1-later one 1.5
run "$publish" add next --base "$base" --from v1 --from v1-later --to v2 --json
is "$(json 'd["letter"]')" d "one more base state"
run "$publish" plan next --base "$base" --from v1 --to v2
like "$run_out" "warning in one: one_1.5: \\(d\\) is for devices in this state" "plan says what would be lost"
file usr/lib/data "data 3" && file usr/bin/helper "#!/bin/sh 1" 4755 && ln tree/usr/bin/helper tree/usr/bin/helper-too && deb fewer one 3
run "$publish" add next --base "$base" --from v1/one_1.deb --to fewer --json
like "$run_err" "one_1.5: \\(d\\) is for devices in this state" "add warns of a base state that is lost"
like "$run_err" "usr/bin/helper: \\(d\\) patches this file" "and of a file"
is "$(json '(d["letter"], sorted(c["name"] for c in d["components"]))')" "('e', ['one', 'two'])" \
	"what is not planned anew is never lost"
run "$publish" add next --base "$base" --drop two --json
is "$run_status" 0 "a letter that only drops"
is "$(json '(d["letter"], [c["name"] for c in d["components"]])')" "('f', ['one'])" "has the rest"
run "$publish" add next --base "$base" --drop one
is "$run_status" 13 "the last component cannot be dropped"
like "$run_err" "withdraw --action remove" "and what to do instead is said"
pass "the repository verifies with all that" "$publish" verify next

# ---- what no list names any more ---------------------------------------------------------------
run "$publish" verify next --json
isnt "$(json 'd["unlisted"]')" 0 "verify counts files that no current list names"
orphan=next/targets/$base/$(echo x | sha256sum | cut -c1-64).gone
echo x >"$orphan" && echo y >"next/targets/$base/index.html" && echo z >"next/targets/$base/.payload.new"
before=$(content next)
run "$publish" clean next --json
is "$(json '(d["files"], d["removed"])')" "(0, True)" "clean keeps what is not old"
find next/targets -type f -exec touch -d '60 days ago' {} +
run "$publish" clean next --dry-run --json
is "$(json '(d["files"], d["removed"])')" "(2, False)" "what a younger list names stays, however old it is"
is "$(content next)" "$before" "--dry-run removes nothing"
run "$publish" clean next
like "$run_out" "removed 2 files" "clean removes what no list names"
is "$(ls -A "next/targets/$base" | grep -cE '^[.]|gone$')" 0 "an orphan and a draft"
pass "and no name that is none of ours" test -e "next/targets/$base/index.html"
pass "the repository verifies" "$publish" verify next
run "$publish" clean next --older-than 10 --time "$(date -u -d '+11 days' +%FT%TZ)" --json
is "$(json 'd["files"] > 5')" True "later the superseded lists go, with what they alone named"
is "$(find next/metadata -name '*.snapshot.json' | wc -l)" 1 "one snapshot is left"
run "$publish" verify next --json
is "$run_status" 0 "the repository verifies still"
is "$(json '(d["unlisted"], d["letters"])')" "(0, 6)" "with every letter"
pass "and goes on" "$publish" refresh next --all

# ---- withdraw, minimum, refresh --------------------------------------------------------------
pass "withdraw" "$publish" withdraw repo c --base "$base" --action remove --reason "it broke" \
	--passphrase-file word
run "$publish" list repo --base "$base" --json
is "$(json '(d["bases"][0]["current"], d["bases"][0]["letters"][2]["withdrawn"])')" "('b', 'remove')" \
	"the letter before is current again"
run "$publish" withdraw repo q --base "$base" --action stop --reason x --passphrase-file word
is "$run_status" 7 "a letter that does not exist"
run "$publish" withdraw repo b --base "$base" --action stop --passphrase-file word
is "$run_status" 2 "a withdrawal needs a reason"
run "$publish" minimum repo c --base "$base" --passphrase-file word
is "$run_status" 13 "a letter that was withdrawn with remove is no minimum"
pass "minimum" "$publish" minimum repo a --base "$base" --passphrase-file word
run "$publish" list repo --base "$base"
like "$run_out" "minimum \\(a\\)" "list shows the minimum"
run "$publish" withdraw repo a --base "$base" --action stop --reason "x" --passphrase-file word
run "$publish" list repo
like "$run_out" "minimum \\(a\\)" "a minimum whose letter is stopped stays"
run "$publish" withdraw repo a --base "$base" --action remove --reason "x" --passphrase-file word
run "$publish" list repo
like "$run_out" "minimum \\(b\\)" "one that devices must remove gives way to the next letter"
pass "no minimum" "$publish" minimum repo --none --base "$base" --passphrase-file word
pass "refresh needs no passphrase" "$publish" refresh repo
pass "refresh --all renews the offline roles" "$publish" refresh repo --all --passphrase-file word
is "$(find repo/metadata -name '2.root.json' | wc -l)" 1 "there is a second root"
run "$publish" verify repo --time 2099-01-01T00:00:00Z
is "$run_status" 6 "expired metadata does not verify"
like "$run_err" "expired" "and says so"
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word --time 2020-01-01T00:00:00Z
is "$run_status" 2 "a clock that is behind the last issue is noticed"
before=$(content repo)
for time in 2020-01-01T00:00:00Z 2099-01-01T00:00:00Z "$(date -u -d '+2 days' +%FT%TZ)"; do
	for verb in "refresh repo" "refresh repo --all" "extend repo --base clock:1:amd64" \
		"minimum repo a --base $base" "withdraw repo a --base $base --action stop --reason x"; do
		# shellcheck disable=SC2086
		run "$publish" $verb --passphrase-file word --time "$time"
		is "$run_status" 2 "$verb at $time is refused"
		like "$run_err" "the time of issue is $time" "and why"
	done
done
is "$(content repo)" "$before" "and nothing was written"
is "$(find repo-keys -name 'clock*')" "" "nor a key made"
run "$publish" init clock --base "$base" --no-passphrase --time 2020-01-01T00:00:00Z
is "$run_status" 2 "a repository that would be expired at once is not made"
pass "the repository verifies after all that" "$publish" verify repo

# ---- one more base ---------------------------------------------------------------------------
run "$publish" extend repo --base "$base" --passphrase-file word
isnt "$run_status" 0 "a base that is there already is refused"
run "$publish" extend repo --base "late:1:amd64=Late 1" --threshold 2 --passphrase-file <(echo wrong)
is "$run_status" 6 "a new base needs the keys of targets"
run "$publish" extend repo --base "late:1:amd64=Late 1" --threshold 2 --passphrase-file word
is "$run_status" 0 "a base is added later"
is "$(grep -L 'BEGIN ENCRYPTED PRIVATE KEY' repo-keys/late:1:amd64/*.pem)" "" "its keys are encrypted, too"
run "$publish" list repo --json
is "$(json '[(b["base"], b["name"]) for b in d["bases"]][-1]')" "('late:1:amd64', 'Late 1')" "and is listed"
pass "an improvement for it" "$publish" add repo --base late:1:amd64 --from v1 --to v2 --passphrase-file word
pass "with which the repository verifies" "$publish" verify repo
pass "and renews" "$publish" refresh repo --all --passphrase-file word
pass "and verifies" "$publish" verify repo

# ---- damage ----------------------------------------------------------------------------------
payload=$(find repo/targets -name '*.full.zst' | LC_ALL=C sort | head -n 1)
cp "$payload" kept
printf 'x' | dd of="$payload" bs=1 seek=40 conv=notrunc status=none
run "$publish" verify repo
is "$run_status" 6 "a flipped byte in a payload"
like "$run_err" "${payload#repo/}" "is named"
rm "$payload"
run "$publish" verify repo
is "$run_status" 1 "a missing payload"
cp kept "$payload"
pass "put back, all is good" "$publish" verify repo
role=$(find repo/metadata -name "*.$base.json" -printf '%f\n' | sort -n | tail -n 1)
cp "repo/metadata/$role" kept
sed -i 's|"targets":{|"targets":{"debian:12:amd64/evil":{"hashes":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"length":1},|' "repo/metadata/$role"
before=$(content repo)
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word
is "$run_status" 6 "what somebody slipped into the folder is never signed"
is "$(content repo)" "$before" "and nothing changed"
cp kept "repo/metadata/$role"

# ---- two at once, a killed one, and readers in between ----------------------------------------
exec 9<repo
flock 9
run "$publish" add repo --base "$base" --from v1 --to v2 --passphrase-file word
is "$run_status" 5 "a second publisher is told to wait"
pass "while readers are not" "$publish" list repo
exec 9<&-

new cutrepo
head -c 3000000 /dev/urandom | base64 >blob
for v in 1 2; do
	mkdir -p tree/usr/lib && cp blob tree/usr/lib/big && echo "$v" >>tree/usr/lib/big
	deb "big$v" big "$v"
done
bad=0 killed=0
for ((i = 1; i <= 30; i++)); do
	"$publish" add cutrepo --base "$base" --from big1 --to big2 >/dev/null 2>&1 &
	pid=$!
	sleep "$(printf '0.%03d' $((i * 25)))"
	"$publish" verify cutrepo >/dev/null 2>&1 || bad=$((bad + 1))
	kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
	wait "$pid" 2>/dev/null
	"$publish" verify cutrepo >log 2>&1 || bad=$((bad + 1))
done
is "$bad" 0 "readers see a whole repository while add runs and after it was killed ($killed times)"
pass "add was killed in the middle" test "$killed" -gt 3
pass "and add goes on afterwards" "$publish" add cutrepo --base "$base" --from big1 --to big2
pass "to a good end" "$publish" verify cutrepo

# ---- a full disk -----------------------------------------------------------------------------
if ((EUID == 0)) && command -v unshare >/dev/null; then
	mkdir full
	cat >on-full-disk <<-'END'
		mount -t tmpfs -o size=1m tmpfs full || exit 99
		keys=(--keys full-keys --online-keys full-online)
		"$1" init full/repo --base "$2" --no-passphrase "${keys[@]}" >/dev/null || exit 98
		"$1" add full/repo --base "$2" --from big1 --to big2 "${keys[@]}"
		status=$?
		"$1" verify full/repo || exit 97
		[[ -z $(find full/repo/targets -name '.*' -type f) ]] || exit 96
		exit $status
	END
	run unshare -m --propagation private bash on-full-disk "$publish" "$base"
	is "$run_status" 8 "a full disk has an exit status of its own"
	like "$run_err" "No space left" "and is called so; the repository is as it was"
else
	skip "a full disk has an exit status of its own" "needs root"
fi

# ---- the same bytes --------------------------------------------------------------------------
mkdir other && cp big2/*.deb v2/*.deb other/ && mkdir another && cp v2/two_2.deb another/a.deb &&
	cp big2/big_2.deb another/b.deb && cp v2/one_2.deb another/z.deb
cp -r v1 bigv1 && cp big1/*.deb bigv1/
new same1
new same2
time=$(date -u -d "+1 hour" +%FT%TZ)
"$publish" add same1 --base "$base" --from bigv1 --to other --time "$time" >/dev/null 2>&1
if command -v taskset >/dev/null; then one_core=(taskset -c 0); else one_core=(); fi
"${one_core[@]}" "$publish" add same2 --base "$base" --from bigv1 --to another --time "$time" >/dev/null 2>&1
# an index is left out: its first version says when the repository was made
names() {
	(cd "$1/targets/$base" && find . -type f ! -name '*.index.json' | LC_ALL=C sort)
}
is "$(names same1)" "$(names same2)" \
	"same input, same images, payloads and manifest, on one core and on two"

# ---- rebuilt files ---------------------------------------------------------------------------
# library FILE [BYTE...]: the golden library with bytes turned, into ./tree
library() {
	mkdir -p tree/usr/lib
	python3 - "$BSI_TESTS/unit/delta/golden/old.elf" "tree/usr/lib/$1" "${@:2}" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
for at in sys.argv[3:]:
    data[int(at, 0)] ^= 0xff
open(sys.argv[2], "wb").write(data)
PY
}
# 0x300 is in the build-id, 0x9b0 in .rodata
library liba.so.1 && library libb.so.1 && deb e1 lib 1
library liba.so.1 0x300 && library libb.so.1 0x300 0x9b0 && deb e2 lib 2
library liba.so.1 0x301 && library libb.so.1 0x301 && deb e3 lib 3
new lean
run "$publish" plan --base "$base" --from e1 --to e2
like "$run_out" "equivalent in lib: usr/lib/liba.so.1: rebuilt" "a rebuilt library is left out"
like "$run_out" "file /usr/lib/libb.so.1" "and one with a change is not"
pass "add" "$publish" add lean --base "$base" --from e1 --to e2
run "$publish" plan --base "$base" --from e1 --to e3
is "$run_status" 13 "a package that was rebuilt without a change is nothing to publish"
like "$run_out" "equivalent: lib: 2 rebuilt files" "the plan says why the component is not there"
file usr/lib/data 1 && deb f1 other 1 && file usr/lib/data 2 && deb f3 other 3
cp e1/*.deb f1/ && cp e3/*.deb f3/
run "$publish" add lean --base "$base" --from f1 --to f3
is "$run_status" 13 "what the letter before changed, and is as in the base now, is not carried on unasked"
like "$run_err" "--drop lib goes back" "the way is said"
pass "--drop takes it" "$publish" add lean --base "$base" --from f1 --to f3 --drop lib
pass "and so does --keep-equivalent" "$publish" add lean --base "$base" --from f1 --to f3 --keep-equivalent
pass "which verifies" "$publish" verify lean

# ---- thresholds ------------------------------------------------------------------------------
new two-keys --threshold 2 --key-count 3
is "$(find two-keys-keys -name '*.pem' | wc -l)" 9 "three keys for each of three roles"
rm "two-keys-keys/$base/1.pem"
pass "two of three keys are enough" "$publish" add two-keys --base "$base" --from v1 --to v2
rm "two-keys-keys/$base/2.pem"
run "$publish" add two-keys --base "$base" --from big1 --to big2
is "$run_status" 6 "one is not"
like "$run_err" "needs 2 signatures, and 1 of the keys here" "and says so"
pass "and the repository is as good as before" "$publish" verify two-keys

# ---- keys in different hands -------------------------------------------------------------------
new hands --threshold 2 --key-count 3
new strange
for holder in alice:1 bob:2 carol:3; do
	mkdir -p "${holder%:*}/$base" && cp "hands-keys/$base/${holder#*:}.pem" "${holder%:*}/$base/"
done
rm -r hands-keys
before=$(content hands/metadata)
run "$publish" add hands --base "$base" --from v1 --to v2 --keys alice --draft draft --json
is "$run_status" 0 "one holder begins a letter" || diag "$run_err"
is "$(json '(d["version"], d["signed"], d["threshold"])')" "(2, 1, 2)" "and has signed it"
is "$(content hands/metadata)" "$before" "nothing is published"
pass "readers find the repository as it was" "$publish" verify hands
run "$publish" commit hands draft
is "$run_status" 6 "one signature of two publishes nothing"
is "$(content hands/metadata)" "$before" "and changes nothing"
run "$publish" sign hands draft --keys strange-keys
is "$run_status" 6 "strange keys sign nothing"
like "$run_err" "none of the keys here belongs" "and that is said"
run "$publish" sign hands draft --keys alice --json
is "$(json 'd["signed"]')" 1 "signing twice counts once"
cp draft forged
sed -i 's/"version":2/"version":2,"x":1/' forged
run "$publish" sign hands forged --keys bob --json
is "$(json 'd["signed"]')" 1 "a signature of other content does not count"
run "$publish" commit hands forged
is "$run_status" 6 "and does not publish it"
payload=$(find hands/targets -name '*.full.zst' | head -n 1)
mv "$payload" away.zst
run "$publish" sign hands draft --keys bob
is "$run_status" 1 "a draft whose files are not there is not signed"
like "$run_err" "${payload#hands/}" "and the file is named"
mv away.zst "$payload"
run "$publish" sign hands draft --keys bob
is "$run_status" 0 "another holder signs"
like "$run_out" "\\(a\\), build 1" "having seen what it is"
like "$run_out" "signed by 2 of 2" "and that it is enough"
cp draft kept-draft
pass "whoever has the online keys publishes it" "$publish" commit hands draft --keys nowhere
run "$publish" list hands --json
is "$(json 'd["bases"][0]["current"]')" a "the letter is there"
pass "the repository verifies" "$publish" verify hands
run "$publish" commit hands kept-draft
is "$run_status" 6 "a draft is published once"
like "$run_err" "is version 2 of $base, and version 2 is published" "and says why"
"$publish" withdraw hands a --base "$base" --action stop --reason x --keys carol --draft draft >/dev/null
"$publish" sign hands draft --keys alice >/dev/null
pass "a withdrawal in the same way" "$publish" commit hands draft
run "$publish" list hands --json
is "$(json 'd["bases"][0]["letters"][0]["withdrawn"]')" stop "is published"
for len in 0 1 100 $(($(stat -c %s draft) - 1)); do
	head -c "$len" draft >short
	run "$publish" sign hands short --keys bob
	is "$run_status" 6 "a draft cut to $len bytes is refused"
done

# ---- root trees ------------------------------------------------------------------------------
# tree_of FOLDER ROOT: packages as dpkg would have unpacked them, in a merged /usr
tree_of() {
	local deb name

	mkdir -p "$2"/var/lib/dpkg/info "$2"/usr/{bin,sbin,lib}
	ln -s usr/lib "$2/lib"
	for deb in "$1"/*.deb; do
		name=$(dpkg-deb -f "$deb" Package)
		dpkg-deb -x "$deb" "$2"
		dpkg-deb -f "$deb" | sed 's/^Version/Status: install ok installed\n&/' \
			>>"$2/var/lib/dpkg/status"
		echo >>"$2/var/lib/dpkg/status"
		dpkg-deb -c "$deb" | awk '{ print $6 }' | sed 's,^\.,,; s,/$,,; s,^$,/.,' \
			>"$2/var/lib/dpkg/info/$name.list"
	done
}
tree_of v1 root1
tree_of v2 root2
new roots
if ((EUID == 0)) && command -v setcap >/dev/null; then
	setcap cap_net_raw+ep root1/usr/lib/data && setcap cap_net_raw+ep root2/usr/lib/data
	run "$publish" plan --base "$base" --from root1 --to root2 --json
	is "$(json '[f["privileged"] for c in d["components"] for f in c["files"] if f["path"] == "usr/lib/data"]')" \
		"[True]" "file capabilities of a root tree are kept"
	run "$publish" plan --base "$base" --from root1 --to v2
	is "$run_status" 13 "and are not lost to packages that cannot carry them"
else
	skip "file capabilities of a root tree are kept" "needs root and setcap"
fi
pass "add from root trees" "$publish" add roots --base "$base" --from root1 --to root2
pass "which verifies" "$publish" verify roots
mkdir root2/var/lib/dpkg/updates && touch root2/var/lib/dpkg/updates/tmp.i
pass "an empty journal of dpkg is none" "$publish" plan --base "$base" --from root1 --to root2
touch root2/var/lib/dpkg/updates/0003
run "$publish" plan --base "$base" --from root1 --to root2
is "$run_status" 13 "a tree in which dpkg was interrupted is refused"
like "$run_err" "root2: dpkg was interrupted .*--configure -a" "and it says what to do"
rm root2/var/lib/dpkg/updates/0003
rm root2/lib && ln -s / root2/lib && mkdir -p root2/etc && ln -s /etc/passwd root2/usr/lib/leak &&
	echo /lib/etc/passwd >>root2/var/lib/dpkg/info/one.list
run "$publish" plan --base "$base" --from root1 --to root2
unlike "$run_out" "etc/passwd" "symlinks of a root tree do not leave it"

# ---- words -----------------------------------------------------------------------------------
run "$publish" --help
is "$run_status" 0 "--help"
for verb in init extend plan add withdraw minimum list refresh verify clean rotate sign commit; do
	like "$run_out" "$verb" "--help names $verb"
done
run "$publish" list nowhere --json
is "$run_status" 1 "a repository that is not there"
like "$(json 'd["error"]["text"]')" "nowhere: No such file" "is named in JSON, too"
run "$publish" list v1
like "$run_err" "v1 is no repository" "a folder that is none is called so"
finish
