# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# A laboratory for the demo and the tests: a private mount and process namespace whose /usr is an
# overlay with the older version of a package in it. The machine itself is never changed, and
# everything vanishes with the namespace.
#
#   lab_pair DIR               sets $lab_package, $lab_old, $lab_new, $lab_real, and puts
#                              DIR/old/*.deb and DIR/new/*.deb there
#   lab_enter DIR CMD...       run CMD in a laboratory that keeps its files below DIR
#   lab_base DEB...            (inside) unpack the packages over /usr, and say so in dpkg's database
#   lab_base_id                (inside) the base id: "debian:12:amd64"
#   lab_nginx DIR ROOT         (inside) a web server on loopback; sets $lab_port and $lab_tls_port
#   lab_listing TREE           one line for each file below TREE: mode, inode, size, times
#   lab_systemd MOUNT GROUP UNITS [PRELOAD]   (inside, as process 1) become a systemd that knows the
#                              units in UNITS and starts test.target, in the control group GROUP (a
#                              name) of its own; MOUNT is an empty directory; PRELOAD a library that
#                              process 1 has mapped
#   lab_remove_groups MOUNT GROUP   (outside, at the end) what it leaves
#   lab_tree DIR TREE STAGE    (inside) a device that is a whole system of its own: an overlay over
#                              TREE is the root of another mount namespace; bsi is in /usr/local
#   lab_in_tree CMD...         run CMD there; files below $lab_tree_root are its files

# Packages with a library that a running program of the demo can use, the best story first.
lab_candidates="libssl3:openssl libssl3t64:openssl"

# Two versions that the archive offers; fails where there is no network or only one version.
lab_pair_real() {
	local dir=$1 candidate package companion versions version

	command -v apt-get >/dev/null || return 1
	for candidate in $lab_candidates; do
		package=${candidate%%:*}
		companion=${candidate#*:}
		mapfile -t versions < <(apt-cache madison "$package" 2>/dev/null |
			awk -F'|' '{gsub(/ /, "", $2); print $2}' | sort -uV)
		((${#versions[@]} >= 2)) || continue
		lab_package=$package
		lab_old=${versions[-2]}
		lab_new=${versions[-1]}
		for version in old new; do
			mkdir -p "$dir/$version"
			if ! compgen -G "$dir/$version/${package}_*.deb" >/dev/null; then
				(cd "$dir/$version" && rm -f ./*.deb && apt-get download -q \
					"$package=$([[ $version == old ]] && echo "$lab_old" || echo "$lab_new")" \
					"$companion=$([[ $version == old ]] && echo "$lab_old" || echo "$lab_new")") \
					>"$dir/apt.log" 2>&1 || return 1
			fi
		done
		lab_real=yes
		return 0
	done
	return 1
}

# A pair of small libraries, compiled here. Not a real update, and the caller says so.
lab_pair_made() {
	local dir=$1 version arch

	arch=$(dpkg --print-architecture)
	lab_package=liblab1 lab_old=1.0-1 lab_new=1.0-2 lab_real=no
	for version in old new; do
		local tree=$dir/$version/tree number=1

		[[ $version == new ]] && number=2
		rm -rf "${dir:?}/$version"
		mkdir -p "$tree/DEBIAN" "$tree/usr/lib/lab" "$tree/usr/bin" "$tree/usr/share/doc/liblab1"
		printf 'int lab_version(void);\nint lab_version(void) { return %d; }\n' $number |
			cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tree/usr/lib/lab/liblab.so.1" -x c - || return 1
		printf '#include <stdio.h>\n#include <unistd.h>\nint lab_version(void);\nint main(int c, char **v) { (void)v; printf("%%d\\n", lab_version()); fflush(stdout); if (c > 1) pause(); }\n' |
			cc -O1 -o "$tree/usr/bin/lab" -x c - -x none "$tree/usr/lib/lab/liblab.so.1" -Wl,-rpath,/usr/lib/lab || return 1
		printf 'liblab1 (1.0-%d) stable; urgency=high\n\n  * Fix an overflow (CVE-2026-0001).\n\n -- Lab <lab@localhost>  Tue, 24 Nov 2026 10:00:00 +0000\n' $number |
			gzip -9n >"$tree/usr/share/doc/liblab1/changelog.Debian.gz"
		printf 'Package: liblab1\nVersion: 1.0-%d\nArchitecture: %s\nMaintainer: Lab <lab@localhost>\nDescription: a small library for a demonstration\n' \
			$number "$arch" >"$tree/DEBIAN/control"
		(cd "$tree" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
		dpkg-deb --root-owner-group -b "$tree" "$dir/$version/liblab1_1.0-${number}_$arch.deb" >/dev/null || return 1
		rm -rf "$tree"
	done
}

lab_pair() {
	lab_pair_real "$1" || lab_pair_made "$1"
}

# The namespace first; what is mounted inside needs it. /tmp and /dev stay the machine's own.
lab_enter() {
	local dir=$1
	shift
	rm -rf "${dir:?}/lab"
	mkdir -p "$dir/lab"
	unshare --mount --pid --fork --kill-child --propagation private --mount-proc -- \
		bash -c '. "$1"; lab_prepare "$2" || exit 1; shift 2; exec "$@"' lab "${BASH_SOURCE[0]}" \
		"$dir/lab" "$@"
}

# shellcheck disable=SC2317
lab_prepare() {
	local dir=$1 name

	for name in usr:/usr lib:/var/lib etc:/etc; do
		mkdir -p "$dir/${name%%:*}.upper" "$dir/${name%%:*}.work"
		mount -t overlay "lab-${name%%:*}" -o "lowerdir=${name#*:},upperdir=$dir/${name%%:*}.upper,workdir=$dir/${name%%:*}.work" \
			"${name#*:}" || return 1
	done
	mount -t tmpfs -o mode=755 lab-run /run || return 1
	# the state on a plain file system: EROFS images are mounted straight from its files
	mkdir -p /var/lib/bsi "$dir/state"
	chmod 700 "$dir/state"
	mount --bind "$dir/state" /var/lib/bsi || return 1
	# as systemd has it: what is attached reaches other namespaces
	mount --make-rshared /
}

# Only /usr (and what merged into it) is unpacked: no maintainer script runs.
lab_unpack() {
	local tree

	tree=$(mktemp -d)
	dpkg-deb -x "$1" "$tree" || return 1
	for top in bin sbin lib lib64; do
		[[ -d $tree/$top && ! -L $tree/$top ]] || continue
		mkdir -p "$tree/usr/$top"
		cp -a "$tree/$top/." "$tree/usr/$top/"
	done
	cp -a --remove-destination "$tree/usr/." /usr/
	rm -rf "$tree"
}

# What dpkg's database would say had it installed this version.
lab_record() {
	local deb=$1 package=$2 version=$3 arch=$4 db=/var/lib/dpkg sums

	sums=$db/info/$package:$arch.md5sums
	[[ -e $sums ]] || sums=$db/info/$package.md5sums
	dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./md5sums >"$sums" 2>/dev/null
	dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's|^\.||; s|^/$|/.|; s|\(.\)/$|\1|' >"${sums%.md5sums}.list"
	awk -v p="$package" -v v="$version" '
		/^Package: / { here = ($2 == p) }
		here && /^Version: / { print "Version: " v; next }
		{ print }
	' $db/status >$db/status.new
	if ! grep -qx "Package: $package" $db/status.new; then
		printf '\nPackage: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\nMaintainer: Lab <lab@localhost>\nDescription: laboratory\n' \
			"$package" "$arch" "$version" >>$db/status.new
	fi
	mv $db/status.new $db/status
}

lab_base() {
	local deb

	for deb in "$@"; do
		lab_unpack "$deb" || return 1
		lab_record "$deb" "$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" \
			"$(dpkg-deb -f "$deb" Architecture)" || return 1
	done
	ldconfig
}

lab_base_id() {
	# shellcheck source=/dev/null
	(. /etc/os-release && echo "$ID:$VERSION_ID:$(dpkg --print-architecture)")
}

# Two free ports on loopback, asked of the kernel.
lab_ports() {
	python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])'
}

# The web server of the publisher, and a TLS service: a long-running user of libssl.
lab_nginx() {
	local dir=$1 root=$2

	mkdir -p "$dir"
	read -r lab_port lab_tls_port < <(lab_ports)
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
		-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null || return 1
	cat >"$dir/nginx.conf" <<CONF
daemon on;
pid $dir/nginx.pid;
error_log $dir/error.log;
worker_processes 1;
user root;
events { worker_connections 64; }
http {
	access_log $dir/access.log;
	default_type application/octet-stream;
	client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fcgi;
	uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
	server_tokens off;
	server {
		listen 127.0.0.1:$lab_port;
		listen 127.0.0.1:$lab_tls_port ssl;
		ssl_certificate $dir/cert.pem;
		ssl_certificate_key $dir/key.pem;
		root $root;
	}
}
CONF
	nginx -c "$dir/nginx.conf" -e "$dir/error.log" 2>>"$dir/start.log"
}

lab_nginx_stop() {
	local pid

	pid=$(cat "$1/nginx.pid" 2>/dev/null) || return 0
	# again and again: a signal that comes while it starts may only be noticed with the next one
	for _ in $(seq 200); do
		kill "$pid" 2>/dev/null || return 0
		sleep 0.05
	done
	kill -KILL "$pid" 2>/dev/null
}

lab_nginx_restart() {
	lab_nginx_stop "$1"
	nginx -c "$1/nginx.conf" -e "$1/error.log" 2>>"$1/start.log"
}

# shellcheck disable=SC2034  # for those who ask whether it is here
lab_systemd=/lib/systemd/systemd

lab_systemd() {
	local at=$1 group=$2 units=$3 preload=${4:-}

	mount -t cgroup2 groups "$at" && mkdir "$at/$group" && echo 0 >"$at/$group/cgroup.procs" &&
		umount "$at" && mount --bind /dev/null /dev/console || return 1
	# shellcheck disable=SC2016
	exec unshare --cgroup bash -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 groups /sys/fs/cgroup || exit 1
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=bsi SYSTEMD_UNIT_PATH="$1" ${2:+LD_PRELOAD="$2"} \
			"$3" --system --unit=test.target --log-target=null --show-status=0 \
			--default-standard-output=null --dump-core=0' bash "$units" "$preload" "$lab_systemd"
}

lab_remove_groups() {
	mount -t cgroup2 groups "$1" || return
	find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
	umount "$1"
}

lab_listing() {
	find "$1" -xdev -printf '%P %y %m %U %G %i %s %T@ %l\n' | LC_ALL=C sort
}

lab_tree() {
	local dir=$1 tree=$2 stage=$3

	mkdir -p "$dir/upper" "$dir/work" "$dir/root" "$dir/state"
	chmod 700 "$dir/state"
	unshare --mount --propagation private -- bash -c '. "$1"; shift; lab_tree_prepare "$@" || exit 1; exec sleep infinity' \
		lab "$(realpath "${BASH_SOURCE[0]}")" "$dir" "$tree" "$stage" 2>"$dir/log" &
	lab_tree_pid=$!
	lab_tree_root=/proc/$lab_tree_pid/root
	until [[ -e $lab_tree_root/run/lab ]]; do
		kill -0 $lab_tree_pid 2>/dev/null || { cat "$dir/log" >&2; return 1; }
		sleep 0.05
	done
}

# shellcheck disable=SC2317
lab_tree_prepare() {
	local dir=$1 tree=$2 stage=$3 root=$1/root

	mount -t overlay lab-tree -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" "$root" || return 1
	mkdir -p "$root/usr/local/libexec" "$root/var/lib/bsi" "$root/old"
	cp -a "$stage/usr/bin/bsi" "$root/usr/local/bin/" && cp -a "$stage/usr/libexec/bsi" "$root/usr/local/libexec/" || return 1
	mount -t proc lab-proc "$root/proc" && mount --rbind /dev "$root/dev" && mount --rbind /sys "$root/sys" || return 1
	mount -t tmpfs -o mode=755 lab-run "$root/run" && mount -t tmpfs -o mode=1777 lab-tmp "$root/tmp" || return 1
	# the state on a plain file system: EROFS images are mounted straight from its files
	mount --bind "$dir/state" "$root/var/lib/bsi" || return 1
	cd "$root" && pivot_root . old && umount -l /old && rmdir /old || return 1
	mount --make-rshared / || return 1
	touch /run/lab
}

lab_in_tree() {
	nsenter --mount="/proc/$lab_tree_pid/ns/mnt" -- "$@"
}
