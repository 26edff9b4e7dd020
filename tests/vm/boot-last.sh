#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The last boot, with bsi.attach=no and a root that stays read-only: switched off, a damaged image, a new
# release; then the package goes.
# shellcheck disable=SC2154
. ./guest.sh

like "$(findmnt -n -o OPTIONS /)" '^ro(,|$)' "the machine came up with a read-only root"
is "$(systemctl is-active multi-user.target bsi-boot.service | sort -u)" active "and our unit did not stand in its way"
is "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status --json | jq -r .boot.action)" skipped "everybody can read what it did"
mount -o remount,rw /
systemctl restart nginx.service
is "$(lab)" 101 "with bsi.attach=no on the kernel's command line nothing is attached"
is "$(head -n 1 /run/lab-early)" 101 "from the start"
is "$(status .boot.action)" skipped "the status says so"
like "$(status .boot.reason)" "bsi.attach=no" "and why"
run_free bsi attach
is "$run_status:$(lab)" 0:101 "nor does 'bsi attach' attach it" || diag "$run_out $run_err"
unlike "$(cat /proc/self/mountinfo)" "/run/bsi/image" "there is no mount of ours"

# as if it had not been there
sed 's/ bsi.attach=no//' /proc/cmdline >/run/cmdline
mount --bind /run/cmdline /proc/cmdline
rm -f /var/lib/bsi/boot
systemctl restart bsi-boot.service
is "$(lab)" 101 "with an image that was damaged on the disk the boot unit goes on with the base"
diag "$(bsi status)"
like "$(bsi status)" "damaged" "and the status says why"
run_free bsi run
is "$run_status:$(lab)" 0:202 "the next run brings it again" || diag "$run_out $run_err"

# a new release of the system, with the same library in it
cp -p /usr/lib/os-release /srv/os-release
sed 's/^VERSION_ID=.*/VERSION_ID="99"/' /srv/os-release >/usr/lib/os-release.new
mv /usr/lib/os-release.new /usr/lib/os-release
touch /var/lib/dpkg/status
pass "with a new release the letter is retired, by the path unit" wait_for 120 sh -c '[ "$(lab)" = 101 ]'
like "$(bsi history)" retired "the history tells"
is "$(status '"\(.base) \(.letter)"')" "$(sed -n 's/^ID=//p' /srv/os-release):99:amd64 null" "the device is on the base of the new one"
mv /srv/os-release /usr/lib/os-release
run_free bsi install a
is "$run_status:$(lab)" 0:202 "back at the release it can be had again" || diag "$run_out $run_err"

bsi base -- bash -c '. ./guest.sh; listing; finish >/dev/null' >/srv/below 2>/dev/null
run apt_do remove bsi
is "$run_status" 0 "apt removes the package" || diag "$run_out $run_err"
unlike "$(cat /proc/self/mountinfo)" "/run/bsi/image" "nothing is attached"
run dpkg -i apt/lab-extra_1.0-1_amd64.deb
is "$run_status:$run_err" 0: "what it left in dpkg's configuration disturbs nobody"
run apt_do install ./debs/bsi_*.deb
is "$run_status" 0 "installed again" || diag "$run_out $run_err"
run_free bsi attach
is "$run_status:$(lab)" 0:202 "it knows the improvement as before" || diag "$run_out $run_err"
run apt_do purge bsi
is "$run_status" 0 "apt purges the package" || diag "$run_out $run_err"
unlike "$(cat /proc/self/mountinfo)" "/run/bsi/image" "nothing is attached"
# an image and its device stay as long as somebody runs code of it
systemctl restart labd lab-confined nginx systemd-journald systemd-udevd systemd-logind dbus 2>/dev/null
systemctl daemon-reexec
wait_for 60 sh -c '! grep -q ^bsi- /sys/block/dm-*/dm/name 2>/dev/null'
is "$(cat /sys/block/dm-*/dm/name /sys/block/loop*/loop/backing_file 2>/dev/null | grep bsi)" "" "once nobody runs code of it no device of an image is left"
is "$(lab)" 101 "programs run the base"
listing >/srv/after
pass "every name, inode and time of the base is as before" diff <(grep -v lab-extra /srv/below) <(grep -v lab-extra /srv/after)
is "$(find / -xdev \( -name 'bsi*' -o -name '*[0-9]bsi*' \) -not -path '/srv/*' -not -path '/tmp/*' -not -path '/proc/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' -not -path '/var/log/*' 2>/dev/null)" "" "no file is left"
is "$(apt-config shell x Dir::Bin::dpkg)" "x='/usr/bin/dpkg'" "apt's dpkg is its own again"
pass "apt goes on" apt_do install lab-unrelated=1.0-2

# a mount that somebody uses until the end, who is not asked to stop
mkdir -p /opt/busy
mount -t tmpfs none /opt/busy
systemd-run -q --scope -p DefaultDependencies=no sh -c 'cd /opt/busy && exec sleep 1000' &
sleep 2
finish
