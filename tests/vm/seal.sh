# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
# Seals on this kernel, sourced by a boot at its end: (a) is attached then, and is again afterwards.
#
# What is changed on the disk is changed below the file system, as a bad disk or a second system
# would: a file that fs-verity seals cannot be written, and the page cache must not help.

seal_files=(/usr/lib/lab/libinner.so.1 /usr/lib/lab/liblab.so.1)
seal_image=$(jq -r '.content.components[] | select(.name == "liblab1").image' \
	"/var/lib/bsi/generations/$(jq .content.current /var/lib/bsi/current)/generation.json")
seal_image=/var/lib/bsi/images/$seal_image

seal_now() { status '.components[] | select(.name == "liblab1").seal'; }
seal_mounted() { sed -n 's,.* - erofs /run/bsi/image/\(.*\)liblab1-.*,measured/\1,p' /proc/self/mountinfo | sort -u; }
seal_devices() { cat /sys/block/dm-*/dm/name 2>/dev/null | grep '^bsi-liblab1'; }
seal_loops() { cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -F "$seal_image"; }
seal_has_nothing() { [[ -z $(seal_devices)$(seal_loops) ]]; }
seal_readable() { for f in "${seal_files[@]}"; do if cat "$f" >/dev/null 2>&1; then echo yes; else echo no; fi; done | xargs; }
seal_holders() { grep -lF /usr/lib/lab/ /proc/[0-9]*/maps 2>/dev/null | xargs -r -n 1 dirname | while read -r p; do echo "$(cat "$p/comm") $p"; done; }
seal_again() {
	bsi detach
	wait_for 60 seal_has_nothing || {
		diag "still there: $(seal_devices) $(seal_loops); mapped by: $(seal_holders)"
		return 1
	}
	"$@" >/dev/null
}

# The image as a file of its own, that nothing seals yet; and where a byte of its last file lies on the disk.
seal_place() {
	local offset block

	cp "$seal_image" /var/lib/bsi/copy
	mv -f /var/lib/bsi/copy "$seal_image"
	sync
	offset=$(($(LC_ALL=C grep -obUaP '\x7fELF' "$seal_image" | tail -n 1 | cut -d: -f1) + 100))
	block=$(filefrag -b4096 -v "$seal_image" | awk -v b=$((offset / 4096)) '
		$1 ~ /^[0-9]+:$/ { gsub(/[.:]/, " "); if (b >= $2 && b <= $3) print $4 + b - $2 }')
	seal_at=$((block * 4096 + offset % 4096))
}

# Invert that byte, on the disk; again to restore it.
seal_flip() {
	local byte

	byte=$(dd if=/dev/vda bs=1 skip=$seal_at count=1 status=none | od -An -tu1)
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 255)))" |
		dd of=/dev/vda bs=1 seek=$seal_at conv=notrunc,fsync status=none
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# A flipped block: one file gives an error, nothing else does.
seal_holds() {
	seal_flip
	is "$(seal_readable)" "yes no" "$1: a flipped block is an error for that file alone"
	is "$(bsi base -- lab)" 101 "$1: the base below stays as it is"
	run bsi verify
	like "$run_out" "usr/lib/lab/liblab.so.1" "$1: verify names the file"
	seal_flip
	is "$(seal_readable) $(lab)" "yes yes 202" "$1: with the block as it was all is well"
}

# what maps a file of an image holds its device
systemctl stop labd.service lab-confined.service
kernel=$(uname -r)
if [[ $(printf '6.12\n%s\n' "${kernel%%[-+]*}" | sort -V | head -n 1) == 6.12 ]]; then
	first=fs-verity
else
	first=dm-verity
fi
seal_again bsi attach --wait
is "$(seal_now) $(seal_mounted)" "$first measured/$first/" "Linux $kernel: the seal is $first"
[[ $first == dm-verity ]] || is "$(seal_devices)$(seal_loops)" "" "fs-verity takes no device"

seal_place

# dm-verity; where the kernel mounts files only when it is told to take loop devices
seal_again bsi attach --wait --loop
is "$(seal_now) $(seal_mounted)" "dm-verity measured/dm-verity/" "dm-verity: the status and the mount name it"
is "$(seal_devices)" "bsi-liblab1-$(basename "$seal_image" | cut -c1-16)" "dm-verity: the device tells what it is"
like "$(veritysetup status "$(seal_devices)")" "status: +verified" "dm-verity: veritysetup finds it verified"
is "$(ls /dev/mapper)" control "dm-verity: udev makes no name of it"
seal_holds dm-verity
like "$(veritysetup status "$(seal_devices)")" "status: +corrupted" "dm-verity: and the kernel remembers"
pass "dm-verity: nothing of it stays" seal_again true
is "$(seal_has_nothing && echo none)" none "dm-verity: no device, no loop device"
pkill -STOP -x systemd-udevd
run timeout 60 bsi attach --wait --loop
is "$run_status $(seal_mounted)" "0 measured/dm-verity/" "dm-verity: it does not wait for udev"
pkill -CONT -x systemd-udevd
bsi detach

# what a run that was killed left behind goes with the next one, and nobody else's does
dmsetup create bsi-x-0123456789abcdef -u CRYPT-VERITY-00000000000000000000000000000000-bsi-x-0123456789abcdef --table "0 8 zero"
dmsetup create bsi-root -u LVM-0123 --table "0 8 zero"
udevadm settle
bsi attach --wait >/dev/null
is "$(dmsetup ls --noheadings 2>/dev/null | awk '/bsi-(x|root)/ { print $1 }' | xargs)" bsi-root "what was left behind is taken away, a volume of that name is not"
dmsetup remove bsi-root

# a root that is not the image's: the device could be made, and is refused
seal_generation=/var/lib/bsi/generations/$(jq .content.current /var/lib/bsi/current)
seal_forge() { # MEMBER: other values for it in the manifest, as whoever writes to the disk could set
	cp -a "$seal_generation" /run/generation
	sed -i -E "s/(\"$1\":\")[0-9a-f]{8}/\100000000/g" "$seal_generation/manifest.json"
	jq -cS --arg m "$(sha256sum <"$seal_generation/manifest.json" | cut -c1-64)" '.content.manifest = $m' \
		/run/generation/generation.json >/run/forged
	jq -cSj --arg d "$(jq -cSj .content /run/forged | sha256sum | cut -c1-64)" '.digest = $d' /run/forged \
		>"$seal_generation/generation.json"
}
seal_unforge() {
	cp -a /run/generation/. "$seal_generation/"
	rm -r /run/generation
}
seal_again true
seal_forge root
run bsi attach --wait --loop
is "$run_status $(lab)" "6 101" "dm-verity: a wrong root is refused" || diag "$run_out $run_err"
like "$run_err" "signed root" "dm-verity: and the reason given"
is "$(seal_has_nothing && echo none)" none "dm-verity: no device is left of it"
seal_unforge

# fs-verity: straight from the file, or under a loop device; where device-mapper may not be opened
without_dm() {
	systemd-run -q --wait --pipe -p DevicePolicy=closed -p 'DeviceAllow=/dev/loop-control rwm' \
		-p 'DeviceAllow=block-loop rwm' "$@"
}
seal_again without_dm bsi attach --wait
is "$(seal_now) $(seal_mounted)" "fs-verity measured/fs-verity/" "fs-verity: the status and the mount name it"
fail "fs-verity: the image cannot be written" dd if=/dev/zero of="$seal_image" bs=1 count=1 conv=notrunc status=none
seal_holds fs-verity
seal_again true
seal_forge fs_verity
run without_dm bsi attach --wait
is "$run_status $(lab)" "6 101" "fs-verity: a wrong digest is refused" || diag "$run_out $run_err"
seal_unforge

# neither of them: measured, and with require-seal not at all
mkdir /run/measured
mount -t tmpfs none /run/measured
cp -a /var/lib/bsi/. /run/measured/
run without_dm bsi attach --wait --state /run/measured
is "$run_status $(lab) $(seal_mounted)" "0 202 measured/" "a file system without fs-verity: measured"
bsi config require-seal yes --state /run/measured >/dev/null
run_free without_dm bsi run --state /run/measured
is "$(lab)" 101 "with require-seal it is not attached"
like "$run_err" "no dm-verity.*no fs-verity.*bsi config require-seal no" "it says why, and what to do"
run bsi attach --wait --state /run/measured
is "$(lab) $(seal_mounted)" "202 measured/dm-verity/" "with device-mapper it is, sealed" || diag "$run_out $run_err"
bsi detach
wait_for 20 seal_has_nothing
umount /run/measured

pass "and all is as it was" bsi attach --wait
is "$(seal_now) $(lab)" "$first 202" "with the first seal of this kernel"
systemctl start labd.service lab-confined.service
