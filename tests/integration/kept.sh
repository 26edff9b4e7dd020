#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Ownership, mode, capabilities, extended attributes and hard links of patched files are what the
# package has, and they work.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cat >"$tap_dir/who.c" <<'C'
#include <stdio.h>
#include <sys/prctl.h>
#include <linux/capability.h>
#include <unistd.h>
int main(void) { printf("%d %d " MARK "\n", (int)geteuid(), prctl(PR_CAPBSET_READ, CAP_NET_RAW)); }
C
for mark in old new; do
	cc -static -O1 -DMARK="\"$mark\"" -o "$tap_dir/who.$mark" "$tap_dir/who.c" 2>/dev/null ||
		cc -O1 -DMARK="\"$mark\"" -o "$tap_dir/who.$mark" "$tap_dir/who.c"
done

# setuid and setgid programs, a hard link, another owner, an odd mode
for number in 1 2; do
	mark=$([[ $number == 1 ]] && echo old || echo new)
	root=$tap_dir/kept
	rm -rf "$root"
	mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/kept"
	for name in suid sgid plain; do cp "$tap_dir/who.$mark" "$root/usr/bin/test-$name"; done
	ln "$root/usr/bin/test-plain" "$root/usr/bin/test-link"
	echo "$mark" >"$root/usr/lib/kept/odd.txt"
	chown -R 0:0 "$root"
	chown 0:12 "$root/usr/lib/kept/odd.txt"
	chmod 0640 "$root/usr/lib/kept/odd.txt"
	chmod 4755 "$root/usr/bin/test-suid"
	chmod 2755 "$root/usr/bin/test-sgid"
	printf 'Package: kept\nVersion: 1.0-%s\nArchitecture: %s\nMaintainer: T <t@localhost>\nDescription: t\n' \
		$number "$(dpkg --print-architecture)" >"$root/DEBIAN/control"
	(cd "$root" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
	mkdir -p "$packages"
	dpkg-deb -b "$root" "$packages/kept_1.0-$number.deb" >/dev/null
done
lab_base "$packages/kept_1.0-1.deb"

# capabilities and extended attributes come from a root tree, as packages of Debian set them there
tree() {
	local root=$tap_dir/tree.$1

	mkdir -p "$root/var/lib/dpkg/info" "$root/usr/bin" "$root/etc"
	cp /etc/os-release "$root/etc/"
	cp "$tap_dir/who.$1" "$root/usr/bin/test-caps"
	setcap cap_net_raw+ep "$root/usr/bin/test-caps"
	setfattr -n user.note -v "kept $1" "$root/usr/bin/test-caps"
	printf 'Package: caps\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\nMaintainer: T <t@localhost>\nDescription: t\n' \
		"$(dpkg --print-architecture)" "1.0-$([[ $1 == new ]] && echo 2 || echo 1)" >"$root/var/lib/dpkg/status"
	printf '/.\n/usr\n/usr/bin\n/usr/bin/test-caps\n' >"$root/var/lib/dpkg/info/caps.list"
}
tree old
tree new
cp -a "$tap_dir/tree.old/usr/bin/test-caps" /usr/bin/test-caps

device_repository
pass "packages with privileges are published" publish add --from "$packages/kept_1.0-1.deb" --to "$packages/kept_1.0-2.deb"
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
like "$(nobody test-suid)" "^0 . old" "the base's program is setuid"
pass "installed" bsi install
like "$(nobody test-suid)" "^0 . new" "setuid works through the graft"
like "$(nobody test-plain)" "^65534 . new" "and only where it is set"
is "$(stat -c %a /usr/bin/test-sgid)" 2755 "setgid is kept"
is "$(stat -c '%a %u:%g' /usr/lib/kept/odd.txt)" "640 0:12" "owner and mode are kept"
like "$(nobody test-link)" "new" "the other name of a hard link is patched too"
is "$(stat -c %i /usr/bin/test-plain)" "$(stat -c %i /usr/bin/test-link)" "and is the same file"
like "$(grep ' /usr/bin/test-plain ' /proc/self/mountinfo)" nosuid "what needs no privilege is mounted nosuid"
unlike "$(grep ' /usr/bin/test-suid ' /proc/self/mountinfo)" nosuid "what needs it is not"

pass "a tree with capabilities is published" publish add --from "$tap_dir/tree.old" --to "$tap_dir/tree.new"
pass "installed" bsi install
is "$(getcap /usr/bin/test-caps)" "/usr/bin/test-caps cap_net_raw=ep" "capabilities are kept"
is "$(getfattr --only-values -n user.note /usr/bin/test-caps 2>/dev/null)" "kept new" "extended attributes are kept"
like "$(nobody test-caps)" new "the patched program runs"
unlike "$(grep ' /usr/bin/test-caps ' /proc/self/mountinfo)" nosuid "with its capabilities"
pass "and all verifies" bsi verify
finish
