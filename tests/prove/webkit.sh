#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A browser engine under a real browser. Published as `live`, a change breaks the browser that runs:
# old and new processes of it do not understand each other. Published as `idle`, the device waits
# for the browser to be closed, both ways, and nothing breaks.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
. "$BSI_TESTS/../demo/browser.sh" || exit 99

work=$BSI_BUILD/webkit
if [[ -z ${DEVICE_LAB:-} && $(id -u) == 0 && ! -e $work/versions ]]; then
	diag "this loads about 250 MB once, into $work"
	why=$("$BSI_TESTS/../demo/webkit-tree" "$work" 2>&1)
	case $? in
	0) ;;
	3) skip_all "${why##*$'\n'}" ;;
	*) diag "$why"; exit 1 ;;
	esac
fi
device_in_lab "$0"

read -r old new <"$work/versions"
diag "WebKitGTK $old -> $new"
web=$tap_dir/web
repo=$web/repo
mkdir -p "$web"
cp "$BSI_TESTS/../demo/engine.html" "$web/"
lab_tree "$tap_dir/device" "$work/tree" "$BSI_STAGE" || exit 1
at_exit 'kill $lab_tree_pid'
# shellcheck disable=SC2016 # expanded there
base=$(lab_in_tree sh -c '. /etc/os-release && echo "$ID:$VERSION_ID:$(dpkg --print-architecture)"')
bsi-publish init "$repo" --base "$base" --keys "$keys" --no-passphrase >/dev/null
lab_nginx "$tap_dir/nginx" "$web" || exit 1
at_exit 'lab_nginx_stop "$tap_dir/nginx"'
page=http://127.0.0.1:$lab_port/engine.html
browser_screen || exit 1
# shellcheck disable=SC2034 # for browser.sh
browser_patience=20

bsi() { lab_in_tree bsi "$@"; }
# without deltas: what is looked at here does not depend on how the image came
add() { publish add --no-deltas --from "$work/old" --to "$work/new" --component 'webkit=lib*' "$@"; }
tab_shows() { browser_tab && browser_open "$page" && [[ $(browser_ask 'typeof window.answers') == '"object"' ]]; }
mounted() { grep -c ' - erofs /run/bsi/' "/proc/$lab_tree_pid/mountinfo"; }
reason() { device_status '.components[] | select(.name == "webkit") | .reason'; }
# browser_is old|new WHAT: a browser that starts now is whole, and that one
browser_is() {
	local version=$old packaged=$packaged_old

	[[ $1 == old ]] || version=$new packaged=$packaged_new
	browser_start || { not_ok "$2: a browser starts"; return; }
	browser_look "$page" || { not_ok "$2: it shows webkit://gpu and the page"; return; }
	browser_agree is "$version" "$packaged" "$2"
	pass "$2: a new tab shows the page" tab_shows
}
answers_are_news() {
	pass "$1: the page shows what only the new engine can do" browser_news "$old" "$new" "$answers_old" "$browser_answers"
}
ui() { browser_processes | awk '$2 == "MiniBrowser" { print $1 }'; }
lab_listing "$lab_tree_root/usr" >"$tap_dir/before"

# What the checks below stand on.
packaged_old=$(browser_packaged "$work/old" "$tap_dir")
packaged_new=$(browser_packaged "$work/new" "$tap_dir")
is "$(grep -cE '^[^ ]+ [0-9a-f]{40}$' <<<"$packaged_old")" 5 "two libraries and three programs with build-ids, in the old packages"
is "$(cut -d ' ' -f 1 <<<"$packaged_new")" "$(cut -d ' ' -f 1 <<<"$packaged_old")" "and in the new ones"
is "$(join <(echo "$packaged_old") <(echo "$packaged_new") | awk '/^lib/ && $2 == $3')" "" "no library is the same in both"
fail "different series and the same answers: that is an error" browser_news 2.52.6-1 2.54.3-1 '{"a":false}' '{"a":false}'
is "$(browser_news 2.52.6-1 2.54.3-1 '{"a":false,"b":true}' '{"a":true,"b":true}')" a "different answers: no error"
fail "what only the old one can do is no news" browser_news 2.52.6-1 2.54.3-1 '{"a":true}' '{"a":false}'
pass "one series and the same answers: no error" browser_news 2.54.3-1~deb13u1 2.54.4-1~deb13u1 '{"a":true}' '{"a":true}'

browser_is old "the base"
answers_old=$browser_answers

# Without the gate.
pass "published as live" add --activation webkit=live
cp "$repo/metadata/1.root.json" "$lab_tree_root/run/root.json"
bsi enroll "http://127.0.0.1:$lab_port/repo" --root /run/root.json >/dev/null
ui=$(ui)
run bsi run
is "$(mounted)" 4 "it is attached under the browser"
is "$(device_status .state)" exposed "the status: processes run what was replaced"
fail "and the browser breaks: a new tab does not show the page" tab_shows
is "$(ui)" "$ui" "its main process is still the old one"
pass "closing it helps" browser_close
browser_is new "after the relaunch"
answers_are_news "after the relaunch"
bsi remove >/dev/null
is "$(mounted)" 0 "taken off under the browser"
fail "it breaks again, the other way round" tab_shows
isnt "$(ui)" "" "and is still there"
pass "closing it helps, again" browser_close

# With it, and with a browser that keeps its pages in a sandbox: a mount namespace of their own.
# shellcheck disable=SC2034 # for browser.sh
browser_environment=(WEBKIT_FORCE_SANDBOX=1)
browser_is old "the base again"
is "$browser_answers" "$answers_old" "the page says what it said at first"
pass "published as idle" add --activation webkit=idle
ui=$(ui)
run bsi run
is "$run_status" 0 "while a browser runs, run is no failure"
is "$(mounted)" 0 "and nothing is attached"
is "$(device_status .state)" held "the status: held"
like "$(reason)" "relaunch wanted: .*MiniBrowser \($ui\)" "it names the browser"
page_process=$(reason | grep -oE 'WebKitWebProces \([0-9]+' | head -n 1 | grep -oE '[0-9]+')
isnt "$(readlink "/proc/$page_process/ns/mnt")" "" "and a process of its pages"
isnt "$(readlink "/proc/$page_process/ns/mnt")" "$(readlink "/proc/$ui/ns/mnt")" "which is in a sandbox"
pass "the browser goes on: a new tab shows the page" tab_shows
bsi run >/dev/null
is "$(mounted)" 0 "a second look changes nothing"
pass "the browser is closed" browser_close
bsi run >/dev/null
is "$(mounted)" 4 "then it is attached"
is "$(device_status .state)" protected "the status: protected"
browser_is new "attached"
answers_are_news "attached"
ui=$(ui)
publish withdraw b --action remove --reason bad >/dev/null
publish withdraw a --action remove --reason bad >/dev/null
bsi run >/dev/null
is "$(mounted)" 4 "a withdrawal waits, too"
is "$(device_status .state)" held "and says so"
like "$(reason)" "relaunch wanted: .*MiniBrowser \($ui\)" "and names the browser"
pass "which goes on" tab_shows
pass "until it is closed" browser_close
bsi run >/dev/null
is "$(mounted)" 0 "then the base is back"
browser_is old "back"
is "$browser_answers" "$answers_old" "the page says what it said at first"
browser_close
lab_listing "$lab_tree_root/usr" >"$tap_dir/after"
pass "names, modes, owners, inodes, sizes and times below /usr are as before" \
	cmp "$tap_dir/before" "$tap_dir/after"
finish
