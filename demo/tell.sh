# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # $work comes from the script
#
# How the demos tell what they do: numbered steps, and commands with what they print.

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
number=0
step() {
	number=$((number + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$plain"
}
say() { printf '   %s\n' "$*"; }
# show COMMAND...: the command line, what it prints, and how long it took; $output has it too
show() {
	local start end status=0 line=${*//$work\/lab\//}

	printf '   %s$ %s%s\n' "$bold" "${line#lab_in_tree }" "$plain"
	start=$(date +%s%N)
	output=$("$@" 2>&1) || status=$?
	end=$(date +%s%N)
	[[ -z $output ]] || printf '     %s\n' "${output//$'\n'/$'\n     '}"
	printf '     (%d.%03d s)\n' $(((end - start) / 1000000000)) $(((end - start) / 1000000 % 1000))
	return $status
}
# expect GOT WANT TEXT: a demo that shows something else ends here
expect() {
	if [[ $1 == "$2" ]]; then
		say "$3"
	else
		printf 'Not so: %s\n  got:    %s\n  wanted: %s\n' "$3" "$1" "$2" >&2
		exit 1
	fi
}
