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
#   browser_processes          one line for each: process id, name, build-id of the library mapped, or
#                              "unknown": it is not yet there, or its mount is detached
#   browser_build_id FILE      of an ELF file
#
# What engine it is, asked of everyone who knows:
#
#   browser_look URL           webkit://gpu, then the page, whose answers are in window.answers; sets
#                              $browser_gpu (a version), $browser_answers (JSON) and $browser_mapped
#   browser_packaged DIR TMP   what $browser_mapped is with the engine of the packages in DIR: one line
#                              for each library and program, name and build-id. TMP: where to unpack
#   browser_agree CHECK VERSION PACKAGED WHAT   after browser_look: the driver and webkit://gpu say the
#                              version of the packages, and what runs is what they hold. CHECK is called
#                              with what is, what should be, and a text
#   browser_news OLD NEW OLD-ANSWERS NEW-ANSWERS   what only the new one can do, one line each; fails where
#                              there is nothing although the versions are of different series
#   browser_series VERSION     2.54 of 2.54.3-1~deb13u1: what a plain security update does not change

browser_environment=() # VARIABLE=VALUE... for the browser
browser_libraries='lib(webkit2gtk|javascriptcoregtk)-4\.1\.so'
browser_programs='MiniBrowser|WebKitNetworkProcess|WebKitWebProcess'
browser_names='MiniBrowser|WebKitNetworkPr|WebKitWebProces' # as the kernel keeps them: 15 characters

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

# By their programs: of a library whose mount is detached, maps have no name.
browser_pids() {
	grep -lxE "$browser_names" /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3
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
	local pid range id

	for pid in $(browser_pids); do
		range=$(awk '/libwebkit2gtk-4\.1\.so/ { print $1; exit }' "/proc/$pid/maps") || continue
		id=unknown
		[[ -z $range ]] || id=$(browser_build_id "/proc/$pid/map_files/$range")
		printf '%s %s %s\n' "$pid" "$(<"/proc/$pid/comm")" "$id"
	done
}

# browser_files PID: name and build-id of its program and of the engine's libraries in it. What is
# detached has no name, so it is never what the packages hold.
browser_files() {
	local range path

	printf '%s %s\n' "$(<"/proc/$1/comm")" "$(browser_build_id "/proc/$1/exe")"
	while read -r range path; do
		path=${path##*/}
		printf '%s %s\n' "${path%.so.*}" "$(browser_build_id "/proc/$1/map_files/$range")"
	done < <(awk -v libraries="${browser_libraries//\\/\\\\}" '$2 ~ /x/ && ($6 ~ libraries || $6 == "/") { print $1, $6 }' "/proc/$1/maps")
}

browser_mapped() {
	local pid files

	for pid in $(browser_pids); do
		files=$(browser_files "$pid" 2>/dev/null)
		# one that ended meanwhile says nothing
		[[ ! -e /proc/$pid/exe ]] || echo "$files"
	done | LC_ALL=C sort -u
}

browser_look() {
	browser_open webkit://gpu || return 1
	browser_gpu=$(browser_ask document.body.innerText | jq -r . | sed -n 's/.*WebKitGTK \([0-9.]*\).*/\1/p' | sort -u)
	browser_open "$1" || return 1
	# shellcheck disable=SC2034 # for the scripts
	browser_answers=$(browser_ask window.answers) || return 1
	browser_mapped=$(browser_mapped)
}

browser_packaged() {
	local tree deb file name

	tree=$(mktemp -d -p "$2") || return 1
	for deb in "$1"/*.deb; do
		dpkg-deb -x "$deb" "$tree" || return 1
	done
	find "$tree" -type f -regextype posix-extended -regex ".*/($browser_libraries\\.[0-9.]*|$browser_programs)" |
		while read -r file; do
			name=${file##*/}
			case $name in lib*) name=${name%.so.*} ;; *) name=${name:0:15} ;; esac
			printf '%s %s\n' "$name" "$(browser_build_id "$file")"
		done | LC_ALL=C sort -u
	rm -rf "$tree"
}

browser_agree() {
	local check=$1 version=${2#*:} packaged=$3 what=$4

	version=${version%%-*}
	"$check" "$browser_version" "$version" "$what: WebDriver says the version of the packages, $version"
	"$check" "$browser_gpu" "$version" "$what: webkit://gpu says the same"
	"$check" "$browser_mapped" "$packaged" "$what: the build-ids of all that runs are those of the files in the packages"
}

browser_series() {
	sed -E 's/^[0-9]+://; s/^([0-9]+\.[0-9]+).*/\1/' <<<"$1"
}

browser_news() {
	local news

	news=$(jq -rn --argjson a "$3" --argjson b "$4" '$b | to_entries[] | select(.value and ($a[.key] | not)) | .key') || return 1
	if [[ -n $news ]]; then
		echo "$news"
	elif [[ $(browser_series "$1") != "$(browser_series "$2")" ]]; then
		echo "The page answers the same with $1 and $2: what is new in $2 is missing among its questions." >&2
		return 1
	fi
}
