# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
#
# A small system of its own, whose root and /usr the test lays out as it likes: programs, libraries,
# bsi and the package database lie outside /usr, so that /usr may be any file system, or none yet.
# Source it after device.sh, in the laboratory.
#
#   machine_packages            $packages/lab_1.0-1.deb, -2 and -3: a library and a program
#   machine_tree DIR            such a system without /usr in DIR, and its /usr in DIR.usr
#   machine_start ROOT [HOW]    ROOT, with all that is mounted in it, becomes the root of another
#                               mount namespace: shared, or as HOW says (private). Sets $machine_pid,
#                               and $machine_root, where its files are
#   machine COMMAND...          runs COMMAND there
#   machine_lab                 starts the program there; sets $lab_pid and $lab_text, what it says
#   machine_end                 ends it, and what was started in it

machine_packages() {
	local version dir=$tap_dir/lab-src

	mkdir -p "$dir"
	for version in 1 2 3; do
		printf 'int lab_version(void);\nint lab_version(void) { return %d; }\n' $version |
			cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$dir/liblab.so.$version" -x c - || return 1
	done
	printf '#include <stdio.h>\n#include <unistd.h>\nint lab_version(void);\nint main(int c, char **v) { (void)v; printf("%%d\\n", lab_version()); fflush(stdout); if (c > 1) pause(); }\n' |
		cc -O1 -o "$dir/lab" -x c - -x none "$dir/liblab.so.1" -Wl,-rpath,/usr/lib/lab || return 1
	for version in 1 2 3; do
		device_package lab 1.0-$version usr/lib/lab/liblab.so.1="@$dir/liblab.so.$version" \
			usr/lib/lab/data="data $version" usr/bin/lab="@$dir/lab"
	done
}

# A program and the libraries it is linked with, under their own names.
machine_copy() {
	local tree=$1 program

	shift
	for program in "$@"; do
		install -D "$program" "$tree/bin/${program##*/}"
		machine_libraries "$tree" "$program"
	done
}
machine_libraries() {
	local tree=$1 file

	while read -r file; do
		[[ -e $tree$file ]] || install -D "$file" "$tree$file"
	done < <(ldd "$2" 2>/dev/null | grep -o '/[^ ]*')
}

machine_tree() {
	local tree=$1 program

	mkdir -p "$tree"/{proc,dev,sys,run,tmp,etc,usr,old,opt/bsi,var/lib/bsi,var/lib/dpkg/info} "$tree.usr"
	for program in bash cat env stat mount umount mv cp ln rm chmod sleep unshare touch dd; do
		machine_copy "$tree" "$(command -v $program)"
	done
	ln -s bash "$tree/bin/sh"
	cp /etc/os-release "$tree/etc/os-release"
	printf 'root:x:0:0::/root:/bin/sh\n' >"$tree/etc/passwd"
	cp -a "$BSI_STAGE/usr/." "$tree/opt/bsi/"
	for program in "$BSI_STAGE"/usr/libexec/bsi/*; do
		machine_copy "$tree" "$program"
	done
	# which the engine loads by name
	program=$(ldconfig -p | awk '/libcurl\.so\.4 / { print $NF; exit }')
	install -D "$program" "$tree$program"
	machine_libraries "$tree" "$program"
	dpkg-deb -x "$packages/lab_1.0-1.deb" "$tree.deb"
	cp -a "$tree.deb/usr/." "$tree.usr/"
	rm -rf "$tree.deb"
	cat >"$tree/var/lib/dpkg/status" <<-STATUS
	Package: dpkg
	Status: install ok installed
	Architecture: $(dpkg --print-architecture)
	Version: 1

	Package: lab
	Status: install ok installed
	Architecture: $(dpkg --print-architecture)
	Version: 1.0-1
	STATUS
	dpkg-deb --ctrl-tarfile "$packages/lab_1.0-1.deb" | tar -xO ./md5sums >"$tree/var/lib/dpkg/info/lab.md5sums"
	: >"$tree/var/lib/dpkg/lock-frontend"
}

machine_start() {
	local root=$1 how=${2:-shared} state=$1.state

	mkdir -p "$state"
	chmod 700 "$state"
	# shellcheck disable=SC2016
	unshare --mount --propagation private -- bash -c 'root=$1
		mount --rbind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
		mount --rbind /sys "$root/sys" && mount -t tmpfs -o mode=755 run "$root/run" &&
		mount -t tmpfs tmp "$root/tmp" && mkdir "$root/run/repo" && mount --bind "$3" "$root/run/repo" &&
		mount --bind "$4" "$root/var/lib/bsi" && cd "$root" && pivot_root . old && PATH=/bin && hash -r && umount -l /old &&
		mount --make-r$2 / || exit 1
		: >/run/ready; exec sleep infinity' machine "$root" "$how" "$repo" "$state" 2>"$tap_dir/machine.log" &
	machine_pid=$!
	machine_root=/proc/$machine_pid/root
	until [[ -e $machine_root/run/ready ]]; do
		kill -0 $machine_pid 2>/dev/null || { diag "$(cat "$tap_dir/machine.log")"; return 1; }
		sleep 0.02
	done
	machine_programs=()
}

machine() {
	nsenter --mount="/proc/$machine_pid/ns/mnt" -- /bin/env -i PATH=/opt/bsi/bin:/bin "$@"
}

machine_lab() {
	: >"$tap_dir/lab.out"
	nsenter --mount="/proc/$machine_pid/ns/mnt" -- /usr/bin/lab stay >"$tap_dir/lab.out" 2>&1 &
	lab_pid=$!
	machine_programs+=("$lab_pid")
	until [[ -s $tap_dir/lab.out ]] || ! kill -0 $lab_pid 2>/dev/null; do sleep 0.01; done
	lab_text=$(<"$tap_dir/lab.out")
}

machine_end() {
	kill "${machine_programs[@]}" "$machine_pid" 2>/dev/null
	wait "${machine_programs[@]}" "$machine_pid" 2>/dev/null
}
