# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # lab_* come from lab.sh
#
# A real browser (MiniBrowser of WebKitGTK) on a screen that nobody sees, in a tree of lab_tree,
# driven through WebDriver. Source it after lab.sh.
#
#   browser_screen             a screen; at the end it goes with the laboratory
#   browser_start              a browser; sets $browser_version, as WebDriver says it
#   browser_open URL           the page is loaded when this returns; fails if it is not
#   browser_tab                a new tab, and to it
#   browser_ask EXPRESSION     what JavaScript says, as JSON
#   browser_picture FILE.png   the screen, once the page's banner is drawn on it
#   browser_close              ends the browser, also a broken one, and waits until all its processes
#                              are gone
#   browser_processes          one line for each: process id, name, build-id of the library mapped
#   browser_build_id FILE      of an ELF file

browser_environment=() # VARIABLE=VALUE... for the browser
browser_libraries='lib(webkit2gtk|javascriptcoregtk)-4\.1\.so'

browser_screen() {
	mkdir -p "$lab_tree_root/run/screen"
	lab_in_tree sh -c 'exec Xvfb -displayfd 3 -screen 0 1024x380x24 -nolisten tcp -fbdir /run/screen 3>/run/screen/number' \
		>/dev/null 2>&1 &
	until [[ -s $lab_tree_root/run/screen/number ]]; do
		kill -0 $! 2>/dev/null || return 1
		sleep 0.05
	done
	browser_display=:$(<"$lab_tree_root/run/screen/number")
}

# browser_call METHOD PATH [JSON]: the value that the driver answers with
browser_call() {
	local answer

	answer=$(curl -sS --max-time "${browser_patience:-30}" -X "$1" "http://127.0.0.1:$browser_port$2" \
		${3:+-H "Content-Type: application/json" -d "$3"} 2>&1) || { echo "$answer" >&2; return 1; }
	jq -e '.value | (type == "object" and has("error")) | not' >/dev/null 2>&1 <<<"$answer" ||
		{ echo "$answer" >&2; return 1; }
	jq -c .value <<<"$answer"
}

browser_start() {
	local session

	read -r browser_port _ < <(lab_ports)
	lab_in_tree env DISPLAY="$browser_display" HOME=/root "${browser_environment[@]}" WebKitWebDriver --port="$browser_port" >/dev/null 2>"${browser_log:-/dev/null}" &
	browser_driver=$!
	until curl -s -o "${browser_log:-/dev/null}" "http://127.0.0.1:$browser_port/status"; do
		kill -0 $browser_driver 2>/dev/null || return 1
		sleep 0.05
	done
	session=$(browser_call POST /session '{"capabilities":{"alwaysMatch":{}}}') || return 1
	browser_session=/session/$(jq -r .sessionId <<<"$session")
	# shellcheck disable=SC2034 # for the scripts
	browser_version=$(jq -r .capabilities.browserVersion <<<"$session")
}

browser_open() {
	browser_call POST "$browser_session/url" "$(jq -n --arg url "$1" '{$url}')" >/dev/null
}

browser_tab() {
	local tab

	tab=$(browser_call POST "$browser_session/window/new" '{"type":"tab"}') || return 1
	browser_call POST "$browser_session/window" "$(jq '{handle}' <<<"$tab")" >/dev/null
}

browser_ask() {
	browser_call POST "$browser_session/execute/sync" \
		"$(jq -n --arg script "return $1" '{$script, args: []}')"
}

browser_picture() {
	local i

	for ((i = 0; i < 50; i++)); do
		python3 "$(dirname "${BASH_SOURCE[0]}")/picture" "$lab_tree_root/run/screen/Xvfb_screen0" "$1" 10 100 && return 0
		sleep 0.2
	done
	return 1
}

browser_pids() {
	grep -lE "$browser_libraries" /proc/[0-9]*/maps 2>/dev/null | cut -d/ -f3
}

browser_close() {
	local pid i

	browser_patience=5 browser_call DELETE "$browser_session" >/dev/null 2>&1 || true
	kill "$browser_driver" 2>/dev/null || true
	wait "$browser_driver" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		[[ -n $(browser_pids) ]] || return 0
		# who cannot be asked to go any more; the laboratory has only our own processes
		if ((i == 20)); then
			for pid in $(browser_pids); do kill "$pid" 2>/dev/null || true; done
		fi
		sleep 0.1
	done
	return 1
}

browser_build_id() {
	readelf -n "$1" 2>/dev/null | awk '/Build ID:/ { print $3; exit }'
}

# The inode that is mapped, not the file that has its name now.
browser_processes() {
	local pid range

	for pid in $(browser_pids); do
		range=$(awk '/libwebkit2gtk-4\.1\.so/ { print $1; exit }' "/proc/$pid/maps") || continue
		[[ -n $range ]] || continue
		printf '%s %s %s\n' "$pid" "$(<"/proc/$pid/comm")" "$(browser_build_id "/proc/$pid/map_files/$range")"
	done
}
