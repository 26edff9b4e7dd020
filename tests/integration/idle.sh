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
# a third version, so that there is something to exchange to
cp -a "$tap_dir/made/new" "$tap_dir/made/third"
mkdir "$tap_dir/unpacked"
dpkg-deb -R "$tap_dir"/made/new/*.deb "$tap_dir/unpacked"
printf 'int lab_version(void);\nint lab_version(void) { return 3; }\n' |
	cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$tap_dir/unpacked/usr/lib/lab/liblab.so.1" -x c -
sed -i 's/^Version: .*/Version: 1.0-3/' "$tap_dir/unpacked/DEBIAN/control"
(cd "$tap_dir/unpacked" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
rm "$tap_dir"/made/third/*.deb
dpkg-deb --root-owner-group -b "$tap_dir/unpacked" "$tap_dir/made/third/liblab1.deb" >/dev/null

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
run dpkg -i "$old_deb"
is "$run_status:$(mounted):$(lab)" 0:1:2 "when nobody uses it, plain dpkg replaces it, and it is improved again" || diag "$run_out$run_err"
run bsi detach
is "$run_status:$(mounted)" 0:0 "and detach takes it off"
finish
