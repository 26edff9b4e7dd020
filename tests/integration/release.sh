# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Small systems made of the real packages of a Debian release, whatever release this machine has.
# apt runs with a state of its own below a cache directory, so the machine's is left alone.
#
#   release_load CACHE SUITE LIBRARY PACKAGE...
#                          put into CACHE/debs the older of the two newest versions of LIBRARY that
#                          the archive offers, PACKAGEs and all that they depend on; into CACHE/old
#                          and CACHE/new that LIBRARY alone. Sets $release_old and $release_new.
#                          Loaded once; fails where the archive cannot be reached.
#   release_tree CACHE TREE   unpack CACHE/debs into TREE, with dpkg's database

# release_archive LABEL: the address that apt has for Debian or Debian-Security
release_archive() {
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
		awk -v label="$1" '$2 == label { print $1; found = 1; exit } END { exit !found }'
}

release_state() {
	local state=$1 suite=$2 main security

	main=$(release_archive Debian) && security=$(release_archive Debian-Security) || return 1
	rm -rf "$state" && mkdir -p "$state"/lists/partial "$state"/cache/archives/partial \
		"$state"/etc/{parts,preferences.d} && : >"$state/status" || return 1
	cat >"$state/sources.list" <<-END
		deb $main $suite main
		deb $main $suite-updates main
		deb $security $suite-security main
	END
	cat >"$state/apt.conf" <<-END
		Dir::Etc "$state/etc";
		Dir::Etc::sourcelist "$state/sources.list";
		Dir::Etc::sourceparts "$state/etc/parts";
		Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
		Dir::State "$state";
		Dir::State::status "$state/status";
		Dir::Cache "$state/cache";
		Acquire::Languages "none";
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
	END
}

release_load() {
	local cache=$1 suite=$2 library=$3 state=$1/apt versions
	shift 3

	if [[ ! -e $cache/versions ]]; then
		rm -rf "$cache" && mkdir -p "$cache"/{debs,old,new} && release_state "$state" "$suite" || return 1
		local -x APT_CONFIG=$state/apt.conf
		apt-get update -q >"$cache/log" 2>&1 || return 1
		mapfile -t versions < <(apt-cache madison "$library" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -uV)
		((${#versions[@]} >= 2)) || return 1
		apt-get install -q -y --download-only "$library=${versions[-2]}" "$@" >>"$cache/log" 2>&1 || return 1
		mv "$state"/cache/archives/*.deb "$cache/debs/" || return 1
		cp "$cache/debs/${library}"_*.deb "$cache/old/" || return 1
		(cd "$cache/new" && apt-get download -q "$library=${versions[-1]}") >>"$cache/log" 2>&1 || return 1
		rm -rf "$state"
		printf '%s %s\n' "${versions[-2]}" "${versions[-1]}" >"$cache/versions"
	fi
	# shellcheck disable=SC2034 # for the scripts
	read -r release_old release_new <"$cache/versions"
}

release_tree() {
	local cache=$1 tree=$2 top deb name info=$2/var/lib/dpkg/info

	mkdir -p "$info" "$tree/var/lib/dpkg/updates" "$tree"/{proc,dev,sys,run,tmp,etc,usr/local/bin}
	for top in bin sbin lib lib64; do
		mkdir -p "$tree/usr/$top" && ln -s "usr/$top" "$tree/$top" || return 1
	done
	for deb in "$cache"/debs/*.deb; do
		dpkg-deb -e "$deb" "$tree/control" || return 1
		name=$(dpkg-deb -f "$deb" Package)
		if [[ $(dpkg-deb -f "$deb" Multi-Arch) == same ]]; then name+=:$(dpkg-deb -f "$deb" Architecture); fi
		[[ ! -e $tree/control/md5sums ]] || mv "$tree/control/md5sums" "$info/$name.md5sums"
		dpkg-deb --fsys-tarfile "$deb" | tar -xpv --keep-directory-symlink -C "$tree" |
			sed 's,^\.,,; s,/$,,; s,^$,/.,' >"$info/$name.list" || return 1
		sed 's/^Version:/Status: install ok installed\n&/' "$tree/control/control" >>"$tree/var/lib/dpkg/status"
		echo >>"$tree/var/lib/dpkg/status"
		rm -rf "$tree/control"
	done
	: >"$tree/var/lib/dpkg/lock-frontend"
}
