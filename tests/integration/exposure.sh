#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Code that does not lie where it should: each kind is named as what it is, exposed, fixed or
# unknown, by real processes; a compiler at run time is no reason for a word.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

lab_pair_made "$tap_dir/made" || skip_all "no compiler"
lab_base "$tap_dir"/made/old/*.deb
device_repository
publish add --from "$tap_dir/made/old" --to "$tap_dir/made/new" --cve-named >/dev/null 2>&1
bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null

library=usr/lib/lab/liblab.so.1
work=$tap_dir/work
mkdir -p "$work"
cp "/$library" "$work/old"
user=$BSI_BUILD/tests/integration/exposure-user
cc -static -D_GNU_SOURCE -O1 -o "$work/static" "$BSI_TESTS/integration/exposure-user.c" || skip_all "no static libc"
printf 'int lab_version(void);\nint lab_version(void) { return 9; }\n' |
	cc -shared -fPIC -O1 -Wl,-soname,liblab.so.1 -o "$work/other" -x c -

started=()
at_exit 'kill -9 "${started[@]}" 2>/dev/null'
# a program with its loader and its libraries below a root of its own; what the library is: $2
root_of() {
	local root=$work/$1 file
	while read -r file; do
		mkdir -p "$root$(dirname "$file")"
		cp -L "$file" "$root$file"
	done < <(ldd /usr/bin/lab | grep -o '/[^ ]*'; echo /usr/bin/lab)
	mkdir -p "$root/old-root"
	cp "$2" "$root/$library"
}
start() { # WAIT-FOR COMMAND...: sets $pid to the new process that maps it
	local what=$1 before=" ${started[*]} "
	shift
	"$@" >/dev/null 2>&1 &
	pid=$!
	started+=($pid)
	# a command that runs the program below itself
	while ! grep -qsE "$what" "/proc/$pid/maps"; do
		sleep 0.02
		for pid in $! $(pgrep -x lab); do
			[[ $before != *" $pid "* ]] && grep -qsE "$what" "/proc/$pid/maps" && break
			pid=0
		done
	done
	started+=($pid)
}
hide() { # HOW [FILE]: sets $pid
	local out=$work/out.${#started[@]}
	"${program:-$user}" "$@" >"$out" 2>&1 &
	pid=$!
	started+=($pid)
	until grep -qs ready "$out"; do
		sleep 0.02
		[[ -d /proc/$pid ]] || { diag "$*: $(cat "$out")"; break; }
	done
}

# before anything is attached: processes on the base, in every kind of place
start "$library" lab stay; plain=$pid
start "$library" unshare --mount --propagation private lab stay; kept=$pid
unshare --mount --propagation private sleep 1000 &
keeps=$!
started+=($keeps)
cat >"$work/preforks.c" <<'END'
#include <unistd.h>
int lab_version(void);
int main(void)
{
	for (int i = 0; i < 3 && fork() > 0; i++)
		;
	if (lab_version() > 0)
		pause();
}
END
cc -o "$work/preforks" "$work/preforks.c" /usr/lib/lab/liblab.so.1 -Wl,-rpath,/usr/lib/lab
"$work/preforks" &
parent=$!
started+=($parent)
until [[ $(pgrep -c -P $parent) == 3 ]]; do sleep 0.02; done
mapfile -t workers < <(pgrep -P $parent)
started+=("${workers[@]}")

sleep 2
before=$(date +%s)
bsi install >/dev/null
cp "/$library" "$work/new"
is "$(lab)" 2 "(a) is attached"
root_of copy "$work/old"
root_of patched "$work/new"
root_of own "$work/other"
start "$library" chroot "$work/copy" /usr/bin/lab stay; chroot_old=$pid
start "$library" chroot "$work/patched" /usr/bin/lab stay; chroot_new=$pid
start "$library" chroot "$work/own" /usr/bin/lab stay; chroot_own=$pid
# as a container starts: namespaces of its own, and another root in it
start "$library" unshare --mount --propagation private --pid --fork --kill-child bash -c '
	mount --bind "$0" "$0" && cd "$0" && pivot_root . old-root && exec /usr/bin/lab stay' "$work/copy"
container=$pid
mkdir "$work/elsewhere" "$work/elsewhere2"
cp "$work/old" "$work/elsewhere/liblab.so.1"
cp "$work/other" "$work/elsewhere2/liblab.so.1"
LD_LIBRARY_PATH=$work/elsewhere start elsewhere/liblab lab stay; elsewhere=$pid
rm "$work/elsewhere/liblab.so.1"
LD_LIBRARY_PATH=$work/elsewhere2 start elsewhere2/liblab lab stay; elsewhere_own=$pid
cp /usr/bin/lab "$work/dynamic"
start "$library" "$work/dynamic" stay; deleted=$pid
rm "$work/dynamic"
hide memfd "$work/old"; memfd_old=$pid
hide memfd "$work/new"; memfd_new=$pid
hide memfd "$work/other"; memfd_other=$pid
hide memfd "$work/preforks.c"; memfd_text=$pid
hide anonymous "$work/old"; anonymous_old=$pid
hide anonymous "$work/other"; anonymous_other=$pid
hide compiler; compiler=$pid
hide execute "$work/static" nothing; executed=$pid
program=$work/static hide nothing; static=$pid
program=$work/static hide packed; packed=$pid
cp "$work/static" "$work/gone"
program=$work/gone hide nothing; gone=$pid
rm "$work/gone"

run bsi exposure --json
is "$run_status" 0 "the exposure of all of them" || diag "$run_err"
document=$run_out
row() { jq -r --argjson pid "$1" "[.list[] | select(.pid == \$pid) | $2] | if . == [] then \"fixed\" else .[0] end" <<<"$document"; }
detail() { row "$1" .detail; }

is "$(row "$plain" '"\(.state) \(.copy) \(.detail) \(.cves | join(" "))"')" "exposed false null CVE-2026-0001" "a process on the base: exposed"
since() { date -d "$(row "$1" .since)" +%s; }
pass "since the change, not since it started" test "$(since "$plain")" -ge "$before"
pass "what started after the change: since then" test "$(since "$chroot_old")" -ge "$before"
is "$(row "$kept" '"\(.state) \(.private_mounts)"')" "exposed true" "in a namespace that keeps the old files: exposed"
is "$(row "$keeps" '"\(.state) \(.private_mounts)"')" "keeps true" "one there that runs none of it: what it starts would"
for worker in "${workers[@]}"; do
	is "$(row "$worker" .state)" exposed "a worker that was forked: exposed"
done
is "$(jq -c --argjson pid "$parent" '[.plan[] | select(.pid == $pid) | .processes | length]' <<<"$document")" "[4]" \
	"and one step, about its parent, ends all four"
is "$(row "$chroot_old" '"\(.state) \(.copy) \(.place) \(.end)"')" "exposed true chroot ask" "a chroot with a copy of the base's file: exposed"
like "$(row "$chroot_old" .reason)" "copy of its own" "and a restart alone does not end it"
like "$(detail "$chroot_old")" "$work/copy/$library" "its file is named"
is "$(row "$chroot_new" .state)" fixed "a chroot with a copy of the improvement's: fixed"
is "$(row "$chroot_own" .state)" unknown "one with another file of that name: unknown"
like "$(detail "$chroot_own")" "neither the base's nor the improvement's" "with the reason"
is "$(row "$chroot_own" '.cves | join(" ")')" CVE-2026-0001 "and the CVEs that are in question"
is "$(row "$container" '"\(.state) \(.place)"')" "exposed container" "a container with a copy: exposed"
is "$(row "$elsewhere" '"\(.state) \(.copy)"')" "exposed true" "a copy in another folder, deleted since: exposed"
is "$(row "$elsewhere_own" .state)" fixed "another file of that name in another folder is another file"
is "$(row "$deleted" .state)" fixed "a deleted program whose libraries are told: fixed"
is "$(row "$memfd_old" '"\(.state) \(.copy)"')" "exposed true" "a copy that lies in memory alone: exposed"
is "$(row "$memfd_new" .state)" fixed "of the improvement's file: fixed"
is "$(row "$memfd_other" .state)" unknown "a library in memory that nobody knows: unknown"
is "$(row "$memfd_text" .state)" fixed "memory that holds no program is none"
is "$(row "$anonymous_old" '"\(.state) \(.components | join(" "))"')" "exposed liblab1" "a copy in memory without a file: exposed"
is "$(row "$anonymous_other" .state)" unknown "a library there that nobody knows: unknown"
is "$(row "$compiler" .state)" fixed "code that was made at run time is no reason for a word"
is "$(row "$executed" .state)" unknown "a program that was executed from memory: unknown"
is "$(row "$static" .state)" fixed "a static program on the disk is not of the component"
is "$(row "$packed" .state)" unknown "a program that let go of its file: unknown"
is "$(row "$gone" .state)" unknown "a static program whose file is gone: unknown"
is "$(jq '[.list[] | select(.state == "unknown") | .detail] | map(select(. == null)) | length' <<<"$document")" 0 "each unknown has its reason"
is "$(jq '.exposed' <<<"$document")" "$(jq '[.list[] | select(.state == "exposed")] | length' <<<"$document")" "the count of exposed agrees"
is "$(jq '.unknown' <<<"$document")" "$(jq '[.list[] | select(.state == "unknown")] | length' <<<"$document")" "and that of unknown"
diag "$(jq -r '"\(.processes) processes in \(.scan_us) us"' <<<"$document")"
for word in "cannot be told" "a copy of it: " "what these start would run old code" "neither the base's"; do
	like "$(bsi exposure)" "$word" "in words: $word"
done

# only unknown ones are left
kill -9 "$plain" "$kept" "$keeps" "$parent" "${workers[@]}" "$chroot_old" "$container" "$elsewhere" "$memfd_old" "$anonymous_old"
for pid in "$plain" "$kept" "$keeps" "$chroot_old" "$container" "$memfd_old"; do while [[ -d /proc/$pid ]] && ! grep -q '^State:.Z' "/proc/$pid/status"; do sleep 0.02; done; done
is "$(device_status .state)" unchecked "while it cannot be told of some, the status is not protected"
like "$(bsi status)" "cannot be told whether" "and says so"
kill -9 "${started[@]}" 2>/dev/null
sleep 0.2
is "$(device_status .state)" protected "without them it is"

# what is linked into other programs, as their packages say
cat >>/var/lib/dpkg/status <<'END'

Package: uses-old
Status: install ok installed
Architecture: all
Version: 5
Static-Built-Using: gcc-12 (= 12.2.0-14),
 liblab1 (= 1.0-1)

Package: uses-new
Status: install ok installed
Architecture: all
Version: 6
Built-Using: liblab1 (= 1.0-2)

Package: was-removed
Status: deinstall ok config-files
Architecture: all
Version: 7
Built-Using: liblab1 (= 1.0-1)
END
is "$(bsi exposure --json | jq -c '.built_with | map([.package, .source, .source_version, .component])')" \
	'[["uses-old","liblab1","1.0-1","liblab1"]]' "packages that were built with the old source are named"
like "$(bsi exposure)" "uses-old 5: unknown: built with liblab1 1.0-1, CVE-2026-0001" "in words"
finish
