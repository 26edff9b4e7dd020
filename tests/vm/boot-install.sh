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
pass "the library, its program and service are installed" apt_do install liblab1=1.0-1 lab-tools lab-unrelated=1.0-1
is "$(lab)" 101 "the base has the old library"

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

pass "it enrols over HTTP" bsi enroll http://127.0.0.1/bsi --root /srv/www/bsi/metadata/1.root.json
labd=$(systemctl show -P MainPID labd.service)
run bsi install
is "$run_status" 0 "install works" || diag "$run_out $run_err"
diag "$(bsi status)"
is "$(lab)" 202 "programs run the new library"
is "$(bsi base -- lab)" 101 "the base below is the old one"
is "$(status .state)" exposed "the services still run old code"
like "$(bsi exposure --json | jq -r '.list[].pid')" "(^|[^0-9])$labd([^0-9]|$)" "labd is named"
[[ ! -e ./real-update ]] || like "$(bsi exposure --json | jq -r '.list[].command')" nginx "nginx is named"
pass "the services are restarted" systemctl restart labd.service nginx.service
systemctl daemon-reexec
systemctl restart systemd-journald systemd-udevd systemd-logind dbus 2>/dev/null
diag "$(bsi status)"
unlike "$(bsi exposure --json | jq -r '.list[].pid')" "(^|[^0-9])$(systemctl show -P MainPID labd.service)([^0-9]|$)" \
	"after its restart labd runs the new code"
pass "every byte verifies" bsi verify

# services in sandboxes, born before, during and after
for sandbox in ProtectSystem=strict ProtectSystem=full PrivateTmp=yes ProtectHome=yes PrivateMounts=yes; do
	is "$(systemd-run -q --wait --pipe -p $sandbox lab)" 202 "a service with $sandbox sees the new library"
done
is "$(systemd-run -q --wait --pipe -p ProtectSystem=strict sh -c 'touch /usr/lib/lab/x 2>&1 | grep -c Read-only')" 1 \
	"and gains no write access"
# shellcheck disable=SC2016
is "$(systemd-run -q --wait --pipe -p PrivateTmp=yes sh -c 'touch /usr/lib/lab/x && rm /usr/lib/lab/x && echo writable')" writable \
	"nor loses it"
(
	failures=0 starts=0
	while [[ ! -e /run/changes-done ]]; do
		starts=$((starts + 1))
		systemd-run -q --wait --pipe -p ProtectSystem=strict -p PrivateTmp=yes lab >/run/sandbox.out 2>>/run/sandbox.err &&
			grep -qxE '101|202|201|102' /run/sandbox.out || failures=$((failures + 1))
	done
	echo "$starts $failures" >/run/sandbox-result
) &
changes=0
for ((i = 0; i < $(rounds 25); i++)); do
	bsi detach && bsi attach >/dev/null && changes=$((changes + 2))
done
touch /run/changes-done
wait $!
read -r starts failures </run/sandbox-result
is "$failures" 0 "during $changes changes $starts services in sandboxes start, none fails" || diag "$(cat /run/sandbox.err)"
is "$(lab)" 202 "and the new library is attached"

# apt, while it is attached
hammer_start 202
run apt_do install lab-unrelated=1.0-2
is "$run_status" 0 "apt upgrades an unrelated package" || diag "$run_out $run_err"
hammer_stop
is "$hammer_failures $hammer_others" "0 0" "meanwhile $hammer_runs runs of the program: none fails, none sees the base"
is "$(cat /usr/share/lab-unrelated/version)" 1.0-2 "the new version is there"
is "$(lab)" 202 "the improvement is attached"
is "$(dpkg -l lab-unrelated | awk '$1 == "ii" { print $3 }')" 1.0-2 "dpkg's database agrees"

listing >/srv/base-attached
bsi base -- bash -c '. ./guest.sh; listing; finish >/dev/null' >/srv/base-below 2>/dev/null
pass "below, every name, inode and time of the base is as before" \
	diff <(grep -v lab-unrelated /srv/base-before) <(grep -v lab-unrelated /srv/base-below)
is "$(bsi base -- dpkg -V liblab1)" "" "dpkg -V in the base view finds nothing changed"
is "$(bsi base -- debsums -s liblab1 2>&1)" "" "nor does debsums"
isnt "$(dpkg -V liblab1)" "" "without it, it does: the patched files are no package's"
. ./seal.sh
finish
