#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bsi.service leaves to the engine is enough for it: the capabilities, priorities and system
# calls of the unit, without systemd.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

unit=$(find "$BSI_STAGE" -name bsi.service)
[[ -f $unit ]] || { not_ok "bsi.service is installed"; finish; }
value() { sed -n "s/^$1=//p" "$unit"; }
bounding=-all
for capability in $(value CapabilityBoundingSet); do
	capability=${capability#CAP_}
	bounding+=,+${capability,,}
done
like "$bounding" sys_admin "the unit names capabilities"
is "$(value NoNewPrivileges) $(value CPUSchedulingPolicy) $(value IOSchedulingClass)" "yes idle idle" "and what is set here by hand"

# confined NAME COMMAND...: as the unit would run it; what it calls goes to NAME.trace
confined() {
	local name=$1
	shift
	strace -f -qq -o "$tap_dir/$name.trace" setpriv --no-new-privs --inh-caps=-all --bounding-set="$bounding" \
		chrt --idle 0 ionice -c 3 "$@"
}

mkdir -p "$packages"
cp "$(command -v sleep)" "$tap_dir/sleep.new"
printf x >>"$tap_dir/sleep.new"
device_package nap 1.0-1 "usr/bin/nap=@$(command -v sleep)" usr/lib/nap.txt=old
device_package nap 1.0-2 "usr/bin/nap=@$tap_dir/sleep.new" usr/lib/nap.txt=new
chmod 0755 "$packages"
lab_base "$packages/nap_1.0-1.deb"
chmod 0755 /usr/bin/nap
setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/nap 600 &
at_exit "kill $! 2>/dev/null"

device_repository
publish add --from "$packages/nap_1.0-1.deb" --to "$packages/nap_1.0-2.deb" --cve-named >/dev/null 2>&1
lab_nginx "$tap_dir/web" "$repo"
at_exit "lab_nginx_stop '$tap_dir/web'"
bsi enroll "http://127.0.0.1:$lab_port" --root "$repo/metadata/1.root.json" >/dev/null

run confined install bsi run --json
is "$run_status" 0 "it installs under the unit's limits"
[[ $run_status == 0 ]] || diag "$run_err"
is "$(jq -r .action <<<"$run_out")" installed "and says so"
is "$(cat /usr/lib/nap.txt)" new "the patched file is there for everybody"
is "$(jq -r '"\(.status.exposure.exposed) \(.status.exposure.unknown)"' <<<"$run_out")" "1 0" \
	"another user's process with old code is found, and none is out of reach"
run confined quiet bsi run
is "$run_status $run_out$run_err" "0 " "a second run has nothing to say"

publish withdraw a --action remove --reason "for the test" >/dev/null
run confined remove bsi run
is "$run_status $(cat /usr/lib/nap.txt)" "0 old" "it obeys a withdrawal"

publish add --from "$packages/nap_1.0-1.deb" --to "$packages/nap_1.0-2.deb" >/dev/null 2>&1
run confined loop bsi run --loop
is "$run_status $(cat /usr/lib/nap.txt)" "0 new" "loop devices are within its limits too"
[[ $run_status == 0 ]] || diag "$run_err"
bsi remove >/dev/null

# systemd's sets name other sets; each line of a set is a call or a set
calls_of() {
	local line

	systemd-analyze syscall-filter "$1" | sed -n 's/^ *\([@a-z0-9_-]*\)$/\1/p' | while read -r line; do
		case $line in
		"$1") ;;
		@*) calls_of "$line" ;;
		*) echo "$line" ;;
		esac
	done
}
if command -v systemd-analyze >/dev/null; then
	for set in $(value SystemCallFilter); do
		case $set in
		@*) calls_of "$set" ;;
		*) echo "$set" ;;
		esac
	done | sort -u >"$tap_dir/allowed"
	sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$tap_dir"/*.trace | sort -u >"$tap_dir/used"
	like "$(wc -l <"$tap_dir/used") $(wc -l <"$tap_dir/allowed")" "^[0-9]{2,3} [0-9]{3}$" "calls were counted"
	is "$(comm -23 "$tap_dir/used" "$tap_dir/allowed" | tr '\n' ' ')" "" "the unit allows every system call that was used"
else
	skip "the unit allows every system call that was used" "systemd-analyze is not here"
fi
# a worker asks for two more, and goes on where they are refused (confine.h)
is "$(grep -hoE '(unshare|clone|clone3|setns)\(.*CLONE_NEW[A-Z]+' "$tap_dir"/*.trace |
	grep -vE '^unshare\(CLONE_NEW(IPC|NET)$' | grep -oE 'CLONE_NEW[A-Z]+' | sort -u | tr '\n' ' ')" \
	"CLONE_NEWNS " "mount namespaces are the only ones it makes or enters"
families=$(grep -hoE 'socket\(AF_[A-Z0-9]+' "$tap_dir"/*.trace | sort -u | sed 's/socket(//')
for family in $families; do
	like " $(value RestrictAddressFamilies) " " $family " "sockets of $family are allowed"
done
finish
