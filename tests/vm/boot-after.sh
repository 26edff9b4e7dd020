#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# After two boots that hung: up with what was good; then, where systemd has it, a soft-reboot.
# shellcheck disable=SC2154
. ./guest.sh

hung_twice() {
	is "$(lab)" 202 "the third boot is up with (a)"
	is "$(cat /run/lab-first-said)" 202 "from the start"
	first() { jq -r "$1" /run/lab-first; }
	is "$(first .letter)" a "the status names (a)"
	is "$(first .boot.action)" fell-back "and says that the boot fell back"
	like "$(first .boot.reason)" "did not complete" "and why"
	like "$(bsi history)" "fell-back" "the history tells"
	run_free bsi run
	is "$run_status:$(lab)" 0:202 "(b) does not come back by itself" || diag "$run_out $run_err"
	pass "the boot is complete" wait_for 60 test ! -e /var/lib/bsi/boot

	# what tests/vm/faults went through in the early boot, before this one came up
	fault() { sed -n "s/^$1 //p" /run/lab-faults; }
	diag "$(cat /run/lab-faults)"
	is "$(fault left)" 0 "the disk was full"
	like "$(fault full)" "^202 attached" "with a full disk it was attached"
	like "$(fault read-only)" "^101 failed .*[Rr]ead-only.*not attached since boot: .*Read-only file system" "on a read-only root the boot went on with the base, and the status said why"
	like "$(fault lost)" "^101 .*\"current\"" "without 'current' too, and the status named the file"
	like "$(fault damaged)" "^101 .*damaged" "with a damaged image too, and the status said why"
	like "$(fault whole)" "^202 attached" "without all that it was attached"
	is "$(lab)" 202 "and is"
}

# the same kernel and the same /run, and all else anew: this script too
soft_reboot() {
	grep -c " /run/bsi/image/" /proc/self/mountinfo >/run/soft-reboot
	diag "soft-reboot"
	# shellcheck disable=SC2034
	tap_finished=yes
	systemctl soft-reboot
	sleep 120
	not_ok "systemd began anew"
}

soft_rebooted() {
	is "$(head -n 1 /run/lab-early)" 202 "after a soft-reboot the first service runs the new library"
	is "$(jq -c .content /run/lab-boot)" "{\"attempts\":1,\"generation\":$(jq .content.current /var/lib/bsi/current)}" \
		"it was counted as a boot is"
	is "$(status .boot.action)" attached "the status says that it attached"
	is "$(grep -c " /run/bsi/image/" /proc/self/mountinfo)" "$(cat /run/soft-reboot)" "as many files are attached as before"
	pass "it is complete" wait_for 60 test ! -e /var/lib/bsi/boot
	pass "nobody is left on the old code, nor is process 1" wait_for 120 sh -c '[ "$(bsi status --json | jq -r .state)" = protected ]' ||
		diag "$(bsi exposure)"
	diag "$(bsi status)"
}

if [[ -e /run/soft-reboot ]]; then
	soft_rebooted
else
	hung_twice
	[[ ! -e /usr/lib/systemd/system/soft-reboot.target ]] || soft_reboot
fi

# for the next boot: an image that was damaged on the disk
generation=$(jq .content.current /var/lib/bsi/current)
image=$(jq -r '.content.components[] | select(.name == "liblab1").image' "/var/lib/bsi/generations/$generation/generation.json")
# another file, because one that fs-verity seals cannot be written
cp "/var/lib/bsi/images/$image" /var/lib/bsi/damaged
dd if=/dev/urandom of=/var/lib/bsi/damaged bs=1 seek=5000 count=64 conv=notrunc 2>/dev/null &&
	mv -f /var/lib/bsi/damaged "/var/lib/bsi/images/$image"
is "$?" 0 "the image of liblab1 is damaged on the disk"
sync
finish
