#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the form of an image costs in a delta, where it would show most: 1000 small files. Beside the
# same files as a directory, an image adds inodes, blocks and directories; most of it can be foretold.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

for program in dpkg-deb jq; do
	command -v "$program" >/dev/null || skip_all "$program is not installed"
done
publish=$BSI_BUILD/src/cmd/bsi-publish delta=$BSI_BUILD/src/cmd/bsi-delta
[[ -x $publish && -x $delta ]] || skip_all "bsi-publish and bsi-delta are not built"
cd "$tap_dir" || exit 99
count=1000

# tree VERSION: names and lengths that follow no pattern (a Lehmer generator), one line of each changed
tree() {
	mkdir -p "$1/usr/share/small"
	awk -v version="$1" -v count=$count '
	function random(n) { seed = seed * 48271 % 2147483647; return seed % n }
	function word(  i, w) {
		w = ""
		for (i = 3 + random(8); i > 0; i--)
			w = w sprintf("%c", 97 + random(26))
		return w
	}
	BEGIN {
		seed = 7
		for (file = 0; file < count; file++) {
			path = version "/usr/share/small/" word() "-" file ".conf"
			lines = 3 + random(25)
			for (line = 0; line < lines; line++) {
				changed = version == "new" && line == int(lines / 2) ? "changed " : ""
				print changed word() " = " word() " " word() " " word() >path
			}
			close(path)
		}
	}'
}

# package VERSION: the tree as a package in the folder VERSION.d
package() {
	local number=1.0

	[[ $1 == old ]] || number=1.1
	cp -a "$1" "$1.tree"
	mkdir -p "$1.tree/DEBIAN" "$1.d"
	printf 'Package: small\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: small files\n' \
		$number >"$1.tree/DEBIAN/control"
	dpkg-deb --root-owner-group -Zgzip -b "$1.tree" "$1.d/small_$number.deb" >/dev/null || exit 99
}

for version in old new; do
	tree $version
	package $version
done
is "$(find new -type f | wc -l)" $count "there are $count files"
pass "a delta of the directories" "$delta" encode old new directory.delta
"$publish" init repo --base debian:12:amd64 --no-passphrase >/dev/null || exit 99
run "$publish" add repo --base debian:12:amd64 --from old.d --to new.d --json
is "$run_status" 0 "an image of them is published" || diag "$run_err"
is "$(jq '.components[0].files | length' <<<"$run_out")" $count "with all of them"
image=$(jq '.components[0].payloads[] | select(.kind == "delta") | .bytes' <<<"$run_out")
directory=$(stat -c %s directory.delta)
most=$((200 + 16 * count))
diag "image $image bytes, directory $directory, so $((image - directory)) for the form of an image; at most $most"
if [[ $image && $((image - directory)) -le $most ]]; then
	ok "the form of an image costs at most 200 bytes and 16 for each file"
else
	not_ok "the form of an image costs at most 200 bytes and 16 for each file"
fi
finish
