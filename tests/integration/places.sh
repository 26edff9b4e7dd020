#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where /usr lies: on a partition of its own, read-only, below an overlay, on btrfs subvolumes and
# with reflinks, on a mount that is not shared. The same way everywhere: attach, the boot's attach,
# exchange, off; the scan names exactly the programs on old code; the base view is the base, which is
# as it was in the end.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"
. "$BSI_TESTS/integration/machine.sh"

command -v cc >/dev/null || skip_all "no compiler"
machine_packages || skip_all "the library cannot be compiled"
machine_tree "$tap_dir/tree"
device_repository
publish add --from "$packages/lab_1.0-1.deb" --to "$packages/lab_1.0-2.deb" >/dev/null 2>&1
publish add --from "$packages/lab_1.0-1.deb" --to "$packages/lab_1.0-3.deb" >/dev/null 2>&1
cp "$repo"/metadata/1.root.json "$repo/root.json"

has() { grep -qw "$1" /proc/filesystems; }
# what is mounted below the scratch directory hides from its removal
at_exit 'grep -o " $tap_dir/[^ ]*" /proc/self/mountinfo | sort -ru | while read -r at; do umount -l "$at"; done'
# an image of that many megabytes, with the tool that makes the file system; prints its loop device
disk() {
	local file=$tap_dir/disk.$1 size=$2
	shift 2
	truncate -s "${size}M" "$file" && "$@" "$file" >"$tap_dir/disk.log" 2>&1 || return 1
	losetup --find --show "$file"
}
# a root of its own for each place: an overlay, so that one tree serves them all
root_for() {
	root=$tap_dir/$1/root
	mkdir -p "$root" "$tap_dir/$1/upper" "$tap_dir/$1/work"
	mount -t overlay "$1" -o "lowerdir=$tap_dir/tree,upperdir=$tap_dir/$1/upper,workdir=$tap_dir/$1/work" "$root"
}
texts() { cat "$machine_root/usr/lib/lab/data"; }
exposed() { machine bsi exposure --json | jq -r '[.list[] | select(.private_mounts | not) | .pid] | sort | join(" ")'; }
reboot() { machine bsi detach && rm -rf "$machine_root/run/bsi"; }

# `walk WHAT HOW`: the whole way in $root
walk() {
	local what=$1 how=${2:-shared} first second before view

	machine_start "$root" "$how" || { not_ok "$what: the machine starts"; return; }
	before=$(${walk_listing:-lab_listing} "$machine_root/usr")
	pass "$what: it enrols" machine bsi enroll file:///run/repo --root /run/repo/root.json
	machine_lab
	first=$lab_pid
	is "$lab_text" 1 "$what: a program runs the base's library"
	machine sh -c 'unshare --mount --propagation slave sleep 1000 & wait' &
	machine_programs+=($!)
	until view=$(pgrep -x sleep --parent "$(pgrep --parent $!)" 2>/dev/null || pgrep -x sleep --parent $!); do sleep 0.05; done
	machine_programs+=("$view")

	run machine bsi install a
	is "$run_status:$(texts)" "0:data 2" "$what: (a) is attached" || diag "$run_err"
	machine_lab
	second=$lab_pid
	is "$lab_text" 2 "$what: a new program runs its library"
	is "$(exposed)" "$first" "$what: the scan names the old program, and nobody else"
	is "$(machine bsi base -- cat /usr/lib/lab/data)" "data 1" "$what: the base view is the base"
	pass "$what: what is attached is what was signed" machine bsi verify
	if [[ $how == shared ]]; then
		is "$(cat "/proc/$view/root/usr/lib/lab/data")" "data 2" "$what: a sandbox that exists follows"
	else
		is "$(cat "/proc/$view/root/usr/lib/lab/data")" "data 1" "$what: a sandbox that exists does not follow"
		like "$(machine bsi exposure --json | jq -r ".list[] | select(.pid == $view) | .private_mounts")" true "$what: and is named"
		unlike "$(machine bsi status | head -n 1)" ": protected" "$what: nothing is called protected"
	fi

	run machine bsi install
	is "$run_status:$(texts)" "0:data 3" "$what: (b) takes its place" || diag "$run_err"
	is "$(exposed)" "$first $second" "$what: and now both programs run old code"
	[[ $how != shared ]] ||
		is "$(grep -c ' - erofs ' "/proc/$machine_pid/mountinfo")" 2 "$what: nothing of (a) is left below it"

	reboot
	is "$(texts)" "data 1" "$what: detached"
	pass "$what: the boot attaches" machine bsi attach --boot
	is "$(texts)" "data 3" "$what: (b) again"
	machine bsi boot-complete
	[[ $what != *"not shared"* ]] ||
		like "$(machine bsi doctor 2>/dev/null)" "propagation .*the mount on / is not shared.*make-rshared" "$what: doctor says so"
	[[ $what == *"not shared"* ]] ||
		like "$(machine bsi doctor 2>/dev/null)" "propagation +well" "$what: doctor has nothing to say about mounts"
	${walk_more:-true} "$what"

	pass "$what: it is removed" machine bsi remove
	machine_lab
	is "$lab_text:$(texts)" "1:data 1" "$what: the base is back"
	is "$(grep -c ' - erofs ' "/proc/$machine_pid/mountinfo")" 0 "$what: nothing is mounted any more"
	is "$(${walk_listing:-lab_listing} "$machine_root/usr")" "$before" "$what: the base is as it was"
	machine_end
}

# a partition of its own, that comes after a first try
root_for ext4
device=$(disk ext4 16 mkfs.ext4 -q) || skip_all "no loop device: $(cat "$tap_dir/disk.log")"
at_exit "losetup --detach $device"
mkdir "$tap_dir/hold"
mount "$device" "$tap_dir/hold" && cp -a "$tap_dir/tree.usr/." "$tap_dir/hold/" && umount "$tap_dir/hold"
# /usr that goes and comes again, as at a boot where it was late
late() {
	reboot
	machine umount -l /usr || { not_ok "$1: /usr is taken away"; return; }
	run machine bsi attach --boot
	isnt "$run_status" 139 "$1: a boot without /usr ends"
	unlike "$(machine bsi status | head -n 1)" ": protected" "$1: and is not called protected"
	is "$(grep -c ' - erofs ' "/proc/$machine_pid/mountinfo")" 0 "$1: nothing is attached to nothing"
	machine mount "$device" /usr
	run machine bsi attach
	is "$run_status:$(texts)" "0:data 3" "$1: once /usr is there it is attached" || diag "$run_err"
	machine bsi boot-complete
}
mount "$device" "$root/usr"
walk_more=late
walk "/usr on a partition"
unset walk_more
umount "$root/usr"

# read-only, as a system has it that changes only as a whole
mount -o ro "$device" "$tap_dir/hold"
root_for readonly
mount --bind "$tap_dir/hold" "$root/usr"
mount -o remount,bind,ro "$root/usr"
fail "/usr cannot be written" touch "$root/usr/x"
walk "a read-only /usr"

# the whole root is an overlay, and /usr a part of it
root=$tap_dir/overlay/root
mkdir -p "$root" "$tap_dir/overlay/upper" "$tap_dir/overlay/work" "$tap_dir/overlay/lower"
cp -a "$tap_dir/tree.usr" "$tap_dir/overlay/lower/usr"
mount -t overlay overlay -o "lowerdir=$tap_dir/overlay/lower:$tap_dir/tree,upperdir=$tap_dir/overlay/upper,workdir=$tap_dir/overlay/work" "$root"
# a base file that is copied up while something lies over it, then one that is replaced
copied_up() {
	# by its times: a mode that its owner changed would take the component off
	for name in data liblab.so.1; do machine bsi base -- touch -c -r /usr/lib/lab/$name /usr/lib/lab/$name; done
	is "$(cd "$tap_dir/overlay/upper/usr/lib/lab" && echo *)" "data liblab.so.1" "$1: base files are copied up"
	run machine bsi attach
	is "$run_status:$(texts)" "0:data 3" "$1: a copy-up below changes nothing"
	is "$(exposed)" "$first $second" "$1: nor who is on old code"
	machine bsi base -- sh -c 'cp -p /usr/lib/lab/data /run/data && echo data 9 >/usr/lib/lab/new && mv /usr/lib/lab/new /usr/lib/lab/data'
	is "$(texts)" "data 9" "$1: a base file that was replaced wins"
	machine bsi attach >/dev/null
	machine bsi base -- sh -c 'cp -p /run/data /usr/lib/lab/data'
	machine touch /var/lib/dpkg/status
	run machine bsi attach
	is "$run_status:$(texts)" "0:data 3" "$1: and when it is as it was, it is attached again" || diag "$run_err"
}
walk_more=copied_up
# it changed inodes and times itself
names() { find "$1" -type f -printf '%P %m %U %G %s\n' | LC_ALL=C sort; }
walk_listing=names
walk "an overlay root"
unset walk_more walk_listing

# a mount that is not shared: other namespaces do not follow
root_for private
cp -a "$tap_dir/tree.usr/." "$root/usr/"
walk "a root that is not shared" private

# btrfs: what stat() says is neither what the mount table says nor what maps show
if ! command -v mkfs.btrfs >/dev/null || ! has btrfs; then
	skip "btrfs" "mkfs.btrfs or the kernel's btrfs is not here"
else
	device=$(disk btrfs 256 mkfs.btrfs -q)
	at_exit "losetup --detach $device"
	mkdir "$tap_dir/pool"
	mount "$device" "$tap_dir/pool"
	btrfs -q subvolume create "$tap_dir/pool/@usr" >/dev/null
	cp -a "$tap_dir/tree.usr/." "$tap_dir/pool/@usr/"
	# the same extents under other inodes: a copy, and a whole snapshot in which they have the same numbers
	cp --reflink=always "$tap_dir/pool/@usr/lib/lab/liblab.so.1" "$tap_dir/pool/@usr/lib/lab/copy.so"
	btrfs -q subvolume snapshot "$tap_dir/pool/@usr" "$tap_dir/pool/@old" >/dev/null
	root_for btrfs
	mount -o subvol=@usr "$device" "$root/usr"
	mkdir "$root/snapshot"
	mount -o subvol=@old "$device" "$root/snapshot"
	isnt "$(stat -c %d "$root/usr/lib/lab/data")" "$(stat -c %d "$root/snapshot/lib/lab/data")" "two subvolumes have device numbers of their own"
	is "$(stat -c %i "$root/usr/lib/lab/data")" "$(stat -c %i "$root/snapshot/lib/lab/data")" "and the same inode numbers"
	# programs that map the snapshot's file, and the copy: neither is the base file
	look_alike() {
		local pid
		for library in /snapshot/lib/lab/liblab.so.1 /usr/lib/lab/copy.so; do
			LD_PRELOAD='' nsenter --mount="/proc/$machine_pid/ns/mnt" -- /bin/env LD_PRELOAD=$library /bin/sleep 1000 &
			pid=$!
			machine_programs+=($pid)
			until grep -q "${library##*/}" /proc/$pid/maps 2>/dev/null; do sleep 0.02; done
			unlike " $(exposed) " " $pid " "$1: a program that maps $library does not run what was replaced"
		done
	}
	walk_more=look_alike
	walk "a btrfs subvolume"
	unset walk_more
fi
finish
