#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A component whose programs do not bear a change under them (`idle`): it comes, is exchanged and
# goes only while no process maps it; until then the device says which programs to close.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

lab_pair_made "$tap_dir/made" || skip_all "no compiler"
lab_base "$tap_dir"/made/old/*.deb
device_repository
# later versions, so that there is something to exchange to
make_version() { # NAME NUMBER: in made/NAME
	local tree=$tap_dir/unpacked

	mkdir -p "$tap_dir/made/$1"
	rm -rf "$tree"
	dpkg-deb -R "$tap_dir"/made/new/*.deb "$tree"
	printf 'int lab_version(void);\nint lab_version(void) { return %d; }\n' "$2" |
		cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tree/usr/lib/lab/liblab.so.1" -x c -
	sed -i "s/^Version: .*/Version: 1.0-$2/" "$tree/DEBIAN/control"
	(cd "$tree" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -b "$tree" "$tap_dir/made/$1/liblab1.deb" >/dev/null
}
make_version third 3
make_version fourth 4
make_version fifth 5
make_version sixth 6

add() { publish add --from "$tap_dir/made/old" --to "$tap_dir/made/$1" --activation liblab1=idle; }
mounted() { grep -c ' /usr/lib/lab/' /proc/self/mountinfo; }
reason() { device_status '.components[] | select(.name == "liblab1") | .reason'; }
start() { lab stay >/dev/null & user=$!; until grep -q liblab "/proc/$user/maps" 2>/dev/null; do sleep 0.02; done; }
stop() { kill "$user"; wait "$user" 2>/dev/null; }
at_exit 'kill $user 2>/dev/null'

pass "published as idle" add new
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
start
run bsi run
is "$run_status" 0 "while a program uses it, run is no failure"
is "$(mounted)" 0 "and nothing is attached"
is "$(device_status .state)" held "the status: held"
like "$run_out" "^held \(a\): liblab1: relaunch wanted: it is used by lab \($user\); due 20" "run says that it is held, and by whom"
unlike "$run_out" "installed|attached:|0 attached" "and does not call it installed"
due=$(device_status '.components[0].due')
is "$(($(date -d "$due" +%s) - $(date +%s) > 6 * 86400))" 1 "by when: $due"
is "$(bsi check --json | jq -r '"\(.action) \(.id)"')" "hold relaunch-wanted" "the decision says it too"
like "$(bsi check)" "liblab1 waits for its programs to be closed, or for the next boot; due $due" "in words"
is "$(bsi plan --json | jq -r '"\(.action) \(.components[0].due) \(.list[0].pid)"')" "hold $due $user" "and so does the plan"
like "$(bsi plan)" "due $due" "in words"
like "$(reason)" "relaunch wanted: it is used by lab \($user\)" "it names the program to close"
unlike "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status --json)" "\($user\)" "not to everybody"
run bsi run
is "$(mounted)" 0 "a second look changes nothing"
is "$run_out" "" "and says nothing again"
fail "the deadline is a number of days" bsi config idle-deadline soon
fail "and not a thousand" bsi config idle-deadline 1000
bsi config idle-deadline 0 >/dev/null
is "$(bsi config --json | jq -c '."idle-deadline"')" 0 "the owner sets it"
run bsi run
is "$run_status" 0 "past the deadline, run"
like "$run_out" "^held \(a\): liblab1: .*used by lab \($user\); overdue since 20" "says it again"
run bsi run --json
is "$(jq -r .action <<<"$run_out")" held "each time"
like "$(bsi status | head -n 1)" "overdue since" "and the status does"
is "$(mounted)" 0 "nothing is done by force"
bsi config idle-deadline 7 >/dev/null
stop
run bsi run
is "$run_status" 0 "when it is closed, run attaches"
is "$(mounted)" 1 "the library is patched"
is "$(lab)" 2 "and runs"
is "$(device_status .state)" protected "the status: protected"
is "$(device_status .check.id)" up-to-date "and the last check says no more that something waits"

add third >/dev/null 2>&1
start
bsi run >/dev/null
is "$(lab)" 2 "an exchange waits for the program"
like "$(reason)" "used by lab" "and names it"
stop
bsi run >/dev/null
is "$(lab)" 3 "then it happens"

publish withdraw b --action remove --reason bad >/dev/null
publish withdraw a --action remove --reason bad >/dev/null
start
run bsi run
is "$(lab)" 3 "a withdrawal waits too"
like "$run_out" "^held .*liblab1: relaunch wanted: it is used by lab \($user\); due 20" "run names the program"
is "$(device_status .state)" held "and says so"
like "$(bsi status)" "going back to the base" "in words"
bsi run >/dev/null
is "$(lab)" 3 "also at the second look"
stop
bsi run >/dev/null
is "$(lab)" 1 "then the base is back"
is "$(mounted)" 0 "and nothing attached"

# dpkg with its hooks, as the package sets them up, and the owner's own order
device_hooks
mkdir -p "$packages"
device_package lab-other 1.0-1 usr/share/lab-other=1
publish add --from "$tap_dir/made/old" --to "$tap_dir/made/new" --activation liblab1=idle >/dev/null 2>&1
bsi run >/dev/null
is "$(mounted):$(lab)" 1:2 "attached once more"
old_deb=$(echo "$tap_dir"/made/old/*.deb)
start
run dpkg -i "$packages/lab-other_1.0-1.deb"
is "$run_status:$(mounted)" 0:1 "plain dpkg installs another package, and the library stays" || diag "$run_out$run_err"
unlike "$run_err" held "with nothing to say"
is "$(device_status .state)" protected "and nobody runs old code"
run dpkg -i "$old_deb"
isnt "$run_status" 0 "a package with a file of it is not begun"
is "$(mounted):$(dpkg-query -W -f '${Status}' liblab1)" "1:install ok installed" "nothing was touched"
like "$run_err" "before dpkg: liblab1 is held: it is used by lab \($user\): close them, or .*bsi base --follow -- dpkg" "the program is named, and the two ways"
fail "and no mark is left" test -e /run/bsi/package-work
run dpkg --remove liblab1
is "${run_status/#0/done}:$(mounted)" 2:1 "nor is its removal"
mkdir "$tap_dir/folder"
cp "$packages/lab-other_1.0-1.deb" "$tap_dir/folder/"
run dpkg -i -R "$tap_dir/folder"
is "$run_status:$(mounted)" 2:1 "nor what names no package"
run dpkg --configure -a
is "$run_status:$(mounted)" 0:1 "what replaces no file is done"
run bsi detach
is "$run_status:$(mounted)" 10:1 "detach leaves it"
like "$run_err" "liblab1 is held: it is used by lab \($user\): close them, or insist with 'bsi detach --force'" "and says why"
run bsi base --follow --lenient -- dpkg -i "$old_deb"
is "$run_status:$(lab)" 0:1 "as apt does it, the base's file is replaced under the program" || diag "$run_out$run_err"
is "$(bsi exposure --json | jq -r '[.list[].pid] | join(" ")')" "$user" "which is named as exposed"
like "$(reason)" "used by lab \\($user\\)" "and waited for, though what it maps lies nowhere any more"
stop
bsi attach >/dev/null
is "$(mounted)" 1 "it is attached again"
start
run bsi detach --force
is "$run_status:$(mounted)" 0:0 "and off if the owner insists"
stop
bsi attach >/dev/null
start
run sh "$BSI_TESTS/../debian/bsi.prerm" remove
is "$run_status:$(mounted)" 0:0 "the removal of the package takes it off too"
like "$run_err" "liblab1 is held: it is used by lab \($user\)" "and names who used it"
stop
bsi attach >/dev/null
run dpkg -i "$old_deb"
is "$run_status:$(mounted):$(lab)" 0:1:2 "when nobody uses it, plain dpkg replaces it, and it is improved again" || diag "$run_out$run_err"

# what the engine left behind cannot be read: dpkg must not stop half-way at a mount
mv /run/bsi/activation "$tap_dir/activation"
mkdir /run/bsi/activation
run dpkg -i "$old_deb"
is "$run_status:$(dpkg-query -W -f '${Status}' liblab1)" "0:install ok installed" "where nobody can say what is held, dpkg works" || diag "$run_out$run_err"
like "$run_err" "before dpkg: who uses what is attached cannot be seen" "and it is said"
rmdir /run/bsi/activation
run bsi attach --wait
is "$run_status:$(mounted):$(lab)" 0:1:2 "and it is improved again when that is mended" || diag "$run_out$run_err"
run bsi detach
is "$run_status:$(mounted)" 0:0 "and detach takes it off"

# at boot, the device's change is made whoever is there: before services, that is nobody
reboot() {
	bsi detach --force
	rm -rf /run/bsi
}
bsi attach >/dev/null
pass "another version" add third
start
bsi run >/dev/null
is "$(mounted):$(device_status .state)" 1:held "another version is held"
reboot
is "$(lab)" 1 "the device goes down, the program does not"
pass "the boot attaches" bsi attach --boot
is "$(lab)" 3 "the version that was held"
is "$(device_status .state) $(bsi exposure --json | jq -r '[.list[].pid] | join(" ")')" "exposed $user" \
	"and whoever ran before is exposed"
bsi boot-complete
bsi detach --force
run bsi attach --boot
is "$run_status:$(mounted)" 0:0 "the unit started again in a system that is up is no boot"
mark=$(jq '."process-1-us" = 5' /run/bsi/begun.json)
echo "$mark" >/run/bsi/begun.json
run bsi attach --boot
is "$run_status:$(mounted)" 0:0 "nor where process 1 does not say whether it is another one"
like "$(reason)" "used by lab \\($user\\)" "it waits for the program"
stop
bsi attach >/dev/null
is "$(lab)" 3 "and then attaches"

# who slips in between the look and the change is found by the scan after it
pass "one more" add fourth
strace -f -qq -o "$tap_dir/strace" -e trace=sched_setscheduler -e inject=sched_setscheduler:signal=STOP:when=1 bsi run >"$tap_dir/slow.out" 2>&1 &
slow=$!
is_stopped() { grep -q 'stopped by SIGSTOP' "$tap_dir/strace" 2>/dev/null; }
until is_stopped || ! kill -0 $slow 2>/dev/null; do sleep 0.02; done
pass "a run is stopped after it looked for programs, before it changes anything" is_stopped
is "$(lab)" 3 "the old version is there"
start
for pid in $(awk '/stopped by SIGSTOP/ { print $1 }' "$tap_dir/strace"); do kill -CONT "$pid"; done
wait $slow
is "$(lab)" 4 "the change is made"
is "$(device_status .state) $(bsi exposure --json | jq -r '[.list[].pid] | join(" ")')" "exposed $user" \
	"and who came meanwhile is exposed"
stop
is "$(device_status .state)" protected "until it ends"

# what changes at boot alone
pass "one for boot" publish add --from "$tap_dir/made/old" --to "$tap_dir/made/fifth" --activation liblab1=boot
run bsi run
is "$run_status:$(lab)" 0:4 "published as boot, it waits although nobody uses it"
like "$(reason)" "held: it changes at the next boot" "and says for what"
run bsi check --json
is "$(jq -r .action <<<"$run_out")" hold "the decision says it too"
run bsi attach
is "$(lab)" 4 "attach is no boot"
reboot
pass "the boot makes the change" bsi attach --boot
is "$(lab):$(device_status .state)" 5:protected "and it is in effect"
bsi boot-complete
pass "one that is live" publish add --from "$tap_dir/made/old" --to "$tap_dir/made/sixth" --activation liblab1=live
bsi run >/dev/null
is "$(lab)" 5 "what lies there as boot is exchanged at boot alone, whatever comes"
run dpkg -i "$packages/lab-other_1.0-1.deb"
is "$run_status:$(lab)" 0:5 "below dpkg it stays"
run dpkg -i "$old_deb"
is "$run_status:$(lab)" 2:5 "which is not begun for a file of it"
like "$run_err" "liblab1 is held: it changes at the next boot; or replace" "with the reason"
run bsi detach
is "$run_status:$(lab)" 10:5 "nor does detach take it off"
run bsi remove
is "$run_status:$(lab)" 0:5 "nor remove"
reboot
pass "the next boot" bsi attach --boot
is "$(lab):$(mounted)" 1:0 "leaves the base"
finish
