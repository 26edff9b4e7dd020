#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The second boot: attached before anybody needs it; then packages come and go below it.
# shellcheck disable=SC2154
. ./guest.sh

is "$(df --output=avail -B1 / | tail -n 1 | tr -d ' ')" 0 "the machine came up with a full disk"
is "$(head -n 1 /run/lab-early)" 202 "the first service after sysinit.target ran the new library"
moment() { systemctl show -P "ExecMain$1TimestampMonotonic" bsi-boot.service; }
diag "it ran at $(tail -n 1 /run/lab-early) s; the boot unit took $((($(moment Exit) - $(moment Start)) / 1000)) ms"
# process 1 may be renewing itself just now, and answers nobody then
pass "the boot unit is active" wait_for 60 sh -c '[ "$(systemctl is-active bsi-boot.service)" = active ]'
is "$(said labd 202) $(said lab-confined 202)" "202 202" "so did the services"
is "$(status .boot.action)" attached "the status says that the boot attached it"
like "$(status '.components[0].seal')" '^(dm|fs)-verity$' "and that the kernel checks each read of it"
is "$(lab)" 202 "it is attached"
rm -f /full
pass "the boot is complete" wait_for 60 test ! -e /var/lib/bsi/boot
is "$(jq .content.good /var/lib/bsi/current)" "$(jq .content.current /var/lib/bsi/current)" "and proves the generation good"
# who runs from before our unit (process 1, journald, udevd) is renewed at the end of the boot
pass "nobody is left on the old code" wait_for 120 sh -c '[ "$(bsi status --json | jq -r .state)" = protected ]' ||
	diag "$(bsi exposure)"
diag "$(bsi status)"

# plain dpkg: off for the time of its work
run dpkg -i apt/lab-unrelated_1.0-1_amd64.deb
is "$run_status" 0 "plain dpkg works" || diag "$run_out $run_err"
is "$(lab)" 202 "and the improvement is attached afterwards"
fail "the mark of dpkg's work is gone" test -e /run/bsi/package-work
run apt_do install --reinstall liblab1=1.0-1
is "$run_status" 0 "the patched package is installed again" || diag "$run_out $run_err"
is "$(lab)" 202 "the same version is improved again"
is "$(tail -n 1 /var/log/lab-triggers)" 101 "the other package's trigger ran, and saw the base"
# its script restarted the service at a moment when the base was there
if [[ $(said labd 202) == 101 ]]; then
	like "$(bsi exposure --json | step_of labd)" "restart CVE-2026-0001" "a service that it started on the base is named"
else
	unlike "$(bsi exposure --json | step_of labd)" "." "a service that it started on the new library is not named"
fi
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
is "$run_status" 0 "dpkg --root works" || diag "$run_err"
hammer_is "and leaves this system as it is"
if [[ $(rounds 5) == 5 ]]; then
	hammer_start 202
	run debootstrap --no-check-gpg --no-resolve-deps tiny /srv/tiny file:///srv/debian "$PWD/tiny.sh"
	is "$run_status" 0 "so does debootstrap, whose packages run their scripts" ||
		diag "$(tail -n 20 <<<"$run_out$run_err")"
	hammer_is "and leaves this system as it is too"
	is "$(chroot /srv/tiny /usr/bin/lab)" 101 "what it made has the packages' own files"
	unlike "$(cat /proc/self/mountinfo)" /srv/tiny "and no mount of anybody is left there"
	rm -rf /srv/tiny
fi

# our own package comes again
hammer_start 202
run apt_do install --reinstall ./debs/bsi_*.deb
is "$run_status" 0 "bsi itself is installed again" || diag "$run_out $run_err"
hammer_is "and what is attached stays"

# the distribution's own update of the patched package: one file after the other. The kernel lets the mount go
# before the new name is there: for a grace period at each of the two files the former base can be seen.
hammer_start '[23]0[23]'
run apt_do install liblab1=1.0-3
is "$run_status" 0 "apt upgrades the patched package" || diag "$run_out $run_err"
hammer_stop
is "$((hammer_runs >= 5)):$hammer_failures:$((hammer_others <= 4))" 1:0:1 \
	"and no program fails meanwhile ($hammer_runs runs, $hammer_others found what was there before the improvement)"
diag "$(sort /run/hammer.err | uniq -c)"
is "$(lab)" 303 "the newer version is never masked"
is "$(said labd 303)" 303 "nor to the service, which the package restarted"
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

# an update in two steps: dpkg stops for want of another package, apt goes on
hammer_start 202
run dpkg -i apt/liblab1_1.0-4_amd64.deb
isnt "$run_status" 0 "dpkg unpacks what needs another package, and stops"
is "$(lab)" 404 "the newer version is there already"
run apt_do install -f
hammer_stop
is "$run_status" 0 "apt-get -f install completes it" || diag "$run_out $run_err"
is "$(lab):$(dpkg -l lab-extra | awk '$1 == "ii" { print $3 }')" 404:1.0-1 "with the other package"
is "$((hammer_runs >= 5)):$hammer_failures" 1:0 "no run of the program fails meanwhile ($hammer_runs runs)"
run apt_do install --allow-downgrades liblab1=1.0-1
is "$run_status:$(lab)" 0:202 "and back" || diag "$run_out $run_err"

# apt and its dpkg are killed when the files of the update are there and its script runs
touch /run/lab-slow
apt_do install liblab1=1.0-3 >/dev/null 2>&1 &
pid=$!
pass "an update by apt is in the middle" wait_for 120 test -e /run/lab-slow-here
pkill -KILL -x apt-get
pkill -KILL -x dpkg
pkill -KILL -f 'liblab1.postinst'
wait $pid 2>/dev/null
rm -f /run/lab-slow /run/lab-slow-here
is "$(lab)" 303 "after both were killed the newer version is there"
# who looked before dpkg noted the newer version saw files of no version that it named
state_for_all() { [[ $(jq -r '.components[] | select(.name == "liblab1").state' /run/bsi/status.json) =~ mismatch|superseded ]]; }
pass "and the path unit saw it: the status for everybody does not call it attached" wait_for 120 state_for_all
isnt "$(dpkg -l liblab1 | awk '/liblab1/ { print $1 }')" ii "dpkg's database says that the package is half installed"
run apt_do install -f
run dpkg --configure -a
is "$run_status:$(lab)" 0:303 "it is repaired" || diag "$run_out $run_err"
is "$(status '.components[] | select(.name == "liblab1").state')" superseded "and is superseded"
run apt_do install --allow-downgrades liblab1=1.0-1
is "$run_status:$(lab)" 0:202 "and back again" || diag "$run_out $run_err"

# the path unit may be looking at what dpkg just did, and would attach behind the stop
systemctl stop bsi-packages.path bsi-packages.service
words() { journalctl -q --no-pager -n 20 -u bsi-boot.service -u bsi-packages.service; }
run systemctl stop bsi-boot.service
is "$run_status:$(lab)" 0:101 "stopping the boot unit takes everything off" || diag "$run_err $(words)"
run systemctl start bsi-boot.service
is "$run_status:$(lab)" 0:202 "starting it attaches" || diag "$run_err $(words)"
pass "and the path unit looks again" systemctl -q is-active bsi-packages.path

# a letter that will hang the next boot, by the unit of the timer, with restarts of its own
run_free bsi config restart auto
is "$run_status" 0 "restarts are automatic from now on" || diag "$run_err"
systemctl restart labd.service
rm -rf /srv/www/bsi
cp -a repository-b /srv/www/bsi
comes() {
	systemctl start bsi.service
	[[ $(lab) == 909 ]]
}
hammer_start '[29]0[29]'
pass "(b) comes by itself" wait_for 180 comes || diag "$(systemctl status bsi.service)"
hammer_is "from (a) to (b), never by the base"
is "$(lab)" 909 "programs run it"
is "$(said labd 909)" 909 "labd was restarted onto it by the timer's unit"
is "$(bsi exposure --json | jq -r '[.list[] | select(.end == "restart")] | length')" 0 "nobody whom a restart would end is left" ||
	diag "$(bsi exposure)"

# from one letter to the other and back, while AppArmor confines who starts
bsi config restart ask >/dev/null
rm -f /run/changes-done
start_all_the_time confined '[29]0[29]' systemd-run -q --wait --pipe -p AppArmorProfile=lab-confined lab &
exchanges=0
for ((i = 0; i < $(rounds 10); i++)); do
	run_free bsi rollback
	[[ $run_status:$(lab) != 0:202 ]] || exchanges=$((exchanges + 1))
	run_free bsi install b
	[[ $run_status:$(lab) != 0:909 ]] || exchanges=$((exchanges + 1))
done
touch /run/changes-done
wait $!
read -r starts failures </run/confined
is "$exchanges" "$(($(rounds 10) * 2))" "(b) and (a) by turns" || diag "$run_out $run_err"
is "$((starts >= 3)):$failures:$(pathless)" 1:0:0 \
	"during $exchanges exchanges $starts confined services start, none fails, none sees the base or loses a path" ||
	diag "$(tail -n 5 /run/confined.err)"
is "$(access_map)" "$(cat /srv/access-before)" "and a confined program may do what it could before"
bsi config restart auto >/dev/null
finish
