#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# From attached to in effect, on a device without systemd: what a change would touch, who runs old
# code after it and what ends that, the owner's programs that are told, and what nobody may pretend.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

lab_pair_made "$tap_dir/made" || skip_all "no compiler"
lab_base "$tap_dir"/made/old/*.deb
device_repository
publish add --from "$tap_dir/made/old" --to "$tap_dir/made/new" --cve-named >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null

started=()
at_exit 'kill "${started[@]}" 2>/dev/null'
start() { # COMMAND...: sets $pid to the process that maps the library in the end
	"$@" >/dev/null 2>&1 &
	started+=($!)
	pid=$!
	until grep -qs liblab "/proc/$pid/maps"; do
		sleep 0.02
		# a command that runs the program below itself
		pid=$(pgrep -n -x lab || echo $!)
	done
}
row() { jq -r --argjson pid "$1" ".list[] | select(.pid == \$pid) | $2"; }
step() { jq -r --argjson pid "$1" ".plan[] | select(.processes | index(\$pid)) | $2"; }

is "$(bsi plan --json | jq -r '"\(.action) \(.letter) \(.list | length)"')" "install a 0" "a plan when nobody uses it"
start lab stay
first=$pid
run bsi plan --json
is "$run_status" 0 "a plan before anything happens"
is "$(row "$first" '"\(.place) \(.unit) \(.end) \(.cves | join(" "))"' <<<"$run_out")" \
	"program null ask CVE-2026-0001" "it names the process, the CVE and what would end it"
is "$(step "$first" '"\(.end) \(.command) \(.components | join(" "))"' <<<"$run_out")" "ask lab liblab1" "and has a step for it"
is "$(jq -r '.components[0] | "\(.name) \(.verdict) \(.activation)"' <<<"$run_out")" "liblab1 match live" "and the component"
is "$(grep -c ' /usr/lib/lab/' /proc/self/mountinfo) $(lab)" "0 1" "and nothing happened"
like "$(bsi plan)" "would run old code until this is done" "in words as well"

bsi install >/dev/null
run bsi exposure --json
is "$(row "$first" '"\(.place) \(.end) \(.components | join(" ")) \(.cves | join(" "))"' <<<"$run_out")" \
	"program ask liblab1 CVE-2026-0001" "after it, the same process is exposed"
since=$(row "$first" .since <<<"$run_out")
off=$(($(date +%s) - $(date -d "$since" +%s)))
pass "since when it runs is about right: $off s" test "$off" -ge 0 -a "$off" -le 60
like "$(bsi exposure)" "to restart by hand" "in words"
unlike "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status --json)" '"(list|plan|unit)"|\blab\b' \
	"an ordinary user is told no process"

# a name, an environment and arguments that ask for a shell
cat >"$tap_dir/evil.c" <<'END'
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
int lab_version(void);
int main(int c, char **v)
{
	prctl(PR_SET_NAME, "$(id>&2)\033[2J");
	for (int i = 0; i < c; i++)
		memset(v[i], ';', strlen(v[i]));
	if (lab_version() > 0)
		pause();
}
END
bsi remove >/dev/null
cc -o "$tap_dir/evil" "$tap_dir/evil.c" /usr/lib/lab/liblab.so.1 -Wl,-rpath,/usr/lib/lab
chmod 755 "$tap_dir"
PYTHONPATH=/tmp/evil PERL5LIB=/tmp/evil RUBYLIB=/tmp/evil LD_PRELOAD= setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$tap_dir/evil" ssh.service </dev/null >/dev/null 2>&1 &
evil=$!
started+=($evil)
until grep -qs liblab "/proc/$evil/maps"; do sleep 0.02; done
bsi install a >/dev/null
run strace -f -qq -e trace=execve,execveat,openat,open,readlink,readlinkat -o "$tap_dir/trace" bsi exposure --json
is "$(row "$evil" '"\(.uid) \(.place) \(.end)"' <<<"$run_out")" "65534 program ask" "a hostile process is named"
unlike "$(row "$evil" .command <<<"$run_out")" $'[\001-\037]' "without its control bytes"
unlike "$(bsi exposure)" $'\033' "on a terminal neither"
is "$(grep -c 'execve.* = 0$' "$tap_dir/trace")" 2 "nothing but bsi and its engine is executed for it"
is "$(grep -v 'execve(' "$tap_dir/trace" | grep -vE '"/proc/(cmdline|self/exe)"' | grep -cE '(environ|cmdline|exe|cwd)"')" 0 \
	"its environment, arguments and program are not even read"

# what is the parent of others
bsi remove >/dev/null
start bash -c 'lab stay & wait'
worker=$pid
unshare --pid --fork --kill-child lab stay >/dev/null 2>&1 &
started+=($!)
until [[ $(pgrep -c -x lab) == 3 ]]; do sleep 0.02; done
contained=$(pgrep -n -x lab)
bsi install a >/dev/null
run bsi exposure --json
is "$(row "$contained" '"\(.place) \(.end)"' <<<"$run_out")" "container ask" "a process in a process namespace of its own is called that"
is "$(row "$worker" .place <<<"$run_out")" program "and one beside it is not"

# the owner's programs
is "$(bsi config --json | jq -r .restart)" ask "nothing is restarted by itself at first"
fail "a word that means nothing is refused" bsi config restart maybe
mkdir -p /etc/bsi/restart.d
cat >/etc/bsi/restart.d/10-lab <<END
#!/bin/bash
jq -r '.list[].pid' >>"$tap_dir/told"
env | sort >"$tap_dir/environment"
readlink /proc/self/ns/mnt >"$tap_dir/namespace"
echo noise
END
printf '#!/bin/sh\ntouch "%s/never"\n' "$tap_dir" | tee /etc/bsi/restart.d/20-open >/etc/bsi/restart.d/30.bak
printf '#!/bin/sh\nexit 3\n' >/etc/bsi/restart.d/40-fails
chmod 755 /etc/bsi/restart.d/*
chmod 757 /etc/bsi/restart.d/20-open
is "$(bsi exposure --json | step "$first" .end)" hook "with programs of the owner's, they are told"
SECRET=1 run bsi install --restart --json
is "$run_status" 0 "install --restart"
is "$(jq -rc '.restarts | map([.hook, .result])' <<<"$run_out")" \
	'[["10-lab","done"],["20-open","failed"],["40-fails","failed"]]' "it tells them, and says what came of it"
like "$(jq -r '.restarts[1].reason' <<<"$run_out")" "others than root may write it" "one that anybody can write is not run"
like "$(jq -r '.restarts[2].reason' <<<"$run_out")" "status 3" "and one that fails is named"
fail "neither it nor a backup was run" test -e "$tap_dir/never"
like "$(cat "$tap_dir/told")" "(^|[[:space:]])$first([[:space:]]|$)" "they are told which processes"
unlike "$(cat "$tap_dir/environment")" "SECRET" "and get nothing of our environment"
is "$(cat "$tap_dir/namespace")" "$(readlink /proc/self/ns/mnt)" "on the host"
rm "$tap_dir/told"
bsi run >/dev/null
fail "run does not tell them where restart is ask" test -e "$tap_dir/told"
bsi config restart auto >/dev/null
bsi run >/dev/null
fail "nor a second time for the same change" test -e "$tap_dir/told"
bsi rollback >/dev/null
bsi run >/dev/null
bsi install a >/dev/null
run bsi run
is "$run_status" 0 "a run with restart auto"
pass "tells them after another change" test -e "$tap_dir/told"
rm "$tap_dir/told"
run bsi run
is "$run_out" "" "and has nothing to say the next time"
fail "nor tells them" test -e "$tap_dir/told"
like "$(bsi history --json | jq -r '.[].event')" restarted "the history has it"

# a list that cannot be read makes nothing restartable
mkdir -p /etc/bsi/reserved.d
printf 'two words here\n' >/etc/bsi/reserved.d/60-own.conf
run bsi exposure
isnt "$run_status" 0 "a list of reserved units that is wrong is an error"
like "$run_err" "/etc/bsi/reserved.d/60-own.conf: line 1" "which names the line"
finish
