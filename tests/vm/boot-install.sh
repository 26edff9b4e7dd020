#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first boot: a Debian becomes a device. Installs the packages, enrols over HTTP, attaches live,
# and works with apt and with services while attached.
# shellcheck disable=SC2154
. ./guest.sh
diag "Linux $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), $(sed -n 's/^PRETTY_NAME=//p' /etc/os-release)"

mkdir -p /srv/www
cp -a apt /srv/apt
cp -a repository-a /srv/www/bsi
cp -a debs /srv/debs
echo 'deb [trusted=yes] file:/srv/apt ./' >/etc/apt/sources.list
pass "apt reads the archive" apt_do update
pass "the library, its program and service are installed" apt_do install liblab1=1.0-1 lab-tools=1.0-1 lab-unrelated=1.0-1
is "$(lab)" 101 "the base has the old library"
is "$(cat /sys/module/apparmor/parameters/enabled)" Y "AppArmor is in force"
like "$(cat "/proc/$(main_pid lab-confined)/attr/current")" "lab-confined \\(enforce\\)" "and confines a service"
touch /srv/lab-open
access_map >/srv/access-before
is "$(grep -c . /srv/access-before)" 3 "which may do three things of eight" || diag "$(cat /srv/access-before)"

# a web server with TLS: the publisher's folder, and a user of the TLS library
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-keyout /etc/ssl/private/vm.key -out /etc/ssl/vm.crt 2>/dev/null
cat >/etc/nginx/sites-enabled/default <<'CONF'
server {
	listen 127.0.0.1:80;
	listen 127.0.0.1:443 ssl;
	ssl_certificate /etc/ssl/vm.crt;
	ssl_certificate_key /etc/ssl/private/vm.key;
	root /srv/www;
	default_type application/octet-stream;
}
CONF
systemctl -q unmask nginx.service
systemctl daemon-reload
pass "the web server starts" systemctl -q enable --now nginx.service
listing >/srv/base-before

pass "apt install ./bsi_*.deb" apt_do install --no-install-recommends ./debs/bsi_*.deb
is "$(systemctl is-enabled bsi-boot.service bsi.timer | sort -u)" enabled "the boot unit and the timer are enabled"
is "$(systemctl list-unit-files 'bsi*' --state=enabled --no-legend | wc -l)" 2 "and nothing else is"
is "$(systemctl is-active bsi-boot.service bsi.timer bsi-packages.path | sort -u)" active "they are started"
is "$(systemctl list-units --failed --no-legend 'bsi*')" "" "none of them failed"
is "$(apt-config shell x Dir::Bin::dpkg)" "x='/run/bsi/dpkg'" "apt's dpkg is the wrapper"
pass "doctor finds everything in place" bsi doctor
pass "an ordinary user's apt works, through the wrapper too" \
	setpriv --reuid 65534 --regid 65534 --clear-groups apt-get -q -s install lab-unrelated=1.0-2
run bsi status
like "$run_out" "not enrolled" "the device says that it is not enrolled"

systemctl stop bsi.timer # it would come in between
pass "it enrols over HTTP" bsi enroll http://127.0.0.1/bsi --root /srv/www/bsi/metadata/1.root.json
labd=$(main_pid labd)
run_free bsi plan --json
is "$(step_of labd <<<"$run_out")" "restart CVE-2026-0001" "the plan names the service and the CVE, before anything happens" || diag "$run_out $run_err"
is "$(main_pid labd):$(lab)" "$labd:101" "and changes nothing"
run_free bsi install
is "$run_status" 0 "install works" || diag "$run_out $run_err"
diag "$(bsi status)"
is "$(lab)" 202 "programs run the new library"
is "$(bsi base -- lab)" 101 "the base below is the old one"
is "$(status .state)" exposed "the services still run old code"
run bsi exposure --json
is "$(jq -r --argjson pid "$labd" '.list[] | select(.pid == $pid) | "\(.place) \(.unit) \(.end) \(.cves | join(" "))"' <<<"$run_out")" \
	"service labd.service restart CVE-2026-0001" "labd is named, with its unit, its CVE and what ends it"
[[ ! -e ./real-update ]] || like "$(jq -r '.list[].command' <<<"$run_out")" nginx "nginx is named"
is "$(said labd 101)" 101 "it runs the old code"
run_free bsi install --restart --json
is "$run_status" 0 "bsi restarts what it is not in effect for" || diag "$run_out $run_err"
is "$(jq -r '[.restarts[] | select(.result != "restarted")] | length' <<<"$run_out")" 0 "every restart went well" || diag "$run_out"
diag "restarted: $(jq -r '[.restarts[].unit] | join(" ")' <<<"$run_out")"
isnt "$(main_pid labd)" "$labd" "labd is another process"
is "$(said labd 202) $(said lab-confined 202)" "202 202" "it runs the new code, and so does the confined service"
is "$(bsi exposure --json | jq -r '[.list[] | select(.end == "restart" or .end == "reexecute")] | length')" 0 \
	"nobody is left whom a restart by bsi would end" || diag "$(bsi exposure)"
# what is left to a person: a real update of the TLS library reaches them too
systemctl restart systemd-journald systemd-udevd systemd-logind dbus 2>/dev/null
protected() { [[ $(status .state) == protected ]]; }
pass "with the reserved units restarted the device is protected" wait_for 120 protected
diag "$(bsi status)"
is "$(bsi exposure --json | jq .exposed)" 0 "and no process is exposed for any CVE"
pass "every byte verifies" bsi verify

# which lists the device read of a repository for two releases
own=$(bsi status --json | jq -r .base) other=debian:13:amd64
[[ $own == debian:12:amd64 ]] || other=debian:12:amd64
asked=$(sed 's/%3A/:/g' /var/log/nginx/access.log)
like "$asked" "GET /bsi/metadata/[0-9]*\.$own\.json" "it read the list of its own release"
unlike "$asked" "$other" "and nothing of the other one, which the repository has too"
pass "the repository does have it" test -d "/srv/www/bsi/targets/$other"

# services in sandboxes, born before, during and after
for sandbox in ProtectSystem=strict ProtectSystem=full PrivateTmp=yes ProtectHome=yes PrivateMounts=yes AppArmorProfile=lab-confined; do
	is "$(systemd-run -q --wait --pipe -p $sandbox lab)" 202 "a service with $sandbox sees the new library"
done
is "$(systemd-run -q --wait --pipe -p ProtectSystem=strict sh -c 'touch /usr/lib/lab/x 2>&1 | grep -c Read-only')" 1 \
	"and gains no write access"
# shellcheck disable=SC2016
is "$(systemd-run -q --wait --pipe -p PrivateTmp=yes sh -c 'touch /usr/lib/lab/x && rm /usr/lib/lab/x && echo writable')" writable \
	"nor loses it"
is "$(access_map)" "$(cat /srv/access-before)" "a confined program may do what it could before, and no more"

start_all_the_time strict '101|202|201|102' systemd-run -q --wait --pipe -p ProtectSystem=strict -p PrivateTmp=yes lab &
start_all_the_time full '101|202|201|102' systemd-run -q --wait --pipe -p ProtectSystem=full -p PrivateTmp=yes lab &
start_all_the_time confined '101|202|201|102' systemd-run -q --wait --pipe -p AppArmorProfile=lab-confined lab &
changes=0
for ((i = 0; i < $(rounds 25); i++)); do
	bsi detach && bsi attach --wait >/dev/null && changes=$((changes + 2))
done
touch /run/changes-done
wait
is "$changes" "$(($(rounds 25) * 2))" "50 changes, or a few in the short form"
for name in strict full; do
	read -r starts failures <"/run/$name"
	is "$((starts >= 3)):$failures" 1:0 "during $changes changes $starts services of the kind $name start, none fails" || diag "$(cat "/run/$name.err")"
done
# AppArmor decides by paths: who has opened a library before it went off must still have one when they map it
read -r starts failures <"/run/confined"
diag "$starts confined services started, $failures failed; $(pathless) times a path was lost"
is "$((starts >= 3)):$failures:$(pathless)" 1:0:0 \
	"during $changes changes confined services start, none fails, and none loses a path" || diag "$(cat /run/confined.err)"
is "$(lab)" 202 "and the new library is attached"
is "$(access_map)" "$(cat /srv/access-before)" "a confined program may still do the same"
is "$(dmesg | grep 'apparmor="DENIED"' | grep -E 'denied_mask="[rm]*"' | grep -v 'disconnected path' | grep -v /etc/shadow | grep -vc lab-unrelated)" 0 \
	"AppArmor denied nobody the library" || diag "$(dmesg | grep DENIED | tail)"

# apt, while it is attached
hammer_start 202
run apt_do install lab-unrelated=1.0-2
is "$run_status" 0 "apt upgrades an unrelated package" || diag "$run_out $run_err"
hammer_is "which never shows anybody the base"
is "$(cat /usr/share/lab-unrelated/version)" 1.0-2 "the new version is there"
is "$(lab)" 202 "the improvement is attached"
is "$(dpkg -l lab-unrelated | awk '$1 == "ii" { print $3 }')" 1.0-2 "dpkg's database agrees"

bsi base -- bash -c '. ./guest.sh; listing; finish >/dev/null' >/srv/base-below 2>/dev/null
pass "below, every name, inode and time of the base is as before" \
	diff <(grep -v lab-unrelated /srv/base-before) <(grep -v lab-unrelated /srv/base-below)
is "$(bsi base -- dpkg -V liblab1)" "" "dpkg -V in the base view finds nothing changed"
is "$(bsi base -- debsums -s liblab1 2>&1)" "" "nor does debsums"
isnt "$(dpkg -V liblab1)" "" "without it, it does: the patched files are no package's"

labd=$(main_pid labd)
run apt_do install lab-tools=1.0-2
is "$run_status" 0 "apt upgrades a package whose script restarts its services" || diag "$run_out $run_err"
isnt "$(main_pid labd)" "$labd" "they are restarted"
is "$(said labd 202) $(said lab-confined 202)" "202 202" "onto the new library"
. ./seal.sh

# the next boot begins with a full disk
disk_fill
finish
