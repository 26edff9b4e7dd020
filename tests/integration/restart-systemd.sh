#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# From attached to in effect with a real systemd as process 1 of a laboratory, and a real bus: units
# are restarted once, in order, by themselves or not; what fails is said; nobody pretends to be
# another unit. The laboratory has its own process, mount, host name and control group namespaces,
# and only the units that are written here.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99

units=$tap_dir/units group=bsi-test.$$

if [[ ${1:-} == become ]]; then
	tap_finished=yes
	trap - EXIT
	lab_base "$5"/made/old/*.deb
	lab_systemd "$2" "$3" "$4" "$6"
fi

if [[ -z ${RESTART_LAB:-} ]]; then
	[[ $(id -u) == 0 ]] || skip_all "needs root: it mounts"
	[[ -x $lab_systemd ]] || skip_all "systemd is not here"
	command -v dbus-daemon >/dev/null || skip_all "dbus-daemon is not here"
	grep -qw cgroup2 /proc/filesystems || skip_all "the kernel has no control groups of version 2"
	lab_pair_made "$tap_dir/made" || skip_all "no compiler"
	mkdir -p "$tap_dir/groups" "$units"
	at_exit 'lab_remove_groups "$tap_dir/groups" $group'

	unit() { cat >"$units/$1"; }
	service() { # NAME UNIT-LINES SERVICE-LINES
		printf '[Unit]\nDefaultDependencies=no\n%b\n[Service]\n%b\n' "$2" "$3" >"$units/$1.service"
	}
	lab='ExecStart=/usr/bin/lab stay'
	service core "" "ExecStartPre=/bin/sh -c 'echo start >>/run/core-starts'\n$lab"
	service leaf "After=core.service" "$lab"
	service part "PartOf=core.service\nAfter=core.service" "$lab"
	service workers "" "ExecStart=/bin/bash -c 'lab stay & lab stay & wait'"
	service getty@tty9 "" "$lab"
	service own "" "$lab"
	service broken "" "ExecStartPre=/bin/sh -c 'mkdir /run/broken'\n$lab"
	service dies "" "ExecStart=/bin/sh -c '[ ! -e /run/dies ] || exit 1; touch /run/dies; exec lab stay'"
	service keeps "" "KillMode=process\nExecStart=/bin/bash -c 'lab stay & lab stay & wait'"
	service refuses "RefuseManualStop=yes" "$lab"
	service busy "StartLimitIntervalSec=1h\nStartLimitBurst=1" "$lab"
	# units whose starts were counted, by nobody but systemd
	limit='StartLimitIntervalSec=1h\nStartLimitBurst=3'
	service often "$limit" "$lab"
	printf '[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/often\n' >"$units/often.socket"
	service needs "Requires=often.service\nAfter=often.service" "$lab"
	service behind "PartOf=workers.service\nAfter=workers.service\n$limit" "$lab"
	# units for which systemd would end the laboratory
	service grave "$limit\nStartLimitAction=exit-force" "$lab"
	service graver "FailureAction=exit-force" "$lab"
	service gravest "SuccessAction=exit-force" "$lab"
	service patient "JobTimeoutSec=1h\nJobTimeoutAction=exit-force" "$lab"
	service calm "StartLimitIntervalSec=1ms\nStartLimitAction=exit-force" "$lab"
	service once "" "Type=oneshot\n$lab"
	service feigns "" "Delegate=yes\nExecStart=/bin/sh -c 'g=/sys/fs/cgroup/system.slice/feigns.service/core.service; mkdir \$g; echo 0 >\$g/cgroup.procs; exec lab stay'"
	service ghost "" "ExecStart=/bin/sh -c 'g=/sys/fs/cgroup/ghost.slice/core.service; mkdir -p \$g; echo 0 >\$g/cgroup.procs; exec lab stay'"
	# what starts before anything can be attached, by name
	service systemd-journald "" "$lab"
	service systemd-udevd "" "$lab"
	service systemd-journal-flush "Requires=systemd-journald.service\nAfter=systemd-journald.service" \
		"Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true"
	for name in basic shutdown; do printf '[Unit]\nDefaultDependencies=no\n' >"$units/$name.target"; done
	unit dbus.socket <<'END'
[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/dbus/system_bus_socket
END
	unit dbus.service <<'END'
[Unit]
DefaultDependencies=no
Requires=dbus.socket
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --nosyslog
END
	cat >"$units/test.service" <<END
[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
TimeoutStartSec=240
Environment=RESTART_LAB=$tap_dir BSI_TESTS=$BSI_TESTS BSI_STAGE=$BSI_STAGE BSI_BUILD=$BSI_BUILD
ExecStart=/bin/bash $(realpath "$0")
StandardOutput=append:$tap_dir/out
StandardError=append:$tap_dir/out
END
	printf '[Unit]\nDefaultDependencies=no\nWants=dbus.socket test.service\nAfter=dbus.socket\n' >"$units/test.target"
	: >"$tap_dir/out"
	tap_finished=yes
	run timeout -k 5 260 unshare --uts --ipc bash -c '. "$BSI_TESTS/../demo/lab.sh"; lab_enter "$@"' lab "$tap_dir" \
		bash "$0" become "$tap_dir/groups" "$group" "$units" "$tap_dir" /usr/lib/lab/liblab.so.1
	cat "$tap_dir/out"
	if ! grep -q '^1\.\.' "$tap_dir/out"; then
		diag "the laboratory ended with $run_status: $run_err"
		echo "Bail out! it did not finish"
		exit 1
	fi
	! grep -q '^not ok' "$tap_dir/out"
	exit
fi

# inside, as test.service
mkdir -p "$tap_dir/scratch"
made=$RESTART_LAB/made
export HOME=/root
device_repository
publish add --from "$made/old" --to "$made/new" --cve-named >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
mkdir -p /etc/bsi/reserved.d
echo own.service >/etc/bsi/reserved.d/60-own.conf
mkdir -p /usr/lib/bsi
cp -r "$BSI_STAGE/usr/lib/bsi/reserved.d" /usr/lib/bsi/

is "$(cat /proc/1/comm)" systemd "process 1 is systemd"
like "$(cat /proc/1/maps)" liblab "which has the library too"
all="core leaf part workers getty@tty9 own broken dies keeps refuses busy feigns ghost often needs behind grave graver gravest patient calm"
systemctl start often.socket
for name in $all; do systemctl start "$name.service" || diag "$name does not start"; done
for name in often behind grave; do
	systemctl restart "$name.service" && systemctl restart "$name.service" || diag "$name does not start thrice"
done
systemctl start needs.service
systemctl start --no-block once.service
systemd-run --quiet --scope --slice=user-4242.slice --unit=session-1 lab stay >/dev/null 2>&1 &
systemd-run --quiet --scope --unit=box unshare --pid --fork --kill-child lab stay >/dev/null 2>&1 &
disown -a # their ends are no words for a reader of this test
mapped() { grep -ls liblab.so /proc/[0-9]*/maps 2>/dev/null | wc -l; }
for ((i = 0; i < 200 && $(mapped) < 27; i++)); do sleep 0.05; done
main() { systemctl show -P MainPID "$1.service"; }
declare -A before
for name in $all; do before[$name]=$(main "$name"); done
step() { jq -r --arg unit "$1" '.plan[] | select(.unit == $unit) | '"$2"; }

run bsi plan --json
is "$run_status" 0 "a plan"
[[ $run_status == 0 ]] || diag "$run_err"
plan=$run_out
is "$(jq -r '[.plan[] | select(.end == "restart") | .unit] | join(" ")' <<<"$plan")" \
	"broken.service calm.service dies.service feigns.service keeps.service leaf.service core.service often.service workers.service" \
	"units to restart, the leaf before what it needs"
is "$(step part.service '"\(.end) \(.reason)"' <<<"$plan")" "along systemd restarts it with core.service" "what systemd restarts along"
is "$(step workers.service '.processes | length' <<<"$plan")" 2 "workers are their unit's"
is "$(step getty@tty9.service .end <<<"$plan") $(step own.service .end <<<"$plan")" "ask ask" "reserved units, shipped and the owner's"
is "$(step refuses.service .end <<<"$plan") $(step once.service .end <<<"$plan")" "reboot wait" "one that refuses, one that works once"
like "$(step busy.service .reason <<<"$plan")" "refuse one start more" "a start limit"
like "$(step grave.service '"\(.end) \(.reason)"' <<<"$plan")" "^ask .*StartLimitAction=exit-force" "one that takes the machine along"
like "$(step graver.service '"\(.end) \(.reason)"' <<<"$plan")" "^ask .*FailureAction=exit-force" "by whatever name"
like "$(step gravest.service '"\(.end) \(.reason)"' <<<"$plan")" "^ask .*SuccessAction=exit-force" "at its end already"
like "$(step patient.service '"\(.end) \(.reason)"' <<<"$plan")" "^ask .*JobTimeoutAction=exit-force" "or if it takes too long"
is "$(jq -r '.plan[] | select(.pid == 1) | .end' <<<"$plan")" reexecute "process 1"
is "$(jq -r --argjson pid "${before[ghost]}" '.list[] | select(.pid == $pid) | "\(.place) \(.end)"' <<<"$plan")" "unknown ask" \
	"a group that systemd did not make is believed nothing"
is "$(jq -r --argjson pid "${before[feigns]}" '.list[] | select(.pid == $pid) | .unit' <<<"$plan")" feigns.service \
	"a group below a unit that is called like another unit is the unit's"
is "$(step session-1.scope '"\(.end) \(.cves | join(" "))"' <<<"$plan")" "relaunch CVE-2026-0001" "a user's program"
is "$(step box.scope .end <<<"$plan") $(jq -r '.list[] | select(.unit == "box.scope") | .place' <<<"$plan")" "ask container" "a container"
is "$(main core)" "${before[core]}" "and nothing happened"

run bsi install --restart --json
is "$run_status" 0 "install --restart"
[[ $run_status == 0 ]] || diag "$run_err"
restarts=$(jq -c .restarts <<<"$run_out")
result() { jq -r --arg unit "$1" '.[] | select(.unit == $unit) | '"$2" <<<"$restarts"; }
is "$(jq -r '[.[].unit] | join(" ")' <<<"$restarts")" \
	"broken.service calm.service dies.service feigns.service keeps.service leaf.service core.service often.service needs.service workers.service behind.service init.scope" \
	"it restarts what the plan said, and names what it had to bring back"
for name in leaf core part workers calm often needs behind; do
	isnt "$(main $name)" "${before[$name]}" "$name.service is another process now"
	is "$(systemctl show -P ActiveState $name.service)" active "which runs"
done
like "$(cat "/proc/$(main core)/maps")" "liblab" "with the library"
for name in getty@tty9 own refuses busy ghost grave graver gravest patient; do is "$(main $name)" "${before[$name]}" "$name.service was left alone"; done
is "$(grep -c start /run/core-starts):$(systemctl show -P NRestarts core.service)" 2:0 "core.service was started once more, and by one job"
is "$(result core.service '"\(.result) \(.exposed | length)"')" "restarted 0" "core.service: nobody is left on old code"
for name in often needs behind; do
	is "$(result $name.service '"\(.result) \(.exposed | length)"')" "restarted 0" "$name.service, which systemd did not start again, runs the new code"
done
like "$(result often.service .reason)" "start limit" "it is said why it took two starts"
like "$(result needs.service .reason)" "often.service" "and what else was down"
is "$(systemctl show -P ActiveState often.socket)" active "its socket, which systemd gave up with it, listens"
is "$(result core.service .reason)" null "nothing is said where all went well"
like "$(result broken.service '"\(.result) \(.reason)"')" "^failed broken.service was not restarted: the job ended with 'failed'" "a unit that fails is named"
is "$(result dies.service .result)" failed "one that fails right after its start as well"
is "$(result keeps.service '"\(.result) \([.exposed[].command] | unique | join(" "))"')" "restarted lab" "one whose programs outlive a restart: they are named as still exposed"
is "$(result init.scope .result)" restarted "process 1 answers again"
is "$(bsi status --json | jq -r .letter)" a "and the improvement stays"
is "$(lab)" 2 "attached"

run bsi exposure --json
is "$(jq -r '[.list[] | .unit // "-"] | sort | unique | join(" ")' <<<"$run_out")" \
	"- box.scope busy.service getty@tty9.service grave.service graver.service gravest.service keeps.service once.service own.service patient.service refuses.service session-1.scope" \
	"who is left is named by unit"
is "$(jq -r '.list[] | select(.unit == null) | .pid' <<<"$run_out")" "${before[ghost]}" "and one without, that claimed to be core.service"
unlike "$(jq -r '.list[].pid' <<<"$run_out" | paste -sd,)" '(^|,)1(,|$)' "process 1 is not among them"
like "$(bsi exposure)" "to restart by hand, when it suits" "in words"

# once for each change
bsi config restart auto >/dev/null
now=$(main core)
run bsi run
is "$run_status $run_out" "0 " "a run has nothing to say, and nothing to restart"
is "$(main core)" "$now" "core.service runs on"
systemctl stop leaf.service
bsi rollback >/dev/null
run bsi run --json
is "$run_status" 0 "after another change, run restarts by itself"
is "$(jq -r '.action' <<<"$run_out")" restarted "and says so"
isnt "$(main core)" "$now" "core.service runs the base's code"
is "$(systemctl show -P ActiveState leaf.service)" inactive "what was stopped is not started"
like "$(bsi history --json | jq -r '.[] | select(.event == "restarted") | .detail.reason')" "core.service restarted" "the history has it"

# the timer's unit, with all by which systemd confines it but the idle priority
bsi config restart ask >/dev/null # it would start process 1 anew, and systemctl with it
bsi install a >/dev/null 2>&1
bsi detach
sed -e "s|^ExecStart=[^ ]*|ExecStart=$BSI_STAGE/usr/bin/bsi|" -e 's/^\[Unit\]/&\nDefaultDependencies=no/' \
	-e '/^\(Documentation\|Wants\|After\|Nice\|CPUSchedulingPolicy\|IOSchedulingClass\)=/d' \
	"$(find "$BSI_STAGE" -name bsi.service)" >"$RESTART_LAB/units/bsi.service"
systemctl daemon-reload
run systemctl start bsi.service
is "$run_status:$(systemctl show -P ExecMainStatus bsi.service):$(lab)" 0:0:2 "bsi.service does its work under systemd"
# A reboot, as far as programs see it: what is early maps the base's library, and so does a service.
early="systemd-journald systemd-udevd"
reboot() {
	bsi detach --force
	rm -rf /run/bsi
	systemctl stop core.service leaf.service part.service workers.service broken.service dies.service keeps.service feigns.service
	systemctl daemon-reexec
	for name in $early core; do systemctl restart "$name.service"; done
	systemctl start systemd-journal-flush.service
	for name in $early core; do before[$name]=$(main "$name"); done
	for name in $early core; do until grep -q liblab "/proc/${before[$name]}/maps"; do sleep 0.02; done; done
	bsi attach --boot >/dev/null
}
exposed() { bsi exposure --json | jq -r --arg unit "$1" '[.list[] | select(.unit == $unit)] | length'; }
reboot
is "$(lab):$(jq .content.attempts /var/lib/bsi/boot)" 2:1 "a boot attaches, and is counted"
for name in $early core; do is "$(exposed "$name.service")" 1 "$name.service started before that"; done
is "$(exposed init.scope)" 1 "and process 1"
run bsi boot-complete
is "$run_status" 0 "the boot is complete"
like "$run_err" "restarts systemd-journald.service" "and renews what was early"
for name in $early; do
	isnt "$(main "$name")" "${before[$name]}" "$name.service is another process now"
	is "$(systemctl show -P ActiveState "$name.service"):$(exposed "$name.service")" active:0 "which runs the new code"
done
is "$(systemctl show -P ActiveState systemd-journal-flush.service)" active "what belongs to one of them as well"
is "$(exposed init.scope)" 0 "process 1 does"
is "$(main core):$(exposed core.service)" "${before[core]}:1" "and nobody else was touched"
like "$(bsi history --json | jq -r '.[0] | "\(.event) \(.detail.reason)"')" \
	"^restarted systemd-journald.service restarted, systemd-udevd.service restarted, init.scope restarted$" "the history has it"
for name in $early; do before[$name]=$(main "$name"); done
run bsi boot-complete
is "$run_status$run_err$(main systemd-journald)" "0${before[systemd-journald]}" "once"
bsi detach --force
rm -rf /run/bsi
bsi attach --boot >/dev/null
run bsi boot-complete
is "$run_status$run_err$(main systemd-journald)$(main systemd-udevd)" "0${before[systemd-journald]}${before[systemd-udevd]}" \
	"where nobody early is exposed, nothing is done"
printf 'systemd-udevd.service\ninit.scope\n' >/etc/bsi/reserved.d/70-early.conf
reboot
run bsi boot-complete
isnt "$(main systemd-journald)" "${before[systemd-journald]}" "after the next boot the journal is renewed"
is "$(main systemd-udevd):$(exposed init.scope)" "${before[systemd-udevd]}:1" "and not what the owner keeps"
rm /etc/bsi/reserved.d/70-early.conf

# the boot unit in a system that is up, and at its end; process 1 itself uses a component that waits
sed -e "s|/usr/bin/bsi|$BSI_STAGE/usr/bin/bsi|g" -e '/^\(Documentation\|Wants\|After\|Before\|RequiresMountsFor\)=/d' \
	"$(find "$BSI_STAGE" -name bsi-boot.service)" >"$RESTART_LAB/units/bsi-boot.service"
sed -e "s|/usr/bin/bsi|$BSI_STAGE/usr/bin/bsi|g" -e '/^Documentation=/d' \
	"$(find "$BSI_STAGE" -type f -name bsi-boot-complete.service)" >"$RESTART_LAB/units/bsi-boot-complete.service"
cp -a "$(find "$BSI_STAGE" -name basic.target.wants)" "$RESTART_LAB/units/"
# a default target that nobody else knows, and that takes its time
printf '[Unit]\nDefaultDependencies=no\nRequires=basic.target slow.service\nAfter=basic.target slow.service\n' >"$RESTART_LAB/units/kiosk.target"
printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n' >"$RESTART_LAB/units/slow.service"
ln -sf kiosk.target "$RESTART_LAB/units/default.target"
systemctl daemon-reload
# it may be starting process 1 anew, and has the lock
complete_ended() { until [[ $(systemctl show -P ActiveState bsi-boot-complete.service 2>/dev/null) =~ ^(inactive|failed)$ ]]; do sleep 0.1; done; }
attempts() { jq .content.attempts /var/lib/bsi/boot; }
completes() { systemctl show -P ActiveEnterTimestampMonotonic bsi-boot-complete.service; }
bsi detach --force
rm -rf /run/bsi
systemctl start bsi-boot.service
is "$(completes):$(attempts)" 0:1 "a boot that does not come to basic.target, as one for repair, is not complete"
systemctl restart bsi-boot.service
is "$(attempts):$(lab)" 1:2 "the unit started again is the same boot"
# as after a soft-reboot, which leaves /run: another process 1
mark=$(jq '."process-1-us" -= 1' /run/bsi/begun.json)
echo "$mark" >/run/bsi/begun.json
mount --bind /var/lib/bsi /var/lib/bsi
mount -o remount,bind,ro /var/lib/bsi
systemctl restart bsi-boot.service
like "$(bsi status)" "\(a\): not attached since boot: .*Read-only file system" "with another process 1 nothing of the boot before holds"
umount /var/lib/bsi
systemctl restart bsi-boot.service
is "$(attempts):$(lab)" 2:2 "and it is another boot"
systemctl start default.target
for ((i = 0; i < 200; i++)); do [[ -e /var/lib/bsi/boot ]] || break; sleep 0.1; done
isnt "$(completes)" 0 "with the default target, whichever it is, the unit comes"
is "$(test -e /var/lib/bsi/boot; echo $?)" 1 "and the boot is complete"
is "$(($(systemctl show -P ActiveEnterTimestampMonotonic kiosk.target) <= $(completes)))" 1 "not before it"
complete_ended
systemctl stop bsi-boot.service
rm -rf /run/bsi
systemctl start basic.target bsi-boot.service
complete_ended
is "$(test -e /var/lib/bsi/boot; echo $?):$(lab)" 1:2 "a boot unit that is started in a system that is up is no boot"
name=$(grep -o '/run/bsi/image/[^ ]*liblab1-[0-9a-f]*' /proc/self/mountinfo | head -n 1)
echo "idle ${name##*/}" >/run/bsi/activation
systemctl daemon-reexec
systemctl stop bsi-boot.service
is "$(lab)" 2 "stopped, it leaves what its programs would not bear"
systemctl start bsi-boot.service
systemctl start shutdown.target
is "$(systemctl is-system-running)" stopping "when the system goes down"
until [[ $(systemctl show -P ActiveState bsi-boot.service) != deactivating ]]; do sleep 0.02; done
is "$(systemctl show -P ActiveState bsi-boot.service):$(lab)" inactive:1 "everything goes"
# or the end would wait for it
systemctl kill --signal=KILL box.scope
finish
