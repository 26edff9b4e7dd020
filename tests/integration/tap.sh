# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# TAP for integration tests in bash. Source it, call the functions below, end with finish.
# The plan is printed last, so no test counts itself; a script that dies before finish fails.
#
#   ok NAME                     passed            not_ok NAME [WHY]        failed
#   is GOT WANT NAME            equal texts       isnt GOT OTHER NAME      different texts
#   like GOT REGEX NAME         =~ (ERE)          unlike GOT REGEX NAME
#   pass NAME COMMAND...        status 0          fail NAME COMMAND...     any other status
#   skip NAME WHY               not possible here skip_all WHY             and nothing else is run
#   diag TEXT                   a remark in the log
#   run COMMAND...              sets $run_status, $run_out and $run_err (final newlines dropped)
#   at_exit COMMAND             run (eval) when the script ends, however it ends; last one first
#   finish                      prints the plan and exits: 0 if everything passed
#
# $tap_dir is a scratch directory, removed at the end. `set -e` is not needed and not wanted here.

set -u

tap_count=0
tap_failed=0
tap_finished=
tap_cleanups=()
tap_dir=$(mktemp -d "${TMPDIR:-/tmp}/bsi-test.XXXXXX") || exit 99

tap_end() {
	local status=$? i

	trap - EXIT
	for ((i = ${#tap_cleanups[@]} - 1; i >= 0; i--)); do
		eval "${tap_cleanups[i]}"
	done
	rm -rf -- "$tap_dir"
	if [[ -z $tap_finished ]]; then
		echo "Bail out! ended with status $status before finish"
		((status)) || status=99
	fi
	exit "$status"
}
trap tap_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

at_exit() {
	tap_cleanups+=("$1")
}

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# '#' would start a directive, and a name is one line.
tap_name() {
	local name=${1//$'\n'/ }
	printf '%s' "${name//#/}"
}

ok() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s\n' "$tap_count" "$(tap_name "$1")"
}

not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' "$tap_count" "$(tap_name "$1")"
	[[ $# -lt 2 ]] || diag "$2"
	return 1 # so that `|| diag` after a check says more
}

is() {
	if [[ $1 == "$2" ]]; then ok "$3"; else not_ok "$3" "got:    $1"$'\n'"wanted: $2"; fi
}

isnt() {
	if [[ $1 != "$2" ]]; then ok "$3"; else not_ok "$3" "got what was not wanted: $1"; fi
}

like() {
	if [[ $1 =~ $2 ]]; then ok "$3"; else not_ok "$3" "got:         $1"$'\n'"not matched: $2"; fi
}

unlike() {
	if [[ ! $1 =~ $2 ]]; then ok "$3"; else not_ok "$3" "got:     $1"$'\n'"matched: $2"; fi
}

# shellcheck disable=SC2034  # for the scripts
run() {
	run_status=0
	"$@" >"$tap_dir/.run.out" 2>"$tap_dir/.run.err" </dev/null || run_status=$?
	run_out=$(<"$tap_dir/.run.out")
	run_err=$(<"$tap_dir/.run.err")
}

pass() {
	local name=$1 status=0 log
	shift
	log=$("$@" 2>&1 </dev/null) || status=$?
	if ((status == 0)); then ok "$name"; else not_ok "$name" "status $status: $*"$'\n'"$log"; fi
}

fail() {
	local name=$1 status=0 log
	shift
	log=$("$@" 2>&1 </dev/null) || status=$?
	if ((status != 0)); then ok "$name"; else not_ok "$name" "succeeded: $*"$'\n'"$log"; fi
}

skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$(tap_name "$1")" "$(tap_name "$2")"
}

skip_all() {
	tap_finished=yes
	printf '1..0 # SKIP %s\n' "$(tap_name "$1")"
	exit 0
}

finish() {
	tap_finished=yes
	((tap_count)) || not_ok "at least one test was run"
	echo "1..$tap_count"
	exit $((tap_failed != 0))
}
