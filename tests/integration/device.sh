# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
#
# What the tests of a whole device share: run the rest of the script in a laboratory, packages made
# on the spot, a repository, and shorthands. Source it after tap.sh.
#
#   device_in_lab "$0"          runs the script again inside a laboratory and exits with its status
#   device_package NAME VERSION FILE=CONTENT...   a .deb in $packages/NAME_VERSION.deb; content
#                               that begins with @ names a file to copy; $device_finish (a function)
#                               may touch up the tree
#   device_repository           a repository for this base in $repo, keys in $keys
#   publish VERB...             bsi-publish with that repository and its keys
#   device_hooks                the programs in /usr/bin and dpkg's hooks, as the package has them
#   device_status MEMBER        a member of bsi status --json

# shellcheck source=demo/lab.sh
. "$BSI_TESTS/../demo/lab.sh"

device_in_lab() {
	[[ -z ${DEVICE_LAB:-} ]] || return 0
	[[ $(id -u) == 0 ]] || skip_all "needs root: it mounts"
	tap_finished=yes
	export DEVICE_LAB=$tap_dir
	lab_enter "$tap_dir" bash "$1"
	exit $?
}

PATH=$BSI_STAGE/usr/bin:$PATH
packages=$tap_dir/packages repo=$tap_dir/repo keys=$tap_dir/keys

device_package() {
	local name=$1 version=$2 tree entry path
	shift 2
	tree=$packages/tree.$$
	rm -rf "$tree"
	mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name"
	printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@localhost>\nDescription: test\n' \
		"$name" "$version" "${device_arch:-$(dpkg --print-architecture)}" >"$tree/DEBIAN/control"
	printf '%s (%s) stable; urgency=high\n\n  * %s\n\n -- Test <test@localhost>  Tue, 24 Nov 2026 10:00:00 +0000\n' \
		"$name" "$version" "${device_changelog:-Fix an overflow (CVE-2026-0001).}" |
		gzip -9n >"$tree/usr/share/doc/$name/changelog.Debian.gz"
	for entry in "$@"; do
		path=$tree/${entry%%=*}
		mkdir -p "$(dirname "$path")"
		case ${entry#*=} in
		@*) cp "${entry#*=@}" "$path" ;;
		*) printf '%s' "${entry#*=}" >"$path" ;;
		esac
	done
	${device_finish:-true} "$tree"
	(cd "$tree" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -b "$tree" "$packages/${name}_$version.deb" >/dev/null
	rm -rf "$tree"
}

publish() {
	local verb=$1
	shift
	bsi-publish "$verb" "$repo" --base "$base" --keys "$keys" --no-passphrase "$@"
}

device_repository() {
	base=$(lab_base_id)
	bsi-publish init "$repo" --base "$base" --keys "$keys" --no-passphrase >/dev/null
}

device_hooks() {
	cp "$BSI_STAGE/usr/bin/bsi" /usr/bin/bsi
	mkdir -p /usr/libexec /etc/dpkg/dpkg.cfg.d
	cp -a "$BSI_STAGE/usr/libexec/bsi" /usr/libexec/
	cp "$BSI_STAGE/etc/dpkg/dpkg.cfg.d/bsi" /etc/dpkg/dpkg.cfg.d/bsi
	PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
	hash -r
}

# `device_serve ARG... <HANDLER`: a web server on the loopback address, until the test ends; $port is its
# port. HANDLER is Python that defines the class Handler; it finds the arguments in sys.argv.
device_serve() {
	cat - >"$tap_dir/server.py" <(printf '%s\n' \
		'server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)' \
		'print(server.server_port, flush=True)' 'server.serve_forever()')
	mkfifo "$tap_dir/port"
	# it complains of every transfer that a device breaks off
	python3 "$tap_dir/server.py" "$@" >"$tap_dir/port" 2>/dev/null &
	at_exit "kill $!"
	# shellcheck disable=SC2034
	read -r port <"$tap_dir/port"
}

device_status() {
	bsi status --json | jq -r "$1"
}
