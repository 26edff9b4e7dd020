# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What a virtual machine gets to work with, made on this machine:
#
#   scene BUILD SUITE JOB    JOB/*.sh             the scripts of the boots, with what they share
#                            JOB/debs/            our packages, as tools/deb builds them
#                            JOB/apt/             a package archive: a small library in several
#                                                 versions, its program and service, one more package
#                            JOB/repository-a     what the publisher has: (a)
#                            JOB/repository-b     and later: (a) and (b)

scene_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Whether the packages are there and newer than what they are made of.
scene_are_new() {
	local root=$scene_here/../.. deb

	deb=$(compgen -G "$1/bsi_*.deb" | head -n 1)
	[[ -n $deb ]] && [[ -z $(find "$root"/{src,data,debian,docs/man,meson.build} -newer "$deb" -type f -print -quit) ]]
}

# Our packages for that release: built here if this is one, else in a chroot.
scene_debs() {
	local build=$1 suite=$2 tools=$scene_here/../../tools

	if ! scene_are_new "$build/deb/$suite"; then
		# shellcheck source=/dev/null
		if [[ $(. /etc/os-release && echo "${VERSION_CODENAME:-}") == "$suite" ]]; then
			"$tools/deb" here "$build/deb/$suite" || return 1
		else
			"$tools/deb" "$suite" "$build/deb" || return 1
		fi
	fi
}

# scene_package NAME VERSION TREE OUT [CONTROL-LINE...]
scene_package() {
	local name=$1 version=$2 tree=$3 out=$4
	shift 4
	mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name"
	printf '%s (%s) stable; urgency=high\n\n  * Fix an overflow (CVE-2026-0001).\n\n -- Lab <lab@localhost>  Tue, 24 Nov 2026 10:00:00 +0000\n' \
		"$name" "$version" | gzip -9n >"$tree/usr/share/doc/$name/changelog.Debian.gz"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Lab <lab@localhost>\n' "$name" "$version"
		(($# == 0)) || printf '%s\n' "$@"
		printf 'Description: for a test\n'
	} >"$tree/DEBIAN/control"
	(cd "$tree" && find usr lib -type f -exec md5sum {} + >DEBIAN/md5sums 2>/dev/null)
	dpkg-deb --root-owner-group -b "$tree" "$out/${name}_${version}_amd64.deb" >/dev/null
}

# liblab1 VERSION NUMBER OUT: two libraries, one of which needs the other.
scene_library() {
	local version=$1 number=$2 out=$3 tree

	tree=$(mktemp -d)
	mkdir -p "$tree/usr/lib/lab" "$out"
	printf 'int lab_inner(void);\nint lab_inner(void) { return %d; }\n' "$number" |
		cc -shared -fPIC -O1 -Wl,-soname,libinner.so.1 -o "$tree/usr/lib/lab/libinner.so.1" -x c - &&
		printf 'int lab_inner(void);\nint lab_version(void);\nint lab_version(void) { return %d * 100 + lab_inner(); }\n' "$number" |
		cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tree/usr/lib/lab/liblab.so.1" -x c - \
			-x none "$tree/usr/lib/lab/libinner.so.1" -Wl,-rpath,/usr/lib/lab &&
		scene_package liblab1 "$version" "$tree" "$out"
	local status=$?
	rm -rf "$tree"
	return $status
}

# What uses the library: a program, a service, a unit that looks early in the boot, one that hangs.
scene_users() {
	local out=$1 library=$2 tree

	tree=$(mktemp -d)
	dpkg-deb -x "$library" "$tree/lib1" || return 1
	mkdir -p "$tree/p/usr/bin" "$tree/p/lib/systemd/system"
	printf '#include <stdio.h>\n#include <unistd.h>\nint lab_version(void);\nint main(int c, char **v) { (void)v; printf("%%d\\n", lab_version()); fflush(stdout); if (c > 1) pause(); }\n' |
		cc -O1 -o "$tree/p/usr/bin/lab" -x c - -x none "$tree/lib1/usr/lib/lab/liblab.so.1" \
			-Wl,-rpath,/usr/lib/lab -Wl,-rpath-link,"$tree/lib1/usr/lib/lab" || return 1
	cat >"$tree/p/lib/systemd/system/labd.service" <<'UNIT'
[Unit]
Description=A service that uses the library
[Service]
ExecStart=/usr/bin/lab stay
[Install]
WantedBy=multi-user.target
UNIT
	cat >"$tree/p/lib/systemd/system/lab-early.service" <<'UNIT'
[Unit]
Description=The first that uses the library in a boot
DefaultDependencies=no
After=sysinit.target
Before=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/usr/bin/lab >/run/lab-early; cut -d" " -f1 /proc/uptime >>/run/lab-early'
[Install]
WantedBy=basic.target
UNIT
	cat >"$tree/p/lib/systemd/system/lab-hang.service" <<'UNIT'
[Unit]
Description=A service that cannot live with one version of the library
Before=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh -c 'if [ "$$(lab)" = 909 ]; then echo "HANG: the new library is in use" >/dev/ttyS0; sleep 1000; fi'
[Install]
WantedBy=multi-user.target
UNIT
	cat >"$tree/postinst" <<'SCRIPT'
#!/bin/sh
set -e
systemctl daemon-reload
systemctl -q enable labd.service lab-early.service lab-hang.service
systemctl restart labd.service
SCRIPT
	mkdir -p "$tree/p/DEBIAN"
	install -m 755 "$tree/postinst" "$tree/p/DEBIAN/postinst"
	scene_package lab-tools 1.0-1 "$tree/p" "$out" 'Depends: liblab1'
	local status=$?
	rm -rf "$tree"
	return $status
}

scene_unrelated() {
	local version=$1 out=$2 tree

	tree=$(mktemp -d)
	mkdir -p "$tree/usr/share/lab-unrelated"
	echo "$version" >"$tree/usr/share/lab-unrelated/version"
	scene_package lab-unrelated "$version" "$tree" "$out"
	rm -rf "$tree"
}

scene_archive() {
	local work=$1 out=$2

	scene_library 1.0-1 1 "$work/v1" && scene_library 1.0-2 2 "$work/v2" &&
		scene_library 1.0-3 3 "$work/v3" && scene_library 1.0-9 9 "$work/v9" || return 1
	mkdir -p "$out"
	cp "$work"/v1/*.deb "$work"/v3/*.deb "$out/" || return 1
	scene_users "$out" "$work"/v1/liblab1_*.deb && scene_unrelated 1.0-1 "$out" &&
		scene_unrelated 1.0-2 "$out" || return 1
	(cd "$out" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
}

# A real update that the archive has for this release, if it has one: in PAIR/old and PAIR/new.
scene_publish() {
	local work=$1 job=$2 base=$3 pair=$4
	local repo=$work/repo keys=$work/keys

	mkdir -p "$work/old" "$work/a" "$work/b"
	cp "$work"/v1/*.deb "$work/old/"
	cp "$work"/v2/*.deb "$work/a/"
	cp "$work"/v9/*.deb "$work/b/"
	if compgen -G "$pair/new/*.deb" >/dev/null; then
		cp "$pair"/old/*.deb "$work/old/"
		cp "$pair"/new/*.deb "$work/a/"
		cp "$pair"/new/*.deb "$work/b/"
		touch "$job/real-update"
	fi
	local bsi_publish=$work/publish/usr/bin/bsi-publish
	dpkg-deb -x "$job"/debs/bsi-publish_*.deb "$work/publish" || return 1
	scene_run() {
		local verb=$1
		shift
		"$bsi_publish" "$verb" "$repo" --base "$base" --keys "$keys" --no-passphrase "$@"
	}
	scene_run init && scene_run add --from "$work/old" --to "$work/a" --cve-named || return 1
	cp -a "$repo" "$job/repository-a"
	scene_run add --from "$work/old" --to "$work/b" --cve-named || return 1
	cp -a "$repo" "$job/repository-b"
}

scene() {
	local build=$1 suite=$2 job=$3 work base

	work=$(mktemp -d)
	mkdir -p "$job/debs"
	# shellcheck source=/dev/null
	base=$(. "$build/vm/$suite/tree/etc/os-release" && echo "$ID:$VERSION_ID:amd64")
	scene_debs "$build" "$suite" &&
		cp "$build/deb/$suite"/bsi_*.deb "$build/deb/$suite"/bsi-publish_*.deb "$job/debs/" &&
		scene_archive "$work" "$job/apt" &&
		scene_publish "$work" "$job" "$base" "$build/vm/$suite/pair" &&
		cp "$scene_here"/guest.sh "$scene_here"/seal.sh "$scene_here"/boot-*.sh "$scene_here/../integration/tap.sh" "$job/"
	local status=$?
	rm -rf "$work"
	return $status
}
