#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The second boot: attached before anybody needs it; then packages come and go below it.
# shellcheck disable=SC2154
. ./guest.sh

is "$(head -n 1 /run/lab-early)" 202 "the first program of the boot ran the new library"
moment() { systemctl show -P "ExecMain$1TimestampMonotonic" bsi-boot.service; }
diag "it ran at $(tail -n 1 /run/lab-early) s; the boot unit took $((($(moment Exit) - $(moment Start)) / 1000)) ms"
is "$(systemctl is-active bsi-boot.service)" active "the boot unit is active"
is "$(status .boot.action)" attached "the status says that the boot attached it"
like "$(status '.components[0].seal')" '^(dm|fs)-verity$' "and that the kernel checks each read of it"
is "$(lab)" 202 "it is attached"
pass "the boot is complete" wait_for 60 test ! -e /var/lib/bsi/boot
is "$(jq .content.good /var/lib/bsi/current)" "$(jq .content.current /var/lib/bsi/current)" "and proves the generation good"
diag "$(bsi status)"

# plain dpkg: off for the time of its work
run dpkg -i apt/lab-unrelated_1.0-1_amd64.deb
is "$run_status" 0 "plain dpkg works" || diag "$run_out $run_err"
is "$(lab)" 202 "and the improvement is attached afterwards"
fail "the mark of dpkg's work is gone" test -e /run/bsi/package-work
run apt_do install --reinstall liblab1=1.0-1
is "$run_status" 0 "the patched package is installed again" || diag "$run_out $run_err"
is "$(lab)" 202 "the same version is improved again"
run dpkg -i apt/liblab1_1.0-1_amd64.deb
is "$run_status:$(lab)" 0:202 "with plain dpkg as well" || diag "$run_out $run_err"

# dpkg is killed half-way: it stops in a maintainer script, everything is off
mkdir -p /tmp/slow/DEBIAN
printf 'Package: slow\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n' >/tmp/slow/DEBIAN/control
printf '#!/bin/sh\ntouch /run/slow; sleep 300\n' >/tmp/slow/DEBIAN/preinst
chmod 755 /tmp/slow/DEBIAN/preinst
dpkg-deb -b /tmp/slow /tmp/slow.deb >/dev/null
dpkg -i /tmp/slow.deb >/dev/null 2>&1 &
pid=$!
wait_for 60 test -e /run/slow
is "$(lab)" 101 "while plain dpkg works, everything is off"
run bsi attach
is "$run_status" 5 "nothing is attached meanwhile"
like "$run_err" "package manager at work" "and the reason is said"
kill -KILL $pid
pkill -KILL -f 'slow.*preinst'
wait $pid 2>/dev/null
pass "after dpkg was killed it is attached again" wait_for 60 sh -c '[ "$(lab)" = 202 ]'
pass "dpkg is repaired" sh -c 'dpkg --remove --force-remove-reinstreq slow || dpkg --purge --force-all slow'
is "$(lab)" 202 "and it is still attached"

# another root: nothing of ours there
mkdir -p /tmp/root/var/lib/dpkg/{info,updates}
touch /tmp/root/var/lib/dpkg/{status,available}
hammer_start 202
run dpkg --root=/tmp/root --force-all -i apt/lab-unrelated_1.0-2_amd64.deb
hammer_stop
is "$run_status:$hammer_others" 0:0 "dpkg --root leaves this system as it is" || diag "$run_err"

# the distribution's own update of the patched package
hammer_start 202
run apt_do install liblab1=1.0-3
hammer_stop
is "$run_status" 0 "apt upgrades the patched package" || diag "$run_out $run_err"
is "$hammer_failures" 0 "no run of the program fails meanwhile ($hammer_runs runs)"
is "$(lab)" 303 "the newer version is never masked"
is "$(status '.components[] | select(.name == "liblab1").state')" superseded "the status says superseded"
diag "$(bsi status)"
if [[ -e ./real-update ]]; then
	like "$(status '.components[] | select(.name != "liblab1").state')" attached "the other component stays attached"
fi
run apt_do install --allow-downgrades liblab1=1.0-1
is "$run_status:$(lab)" 0:202 "back at the version that it was made for, it is attached again" || diag "$run_out $run_err"
run apt_do remove --purge liblab1
is "$run_status" 0 "apt removes the patched package" || diag "$run_out $run_err"
fail "and leaves no orphan" test -e /usr/lib/lab/liblab.so.1
run apt_do install liblab1=1.0-1 lab-tools
is "$run_status:$(lab)" 0:202 "installed again, it is improved again" || diag "$run_out $run_err"

# attached at boot, with what the boot unit may meet
unit_says() { systemctl restart bsi-boot.service; lab; }
systemctl stop bsi-boot.service
is "$(lab)" 101 "stopping the boot unit takes everything off"
systemctl start bsi-boot.service
is "$(lab)" 202 "starting it attaches"
fallocate -l "$(($(df --output=avail -B1 / | tail -n 1) + (1 << 30)))" /full 2>/dev/null
dd if=/dev/zero of=/full bs=1M oflag=append conv=notrunc >/dev/null 2>&1
is "$(($(df --output=avail -B1 / | tail -n 1)))" 0 "the disk is full"
is "$(unit_says)" 202 "with a full disk it is attached"
rm -f /full
mount --bind /var/lib/bsi /var/lib/bsi && mount -o remount,bind,ro /var/lib/bsi
is "$(unit_says)" 101 "with a read-only state the boot goes on with the base"
like "$(status .sentence)" "not attached" "and the status says so"
like "$(status .boot.reason)" "ead-only" "and why"
umount /var/lib/bsi
mv /var/lib/bsi/current /var/lib/bsi-current
is "$(unit_says)" 101 "without 'current' the boot goes on with the base"
run bsi status
like "$run_out$run_err" '"current"' "and the status names the damaged file" || diag "$run_status"
mv /var/lib/bsi-current /var/lib/bsi/current
is "$(unit_says)" 202 "with it, it is attached"

# a letter that will hang the next boot
rm -rf /srv/www/bsi
cp -a repository-b /srv/www/bsi
run_free bsi run
is "$run_status:$(lab)" 0:909 "(b) comes by itself" || diag "$run_out $run_err"
finish
