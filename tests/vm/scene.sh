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

# scene_script TREE NAME: a maintainer script, from standard input
scene_script() {
	mkdir -p "$1/DEBIAN"
	cat >"$1/DEBIAN/$2"
	chmod 755 "$1/DEBIAN/$2"
}

# liblab1 VERSION NUMBER OUT [CONTROL-LINE...]: two libraries, one of which needs the other. Its script
# restarts who uses them, as those of real libraries do; /run/lab-slow holds it up.
scene_library() {
	local version=$1 number=$2 out=$3 tree
	shift 3

	tree=$(mktemp -d)
	mkdir -p "$tree/usr/lib/lab" "$out"
	scene_script "$tree" postinst <<'SCRIPT'
#!/bin/sh
set -e
if [ -e /run/lab-slow ]; then
	touch /run/lab-slow-here
	sleep 600
fi
if [ -d /run/systemd/system ]; then
	systemctl try-restart labd.service
fi
SCRIPT
	printf 'int lab_inner(void);\nint lab_inner(void) { return %d; }\n' "$number" |
		cc -shared -fPIC -O1 -Wl,-soname,libinner.so.1 -o "$tree/usr/lib/lab/libinner.so.1" -x c - &&
		printf 'int lab_inner(void);\nint lab_version(void);\nint lab_version(void) { return %d * 100 + lab_inner(); }\n' "$number" |
		cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tree/usr/lib/lab/liblab.so.1" -x c - \
			-x none "$tree/usr/lib/lab/libinner.so.1" -Wl,-rpath,/usr/lib/lab &&
		scene_package liblab1 "$version" "$tree" "$out" "$@"
	local status=$?
	rm -rf "$tree"
	return $status
}

# What uses the library: a program, a service, one that AppArmor confines, a unit that looks early in
# the boot, one that goes through faults there, one that hangs.
# scene_users VERSION OUT LIBRARY [CONTROL-LINE...]
scene_users() {
	local version=$1 out=$2 library=$3 tree
	shift 3

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
# the number that it says
StandardOutput=truncate:/run/labd
[Install]
WantedBy=multi-user.target
UNIT
	cat >"$tree/p/lib/systemd/system/lab-confined.service" <<'UNIT'
[Unit]
Description=A service that AppArmor confines
After=apparmor.service
[Service]
AppArmorProfile=lab-confined
ExecStart=/usr/bin/lab stay
StandardOutput=truncate:/run/lab-confined
[Install]
WantedBy=multi-user.target
UNIT
	mkdir -p "$tree/p/etc/apparmor.d"
	cat >"$tree/p/etc/apparmor.d/lab-confined" <<'PROFILE'
abi <abi/3.0>,
include <tunables/global>
profile lab-confined {
  include <abstractions/base>
  /usr/bin/lab mr,
  /usr/lib/lab/*.so.1 mr,
  /{,usr/}bin/{dash,sh,cat} mrix,
  /srv/lab-open r,
  /srv/lab-open w,
}
PROFILE
	install -D -m 755 "$scene_here/faults" "$tree/p/usr/lib/lab-faults"
	cat >"$tree/p/lib/systemd/system/lab-faults.service" <<'UNIT'
[Unit]
Description=What the boot unit may meet, one after the other
DefaultDependencies=no
ConditionKernelCommandLine=job=after
# in a soft-reboot no more
ConditionPathExists=!/run/lab-faults
After=bsi-boot.service
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=-/usr/lib/lab-faults
[Install]
WantedBy=sysinit.target
UNIT
	cat >"$tree/p/lib/systemd/system/lab-early.service" <<'UNIT'
[Unit]
Description=The first that uses the library in a boot
DefaultDependencies=no
After=sysinit.target
Before=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/usr/bin/lab >/run/lab-early; cut -d" " -f1 /proc/uptime >>/run/lab-early; cp /var/lib/bsi/boot /run/lab-boot || :'
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
	scene_script "$tree/p" postinst <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = triggered ]; then
	echo "$(lab)" >>/var/log/lab-triggers
	exit 0
fi
if [ -d /run/systemd/system ]; then
	apparmor_parser -r /etc/apparmor.d/lab-confined
	systemctl daemon-reload
	systemctl -q enable labd.service lab-confined.service lab-early.service lab-faults.service lab-hang.service
	systemctl restart labd.service lab-confined.service
fi
SCRIPT
	echo 'interest-noawait /usr/lib/lab' >"$tree/p/DEBIAN/triggers"
	scene_package lab-tools "$version" "$tree/p" "$out" "$@"
	local status=$?
	rm -rf "$tree"
	return $status
}

# scene_filler NAME VERSION OUT: a package without anything of interest
scene_filler() {
	local name=$1 version=$2 out=$3 tree

	tree=$(mktemp -d)
	mkdir -p "$tree/usr/share/$name"
	echo "$version" >"$tree/usr/share/$name/version"
	scene_package "$name" "$version" "$tree" "$out"
	rm -rf "$tree"
}

scene_archive() {
	local work=$1 out=$2 version

	for version in 1 2 3 9; do
		scene_library 1.0-$version $version "$work/v$version" || return 1
	done
	# needs one more package, as an update in the middle of a transition does
	scene_library 1.0-4 4 "$work/v4" 'Depends: lab-extra' || return 1
	mkdir -p "$out"
	cp "$work"/v[134]/*.deb "$out/" || return 1
	for version in 1 2; do
		scene_users 1.0-$version "$out" "$work"/v1/liblab1_*.deb 'Depends: liblab1' &&
			scene_filler lab-unrelated 1.0-$version "$out" || return 1
	done
	scene_filler lab-extra 1.0-1 "$out" || return 1
	(cd "$out" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
}

# One repository for both releases. Each has the library, and a real update if its archive had one
# when its image was made: in vm/SUITE/pair.
scene_publish() {
	local build=$1 suite=$2 work=$3 job=$4
	local publish=$work/publish/usr/bin/bsi-publish repo=$work/repo letter number base pair
	local -A suites=([debian:12:amd64]=bookworm [debian:13:amd64]=trixie)

	dpkg-deb -x "$job"/debs/bsi-publish_*.deb "$work/publish" || return 1
	"$publish" init "$repo" --base debian:12:amd64 --base debian:13:amd64 --keys "$work/keys" \
		--no-passphrase || return 1
	for letter in a b; do
		[[ $letter == a ]] && number=2 || number=9
		for base in "${!suites[@]}"; do
			pair=$build/vm/${suites[$base]}/pair
			rm -rf "$work/old" "$work/new"
			mkdir -p "$work/old" "$work/new"
			cp "$work"/v1/*.deb "$work/old/"
			cp "$work"/v$number/*.deb "$work/new/"
			if compgen -G "$pair/new/*.deb" >/dev/null; then
				cp "$pair"/old/*.deb "$work/old/"
				cp "$pair"/new/*.deb "$work/new/"
				[[ ${suites[$base]} != "$suite" ]] || touch "$job/real-update"
			fi
			"$publish" add "$repo" --base "$base" --keys "$work/keys" --no-passphrase \
				--from "$work/old" --to "$work/new" --cve-named || return 1
		done
		cp -a "$repo" "$job/repository-$letter" || return 1
	done
}

scene() {
	local build=$1 suite=$2 job=$3 work

	work=$(mktemp -d)
	mkdir -p "$job/debs"
	scene_debs "$build" "$suite" &&
		cp "$build/deb/$suite"/bsi_*.deb "$build/deb/$suite"/bsi-publish_*.deb "$job/debs/" &&
		scene_archive "$work" "$job/apt" &&
		scene_publish "$build" "$suite" "$work" "$job" &&
		find "$scene_here" -maxdepth 1 -name '*.sh' ! -name scene.sh -exec cp -t "$job" {} + &&
		cp "$scene_here/../integration/tap.sh" "$job/"
	local status=$?
	rm -rf "$work"
	return $status
}
