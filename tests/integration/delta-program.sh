#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bsi-delta as people use it: files, directories, bad input, full disks.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

program=$BSI_BUILD/src/cmd/bsi-delta
[[ -x $program ]] || skip_all "bsi-delta is not built"
golden=$BSI_TESTS/unit/delta/golden
cd "$tap_dir" || exit 99

# files
pass "a delta of two programs" "$program" encode "$golden/old.elf" "$golden/new.elf" d
pass "applied" "$program" apply "$golden/old.elf" d made
pass "gives the new program" cmp made "$golden/new.elf"
run "$program" info d
like "$run_out" 'format version 2' "info names the version"
run "$program" info --old "$golden/old.elf" d
like "$run_out" 'field branch +12 found +12 predicted +0 missed' "info counts references"
run "$program" --json info d
pass "info prints JSON" python3 -c \
	'import json,sys; assert json.loads(sys.argv[1])["n_files"] == 1' "$run_out"
cp "$golden/new.elf" existing
pass "a file that exists is replaced" "$program" apply "$golden/old.elf" d existing
run bash -c "'$program' info d >/dev/full"
like "$run_err" 'standard output: No space left' "output that cannot be written is named with its reason"
# the pipe is closed before anything is written to it, however busy the machine
run bash -c "set -o pipefail; (until [[ -e closed ]]; do sleep 0.1; done; '$program' info d) | (exec <&-; : >closed; sleep 1)"
is "$run_err" "" "a reader that has enough hears no complaint"
isnt "$run_status" 0 "but what was not read is no success"
pass "an absolute path" "$program" apply "$golden/old.elf" "$PWD/d" "$PWD/absolute"
pass "bench" "$program" bench "$golden/old.elf" "$golden/new.elf"

# the example of the format's page is what the program makes
yes 'hello world, this is a text' | head -n 20 >example.old
{ yes 'hello world, this is a text' | head -n 10
	echo 'and something new'
	yes 'hello world, this is a test' | head -n 12; } >example.new
pass "the example's files" "$program" encode example.old example.new example
is "$(sed -n '/^b5 42 44 0a /,/^```/p' "$BSI_TESTS/../docs/formats/delta.md" | sed -E 's/(  .*|^```)$//' | tr -d ' \n')" \
	"$(od -An -v -tx1 example | tr -d ' \n')" "docs/formats/delta.md shows their delta (tools/golden renews it)"

# equivalence
run "$program" info --equivalent "$golden/old.elf" "$golden/old.elf"
is "$run_out" equivalent "a file is equivalent to itself"
run "$program" info --equivalent "$golden/old.elf" "$golden/new.elf"
like "$run_out" '^different: .*, \.' "another program is different, with the section named"

# directories
mkdir -p old/bin old/lib new/bin new/lib new/empty
cp "$golden/old.elf" old/bin/program
cp "$golden/new.elf" new/bin/program
seq 1000 >old/lib/numbers.1
seq 3 1010 >new/lib/numbers.2
: >new/lib/nothing
chmod 4755 new/bin/program
chmod 750 new/empty
ln -s ../lib/numbers.2 new/bin/link
printf 'text\n' >new/text
pass "a delta of two directories" "$program" encode old new tree.d
pass "applied to a directory" "$program" apply old tree.d tree
pass "gives the new directory" diff -r --no-dereference tree new
list() { (cd "$1" && find . -mindepth 1 -printf '%p %y %m %l\n' | sort); }
is "$(list tree)" "$(list new)" "with modes and links"
bytes=$(stat -c %s tree.d)
if ((bytes < 1500)); then ok "and is small ($bytes bytes)"; else not_ok "$bytes bytes"; fi
pass "again with one thread" "$program" encode --threads 1 old new one.d
pass "and with three" "$program" encode --threads 3 old new three.d
pass "the same bytes for any number of threads" cmp one.d three.d
pass "and by default" cmp one.d tree.d

# renamed, copied, split, and without an old file at all
mkdir -p from/a from/b to/c/d
cp "$golden/old.elf" from/a/library.so
seq 5000 9000 >from/b/one
seq 50000 54000 >from/b/two
cp "$golden/new.elf" to/c/library.so
cp from/b/one to/c/d/other
{ seq 5100 8900 && seq 50100 53900; } >to/c/both
awk 'BEGIN { srand(5); for (i = 0; i < 4000; i++) print rand() }' >to/c/fresh
{ cat to/c/fresh && echo; } >to/c/fresh-again
pass "names and contents that moved" "$program" encode from to moved.d
pass "applied" "$program" apply from moved.d moved
pass "gives the same" diff -r moved to
run "$program" --json info --old from moved.d
is "$(jq -c '[.files[] | [.path, (.references | length)]]' <<<"$run_out")" \
	'[["c/both",2],["c/d/other",1],["c/fresh",0],["c/fresh-again",0],["c/library.so",1]]' \
	"each from the old files that hold it"
is "$(jq '[.files[] | select(.path != "c/fresh") | .bytes < 400] | all' <<<"$run_out")" true \
	"and small, but for what is new" || diag "$(jq -c '[.files[] | [.path, .bytes]]' <<<"$run_out")"
is "$(jq '.total.bytes == .total.files + .total.tables' <<<"$run_out")" true "the parts are the whole"

# what has no old file, of the kinds that updates are made of
while read -r kind file; do
	[[ -s $file ]] || { skip "$kind without an old file" "no ${file:-such file} here"; continue; }
	rm -rf alone.old alone.new alone
	mkdir alone.old alone.new
	cp -L "$file" alone.new/file
	pass "$kind without an old file" "$program" encode alone.old alone.new alone.d
	pass "applied" "$program" apply alone.old alone.d alone
	pass "gives the same" cmp alone/file alone.new/file
	run "$program" --json info --old alone.old alone.d
	got=$(jq '.files[0].bytes' <<<"$run_out") least=$(xz -9e -c alone.new/file | wc -c)
	if ((got * 100 <= least * 101)); then
		ok "and needs no more than xz -9e and 1 %"
	else
		not_ok "and needs no more than xz -9e and 1 %" "$kind ($file): $got and $least"
	fi
done <<EOF
numbers to/c/fresh
program $(readlink -f "$BASH")
library $(ldd "$BASH" | awk '/libc\.so/ { print $3 }')
text $BSI_TESTS/../docs/formats/delta.md
manual $BSI_BUILD/docs/man/bsi.1
JSON $BSI_BUILD/compile_commands.json
PNG $BSI_TESTS/../docs/images/webkit-after.png
SVG $BSI_TESTS/../docs/images/delta.svg
gzip $(find -L /usr/share/doc -name '*.gz' -size +3 -size -100 2>/dev/null | head -n 1)
EOF

# compressed content is named
mkdir packed.old packed.new
gzip -9 -n <to/c/fresh >packed.new/a.gz
xz <to/c/fresh >packed.new/b.xz
python3 -c 'import sys, zipfile
z = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED)
z.write(sys.argv[2])' packed.new/c.zip to/c/fresh
pass "compressed files" "$program" encode packed.old packed.new packed.d
run "$program" --json info --old packed.old packed.d
is "$(jq -c '.total.packed | keys' <<<"$run_out")" '["deflate","gzip","xz"]' "info names what it cannot look into"
is "$(jq '.total.packed.gzip' <<<"$run_out")" "$(stat -c %s packed.new/a.gz)" "with their bytes"
run "$program" info --old packed.old packed.d
like "$run_out" 'xz: [0-9]+ bytes of the new files, not looked into' "in words too"

fail "a directory that exists is not replaced" "$program" apply old tree.d tree

# bad input: a clear error, a status, and nothing under the final name
head -c 100 d >short
cp d tail && printf x >>tail
cp d flipped && printf '\x42\x42' | dd of=flipped bs=1 seek=120 conv=notrunc status=none
cp d version && printf '\x07' | dd of=version bs=1 seek=4 conv=notrunc status=none
cp d early && printf '\x01' | dd of=early bs=1 seek=4 conv=notrunc status=none
head -c 50 /dev/zero >nodelta
{ head -c 6 d && printf '\xff\xff\xff\xff\xff\x7f' && tail -c +7 d; } >huge
: >empty
for bad in short tail flipped version early nodelta huge empty; do
	run "$program" apply "$golden/old.elf" "$bad" "never-$bad"
	is "$run_status" 6 "$bad: refused ($run_err)"
	pass "$bad: nothing is left" test -z "$(compgen -G "never-$bad*")"
done
run "$program" apply "$golden/new.elf" d never
is "$run_status" 9 "another old file has a status of its own"
like "$run_err" 'not the one this delta was made from' "another old file is refused"
run "$program" apply --memory 1 "$golden/old.elf" d never
like "$run_err" 'memory' "a limit of memory is kept"
run "$program" apply "$golden/old.elf" tree.d never
is "$run_status" 2 "a directory's delta does not apply to a file"
run "$program" apply "$golden/old.elf" d missing/never
isnt "$run_status" 0 "a directory that is not there ($run_err)"
run bash -c "ulimit -f 4; trap '' XFSZ; exec '$program' apply '$golden/old.elf' d never-full"
isnt "$run_status" 0 "a file that cannot grow ($run_err)"
full=$(
	unshare -m --propagation private bash -c '
		mkdir full && mount -t tmpfs -o size=4k none full || exit
		"$1" apply "$2/old.elf" d full/out; echo "apply $?"
		"$1" encode from to full/d; echo "encode $?"
		ls -A full' - "$program" "$golden" 2>&1
)
if [[ $full == *apply* ]]; then
	like "$full" 'No space left.*apply 8' "a full device: apply says so"
	like "$full" 'encode 8$' "encode too, and nothing is left on it"
else
	skip "a full device" "no mount here"
fi
run bash -c "'$program' info '$golden/old.elf'"
is "$run_status" 6 "info of what is no delta"
pass "nothing is left of all that" test -z "$(compgen -G 'never*')"

# memory: 16 MiB and 2.6 times the larger file, and the process itself
seq 700000 >big.old
seq 3 700500 >big.new
pass "a larger file" "$program" encode big.old big.new big.d
if [[ -x /usr/bin/time ]]; then
	/usr/bin/time -o used -f %M "$program" apply big.old big.d big.made
	limit=$((16384 + 26 * $(stat -c %s big.new) / 10240 + 6144))
	if (($(<used) <= limit)); then ok "memory $(<used) KiB of $limit"; else not_ok "memory $(<used) KiB of $limit"; fi
	pass "it is right" cmp big.made big.new
else
	skip "memory" "no time(1)"
fi
finish
