#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The codec gives the same bytes from gcc and clang, at any optimisation, with words of 64 and of 32
# bits, in both directions; and, where an emulator and a compiler for one are here, on a machine
# whose bytes are in the other order.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

program=$BSI_BUILD/src/cmd/bsi-delta
[[ -x $program ]] || skip_all "bsi-delta is not built"
source=$BSI_TESTS/../src
golden=$BSI_TESTS/unit/delta/golden
cd "$tap_dir" || exit 99

# pairs: programs of all machines, one written for x86-64 said to be of another, an archive, text, and
# a file without an old one
mkdir old new
cp "$golden/old.elf" old/elf
cp "$golden/new.elf" new/elf
for side in old new; do
	cp $side/elf $side/lie
	printf '\267' | dd of=$side/lie bs=1 seek=18 conv=notrunc 2>/dev/null
	(cd $side && ar rcD ar elf lie)
done
for kind in rich go a64 arm i386 object object64; do
	for side in old new; do cp "$golden/$kind-$side.elf" "$side/$kind"; done
done
seq 20000 >old/text
seq 3 20050 >new/text
: >old/alone
cp "$golden/../test-codec.c" new/alone
pairs=$(cd old && ls)

for p in $pairs; do
	"$program" encode "old/$p" "new/$p" "$p.want" || not_ok "encode $p"
done

flags="-std=gnu17 -D_GNU_SOURCE -I$source -pthread"
sources="$BSI_TESTS/integration/delta-words.c $(echo "$source"/delta/*.c) $source/base/bytes.c $source/base/error.c $source/base/text.c"

# check NAME RUNNER COMPILER...: the same deltas, and every delta decodes
check() {
	local name=$1 runner=$2 p same=yes made=yes

	shift 2
	# shellcheck disable=SC2086 # lists
	if ! "$@" $flags $sources -o coder 2>log; then
		if grep -Eq 'cannot find|not found|No such file|unknown target|unrecognized' log; then
			skip "$name" "no libraries for it here"
		else
			not_ok "$name" "$(head -n 5 log)"
		fi
		return
	fi
	for p in $pairs; do
		$runner ./coder encode "old/$p" "new/$p" "$p.delta" && cmp -s "$p.delta" "$p.want" ||
			same="no: $p"
		$runner ./coder apply "old/$p" "$p.want" "$p.made" && cmp -s "$p.made" "new/$p" ||
			made="no: $p"
	done
	is "$same $made" "yes yes" "$name"
}

check "gcc, 64 bits, -O0" "" gcc -O0
check "gcc, 64 bits, -O3" "" gcc -O3
check "gcc, 32 bits, -O1" "" gcc -m32 -O1
check "clang, 64 bits, -O2" "" clang -O2
check "clang, 32 bits, -O2" "" clang -m32 -O2
# clang, because gcc for another machine and gcc-multilib shut each other out
qemu=$(command -v qemu-s390x || command -v qemu-s390x-static)
if [[ -n $qemu ]]; then
	check "clang, s390x: the other order of bytes" "$qemu" clang --target=s390x-linux-gnu \
		-isystem /usr/s390x-linux-gnu/include -static -O2
else
	skip "the other order of bytes" "no qemu-s390x here; 'tools/setup' brings it"
fi
finish
