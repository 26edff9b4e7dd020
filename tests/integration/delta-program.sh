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
fail "a directory that exists is not replaced" "$program" apply old tree.d tree

# bad input: a clear error, a status, and nothing under the final name
head -c 100 d >short
cp d tail && printf x >>tail
cp d flipped && printf '\x42\x42' | dd of=flipped bs=1 seek=120 conv=notrunc status=none
cp d version && printf '\x07' | dd of=version bs=1 seek=4 conv=notrunc status=none
head -c 50 /dev/zero >nodelta
for bad in short tail flipped version nodelta; do
	run "$program" apply "$golden/old.elf" "$bad" "never-$bad"
	isnt "$run_status" 0 "$bad: refused ($run_err)"
	pass "$bad: nothing is left" test -z "$(compgen -G "never-$bad*")"
done
run "$program" apply "$golden/new.elf" d never
like "$run_err" 'not the one this delta was made from' "another old file is refused"
run "$program" apply --memory 1 "$golden/old.elf" d never
like "$run_err" 'memory' "a limit of memory is kept"
run "$program" apply "$golden/old.elf" tree.d never
is "$run_status" 2 "a directory's delta does not apply to a file"
run "$program" apply "$golden/old.elf" d missing/never
isnt "$run_status" 0 "a directory that is not there ($run_err)"
run bash -c "ulimit -f 4; trap '' XFSZ; exec '$program' apply '$golden/old.elf' d never-full"
isnt "$run_status" 0 "a file that cannot grow ($run_err)"
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
