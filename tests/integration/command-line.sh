#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is typed, and what is printed: one JSON document whatever happens, options before and behind the
# verb, numbers, and who is at work.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

device_package hello 1.0-1 usr/lib/hello/a.txt=a1
device_package hello 1.0-2 usr/lib/hello/a.txt=a2
device_package hello 1.0-3 usr/share/bin/new.txt=new usr/lib/hello/a.txt=a2
lab_base "$packages/hello_1.0-1.deb"
device_repository
publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
documents() { jq -rn '[inputs] | length' <<<"$run_out"; }

run bsi install
is "$(head -n 1 <<<"$run_out")" "installed (a); 1 file attached" "an install in one line, without what everybody knows"

# one document
umount /usr/lib/hello/a.txt
run bsi verify --json
is "$run_status $(documents)" "6 1" "verify with a problem: one document"
is "$(jq -r '"\(.error.id) \(.problems | length)"' <<<"$run_out")" "digest 1" "with the result and the error"
mv "$repo" "$repo.away"
run bsi run --json
is "$run_status $(documents)" "7 1" "run that changes something without its repository: one document"
is "$(jq -r '"\(.error.id) \(.action) \(.files.attached)"' <<<"$run_out")" "transfer attached 1" "with both"
mv "$repo.away" "$repo"
rm -f /etc/dpkg/dpkg.cfg.d/bsi
run bsi doctor --json
is "$run_status $(documents)" "1 1" "doctor with a finding: one document"
is "$(jq -r '"\(.error.id) \(.checks | length > 0)"' <<<"$run_out")" "setup true" "whose id is its own"
run bsi install z --json
is "$(documents) $(jq -r '.error.id' <<<"$run_out")" "1 missing" "a refusal: one document"
run bsi-publish plan --base "$base" --json --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb"
is "$(documents) $(jq -r '.error.id' <<<"$run_out")" "1 refused" "a plan that is refused: one document"
run bsi-publish plan --base "$base" --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-3.deb"
is "$(printf '%s\n%s\n' "$run_out" "$run_err" | grep -c 'usr/share/bin/new.txt')" 1 "and says why once"
run bsi history --json
is "$run_status $(documents) $(jq -r type <<<"$run_out")" "0 1 array" "a list stays a list"

# progress is for a person who watches: on a terminal, and nowhere else
seq 20000 >"$tap_dir/numbers"
device_package long 1.0-1 usr/lib/long/numbers="@$tap_dir/numbers"
echo more >>"$tap_dir/numbers"
device_package long 1.0-2 usr/lib/long/numbers="@$tap_dir/numbers"
publish_to() {
	bsi-publish init "$1" --base "$base" --keys "$1-keys" --no-passphrase >/dev/null
	shown=(bsi-publish add "$1" --base "$base" --keys "$1-keys" --no-passphrase
		--from "$packages/long_1.0-1.deb" --to "$packages/long_1.0-2.deb")
}
publish_to "$tap_dir/watched"
run script -qec "$(printf '%q ' "${shown[@]}") >$tap_dir/words" /dev/null
is "$run_status" 0 "an improvement is published on a terminal" || diag "$run_out"
like "$run_out" "long: compressing" "which shows how far the full payload is"
like "$run_out" "of [0-9.]+ MB  long: encoding" "and how far the delta is"
like "$run_out" $'\r\033\\[Klong: 1 CVE' "and clears the line before it says anything"
unlike "$(cat "$tap_dir/words")" $'\r' "what is printed goes elsewhere and has none of it"
publish_to "$tap_dir/alone"
run "${shown[@]}"
is "$run_status" 0 "an improvement is published without a terminal" || diag "$run_err"
unlike "$run_out$run_err" $'\r|encoding|compressing' "which shows no progress"

# options and numbers
run bsi --rows 1 history
is "$run_status $(wc -l <<<"$run_out")" "0 1" "an option before its verb" || diag "$run_err"
run bsi --rows=1 --json history
is "$(jq length <<<"$run_out")" 1 "in both ways to write it"
run bsi --rows 1 status
is "$run_status" 2 "before a verb that has no such option"
like "$run_err" "unknown option '--rows'; 'bsi status --help'" "says whose option it is not"
run bsi --root history
is "$run_status" 2 "a value is a value, before the verb too"
for verb in base detach hook status config; do
	run bsi $verb --help
	is "$run_status:$run_err" 0: "bsi $verb --help is no error"
	like "$run_out" "^Usage: bsi $verb" "and shows how it is called"
done
run bsi detach --frce
is "$run_status:$run_out" 2: "a wrong option is one"
for rows in 0 -1 x 10001 '' 99999999999999999999999; do
	run bsi history --rows "$rows"
	is "$run_status" 2 "--rows '$rows'"
	like "$run_err" "takes a number from 1 to 10000, not '$rows'" "--rows '$rows' says what there is"
done

# who is at work
cat >"$tap_dir/silent.py" <<'END'
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True)
kept = s.accept(); time.sleep(60)
END
ip link set lo up 2>/dev/null
python3 "$tap_dir/silent.py" >"$tap_dir/port" &
silent=$!
at_exit 'kill $silent $working 2>/dev/null'
until [[ -s $tap_dir/port ]]; do sleep 0.05; done
bsi enroll "http://127.0.0.1:$(<"$tap_dir/port")" --offline --replace --root "$repo/metadata/1.root.json" >/dev/null
bsi check >/dev/null 2>&1 &
working=$!
until grep -qs check /var/lib/bsi/lock; do sleep 0.05; done
run bsi remove
is "$run_status" 5 "while another one is at work"
like "$run_err" "'bsi check' \(process $working\) is changing the state" "it is named, with its process"
kill $silent $working
wait $working 2>/dev/null
pass "and nothing is left of it" bsi remove
finish
