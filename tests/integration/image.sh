#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images before their judges: fsck.erofs, dump.erofs, the kernel, veritysetup; and payloads.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

tool=$BSI_BUILD/tests/integration/image-tool
((EUID == 0)) || skip_all "owners, capabilities and mounts need root"
for program in setcap getcap setfattr getfattr unshare; do
	command -v "$program" >/dev/null || skip_all "$program is not installed"
done
cd "$tap_dir" || exit 1

# value KEY: from what the tool said last
value() {
	sed -n "s/^$1=//p" <<<"$run_out"
}

# flip FILE OFFSET: invert one byte
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %02x $((byte ^ 255)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# describe DIR: every name with all that must survive
describe() {
	(
		cd "$1" || exit
		find . -mindepth 1 -type d -printf '%P %y %m %U %G\n' -o \
			-mindepth 1 -printf '%P %y %m %U %G %s %n %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
		find . -mindepth 1 -print0 | LC_ALL=C sort -z |
			xargs -0 getfattr -h -d -m - -e hex -- 2>/dev/null
		# names of one file share an inode
		find . -type f -links +1 -printf '%i %P\n' | LC_ALL=C sort -k2 |
			awk '{ if (!($1 in first)) first[$1] = $2; print first[$1], $2 }'
	)
}

make_tree() {
	local root=$1 n i

	mkdir -p "$root"/usr/{lib/deep/er/and/deeper,bin,share/many,share/empty,'!first'}
	for n in 0 1 4095 4096 4097 8191 8192 8193 65536 131071 131072 131073 3000001; do
		head -c "$n" /dev/urandom >"$root/usr/lib/size-$n"
	done
	for ((i = 0; i < 1000; i++)); do
		printf 'content %d\n' "$i" >"$root/usr/share/many/file-$i"
	done
	for ((i = 0; i < 40; i++)); do
		printf '%d' "$i" >"$root/usr/share/$(printf '%0255d' "$i")"
	done
	: >"$root/usr/lib/.hidden"
	: >"$root/usr/lib/!before-the-dot"
	: >"$root/usr/lib/-after"
	: >"$root/usr/lib/ünïcode name"
	head -c 20000 /dev/urandom >"$root/usr/bin/setuid"
	head -c 20000 /dev/urandom >"$root/usr/bin/capable"
	head -c 5000 /dev/urandom >"$root/usr/lib/linked"
	ln "$root/usr/lib/linked" "$root/usr/bin/linked"
	ln "$root/usr/lib/linked" "$root/usr/share/linked"
	ln -s ../lib/size-4096 "$root/usr/bin/symlink"
	ln -s "/$(head -c 3000 /dev/zero | tr '\0' x)" "$root/usr/bin/long-symlink"
	chown 65534:12345 "$root/usr/lib/size-1"
	chmod 4755 "$root/usr/bin/setuid"
	chmod 2711 "$root/usr/share/empty"
	chmod 0 "$root/usr/lib/size-8192"
	chown -h 4000000000:4000000001 "$root/usr/bin/symlink"
	setcap cap_net_raw,cap_net_admin+ep "$root/usr/bin/capable"
	setfattr -n user.comment -v "a value" "$root/usr/lib/size-4097"
	setfattr -n user.empty "$root/usr/lib/size-4097"
	setfattr -n user.large -v "$(head -c 1500 /dev/zero | tr '\0' v)" "$root/usr/lib/size-4097"
	setfattr -n trusted.test -v yes "$root/usr/lib/deep"
	setfattr -n security.test -v label "$root/usr/lib/size-0"
	# user::rw-, user:1000:r--, group::r--, mask::r--, other::---
	setfattr -n system.posix_acl_access \
		-v 0x0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff \
		"$root/usr/lib/size-4095" 2>/dev/null || acl_missing=yes
}

acl_missing=
umask 022
make_tree tree
[[ -z $acl_missing ]] || diag "this file system takes no ACLs: none in the tree"

run "$tool" build tree image --payload payload
is "$run_status" 0 "an image and its payload are built"
if ((run_status)); then
	diag "$run_err"
	finish
fi
root=$(value root) salt=$(value salt) tree_offset=$(value tree_offset)
image_bytes=$(value image_bytes) memory=$(value memory_bytes) file_seal=$(value fs_verity)
is "$(stat -c %s image)" "$image_bytes" "the image has the announced size"
pass "our own reader and verifier accept it" "$tool" check image "$tree_offset" "$salt" "$root"

diag "the judges"
if command -v fsck.erofs >/dev/null; then
	pass "fsck.erofs" fsck.erofs --extract image
	run dump.erofs -s image
	like "$run_out" "inode count: +$(($(find tree -type f -o -type d -o -type l | wc -l) - 2))" \
		"dump.erofs counts the inodes; two hard links are none"
	like "$run_out" "sb_csum" "dump.erofs sees the checksum"
	run dump.erofs -e --path=/usr/lib/size-3000001 image
	like "$run_out" "0 extents|1 extents|3000001" "dump.erofs: a file is one run of blocks"
else
	skip "fsck.erofs and dump.erofs" "erofs-utils is not installed"
fi
if command -v veritysetup >/dev/null; then
	pass "veritysetup verify" veritysetup verify image image "$root" --hash-offset="$tree_offset"
	fail "veritysetup verify with another root" \
		veritysetup verify image image "${root//[0-9]/a}" --hash-offset="$tree_offset"
	run veritysetup dump image --hash-offset="$tree_offset"
	like "$run_out" "Salt:[[:space:]]+$salt" "veritysetup dump reads the salt"
	head -c "$tree_offset" image >data-only
	run veritysetup format data-only own-tree --salt="$salt" --uuid="$(
		veritysetup dump image --hash-offset="$tree_offset" | sed -n 's/^UUID:[[:space:]]*//p')"
	like "$run_out" "Root hash:[[:space:]]+$root" "veritysetup format comes to the same root"
	pass "and to the same tree, byte for byte" cmp own-tree <(tail -c "+$((tree_offset + 1))" image)
else
	skip "veritysetup" "cryptsetup is not installed"
fi
if command -v fsverity >/dev/null; then
	run fsverity digest --compact image
	is "$run_out" "$file_seal" "fsverity digest says the same of the whole file"
else
	skip "fsverity digest" "fsverity is not installed"
fi

describe tree >wanted
# looked_at HOW: mount the image by that command and describe it
looked_at() {
	unshare -m --propagation private bash -c "
		mkdir -p mounted
		$1 || exit
		$(declare -f describe)
		describe mounted >got
		getcap mounted/usr/bin/capable >got-capability"
}
if run looked_at "'$tool' mount image mounted" && ((run_status == 0)); then
	pass "the kernel, straight from the file: all is as it was" diff wanted got
	like "$(<got-capability)" "cap_net_admin,cap_net_raw=ep" "getcap finds the capabilities"
elif ((run_status == 3)); then
	skip "the kernel, straight from the file" "this kernel wants a block device"
else
	skip "the kernel, straight from the file" "no EROFS here: $run_err"
fi
rm -f got
if run looked_at "mount -t erofs -o loop,ro image mounted" && ((run_status == 0)); then
	pass "the kernel, by a loop device: all is as it was" diff wanted got
else
	skip "the kernel, by a loop device" "no loop device or no EROFS here: $run_err"
fi

diag "the same bytes"
for seed in 1 2 3; do
	"$tool" build tree "image-$seed" --seed "$seed" --piece "$((seed * 1000 + 1))" >/dev/null
	pass "entries in order $seed" cmp image "image-$seed"
	rm -f "image-$seed"
done
mkdir copy
find tree -depth -mindepth 1 -printf '%P\0' >backwards
if tar -C tree --null --no-recursion -cf - --xattrs --xattrs-include='*' -T backwards 2>/dev/null |
	tar -C copy -xpf - --xattrs --xattrs-include='*' --same-owner --delay-directory-restore \
		2>/dev/null; then
	find copy -exec touch -h -d '2001-02-03' {} +
	"$tool" build copy image-copy >/dev/null
	pass "a copy made backwards, with other times" cmp image image-copy
else
	skip "a copy made backwards" "tar cannot carry xattrs here"
fi
rm -rf copy image-copy
"$tool" build tree image-2 --payload payload-2 --workers 2 --piece 4097 >/dev/null
pass "a payload of two workers" cmp payload payload-2
rm -f image-2 payload-2

diag "payloads"
for piece in 1 777 1048576; do
	run "$tool" decode payload decoded "$salt" "$image_bytes" --memory "$memory" --piece "$piece"
	is "$run_status$(value root)" "0$root" "decoded in pieces of $piece"
	pass "  the same image" cmp image decoded
done
run "$tool" decode payload decoded "$salt" "$((image_bytes - 1))"
like "$run_err" "makes an image of $image_bytes bytes" "an image larger than announced"
run "$tool" decode payload decoded "$salt" "$image_bytes" --memory "$((memory - 1))"
like "$run_err" "needs $memory bytes of memory" "more memory than allowed"
head -c -1 payload >short
run "$tool" decode short decoded "$salt" "$image_bytes"
like "$run_err" "ends too early" "a byte is missing"
{ cat payload; printf x; } >long
run "$tool" decode long decoded "$salt" "$image_bytes"
like "$run_err" "bytes follow the end" "a byte too many"
run "$tool" decode image decoded "$salt" "$image_bytes"
like "$run_err" "no payload" "an image is no payload"
if command -v zstd >/dev/null; then
	head -c 20000000 /dev/zero >zeros
	zstd -q -3 --long=27 --no-check zeros -o wide
	run "$tool" decode wide decoded "$salt" "$image_bytes"
	like "$run_err" "wants a window of [0-9]+ bytes; 8388608" "a window above 8 MiB"
	zstd -q -3 --no-check tree/usr/lib/size-3000001 -o other
	run "$tool" decode other decoded "$salt" "$image_bytes"
	like "$run_err" "no payload of kind" "a frame with something else in it"
	rm -f zeros wide other
else
	skip "frames of the zstd program" "zstd is not installed"
fi

diag "damage"
for at in 1024 1100 $((tree_offset / 2)) "$tree_offset" $((tree_offset + 4096)) $((image_bytes - 4096)); do
	cp image bad
	flip bad "$at"
	fail "byte $at" "$tool" check bad "$tree_offset" "$salt" "$root"
done
rm -f bad

diag "60 MB"
mkdir -p large/usr/lib
for ((i = 0; i < 6; i++)); do
	# half of it compressible
	{ head -c 5000000 /dev/urandom; head -c 5000000 /dev/zero | tr '\0' "$i"; } >"large/usr/lib/$i"
done
run "$tool" build large image-large --payload payload-large --level 1
salt=$(value salt) image_bytes=$(value image_bytes) memory=$(value memory_bytes) file_seal=$(value fs_verity)
"$tool" build large image-2 --payload payload-2 --level 1 --workers 2 >/dev/null
pass "a payload of several jobs is the same with two workers" cmp payload-large payload-2
run "$tool" decode payload-large decoded "$salt" "$image_bytes" --memory "$memory"
pass "decoded" cmp image-large decoded
peak=$(value peak_kib)
if [[ -n $peak ]]; then
	if ((peak < 20000)); then ok "in less than 20 MB"; else not_ok "in less than 20 MB" "$peak KiB"; fi
	diag "peak $peak KiB, announced $((memory / 1024)) KiB beside the program itself"
else
	skip "in less than 20 MB" "a sanitizer's memory would be counted"
fi
finish
