#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Payloads are decoded by a worker without rights: what it may do is read from a real one that strace
# stops; and it is cut off, killed and cheated there: once it is tried again, then the full payload is
# taken, and nothing is left behind.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
command -v strace >/dev/null || skip_all "strace is not installed"
device_in_lab "$0"

# a program, and the same with other words in the middle: there is a delta
old=$tap_dir/old new=$tap_dir/new file=/usr/lib/hello/program
cp /bin/bash "$old"
cp /bin/bash "$new"
printf 'a word that is another one' | dd of="$new" bs=1 seek=300000 conv=notrunc 2>/dev/null
device_package hello 1.0-1 "${file#/}=@$old"
device_package hello 1.0-2 "${file#/}=@$new"
lab_base "$packages/hello_1.0-1.deb"
device_repository
run publish add --from "$packages/hello_1.0-1.deb" --to "$packages/hello_1.0-2.deb" --json
is "$(jq -r '[.components[0].payloads[].kind] | sort | join(" ")' <<<"$run_out")" "delta full" "a delta and a full payload are published" || diag "$run_err"
cp -a "$repo" "$repo.full"
rm "$repo.full"/targets/*/*.delta
cp -a "$repo" "$repo.delta"
rm "$repo.delta"/targets/*/*.full.zst

# fresh REPOSITORY: a device that has nothing yet
fresh() {
	bsi remove >/dev/null 2>&1
	find /var/lib/bsi -mindepth 1 -delete 2>/dev/null
	rm -rf /run/bsi
	cat "$old" >"$file"
	bsi enroll "file://$1" --root "$repo/metadata/1.root.json" >/dev/null
}
images() { (cd /var/lib/bsi/images && ls -A && sha256sum ./* | sort); }

# What each worker comes by is where strace stops it (SIGSTOP), and it is stopped until it is told to go on.
trace=$tap_dir/trace
# install_stopped STRACE-OPTION...: bsi install in the background, its words in $tap_dir/said
install_stopped() {
	rm -f "$trace"
	strace -f -q -o "$trace" "$@" bsi install >/dev/null 2>"$tap_dir/said" &
	installing=$!
	seen=0
}
# the next worker that stops: its number in $worker; empty if the installation ends before
next_worker() {
	local -a stopped

	worker=
	while :; do
		mapfile -t stopped < <(awk '/--- stopped by SIGSTOP ---/ && !known[$1]++ { print $1 }' "$trace" 2>/dev/null)
		if ((${#stopped[@]} > seen)); then
			worker=${stopped[seen]}
			seen=$((seen + 1))
			return
		fi
		kill -0 "$installing" 2>/dev/null || return
		sleep 0.05
	done
}
go_on() { kill -CONT "$worker"; }
end_of() { while kill -0 "$1" 2>/dev/null; do sleep 0.05; done; }
ended() { wait "$installing"; status=$?; said=$(<"$tap_dir/said"); }
state() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/$worker/status"; }

bsi enroll "file://$repo" --root "$repo/metadata/1.root.json" >/dev/null
run bsi install
is "$run_status" 0 "it installs" || diag "$run_err"
unlike "$run_err" "once more|cannot be used" "by the first worker and payload"
wanted=$(images)
image=/var/lib/bsi/images/.$(ls /var/lib/bsi/images).new

# where it writes the image it has given up all
look() { # NAME UID KIND
	next_worker
	[[ -n $worker ]] && ok "$1: a worker writes the image" || { not_ok "$1: a worker writes the image" "$(<"$tap_dir/said")"; return; }
	is "$(state Name)" bsi-decode "$1: it has a name of its own"
	is "$(awk '$1 == "Uid:" || $1 == "Gid:" { print $2, $3, $4, $5 }' "/proc/$worker/status" | sort -u)" "$2 $2 $2 $2" "$1: it is user and group $2"
	is "$(awk '$1 == "Groups:" { print NF - 1 }' "/proc/$worker/status")" 0 "$1: in no other group"
	is "$(awk '/^Cap/ { print $2 }' "/proc/$worker/status" | sort -u)" 0000000000000000 "$1: it has no capability, and can get none"
	is "$(state NoNewPrivs) $(state Seccomp)" "1 2" "$1: no new rights, and a filter of system calls"
	is "$(awk '/^Max open files/ { print $4, $5 } /^Max processes/ { print $3, $4 }' "/proc/$worker/limits" | sort -u)" "0 0" "$1: it can open nothing and start nothing"
	isnt "$(readlink "/proc/$worker/ns/net")" "$(readlink /proc/self/ns/net)" "$1: its network is not ours"
	is "$(tail -n +3 "/proc/$worker/net/dev" | awk '$2 + $10 { print }')" "" "$1: and carries nothing"
	is "$(for fd in "/proc/$worker/fd/"*; do readlink "$fd"; done | sed 's/pipe:.*/pipe/; s/[0-9a-f]\{64\}/DIGEST/' | sort | tr '\n' ' ')" "$3" "$1: it has these files and no others"
	pass "$1: while it decodes the state is free" bsi config restart ask
	is "$(for fd in "/proc/$worker/fd/"*; do [[ $(readlink "$fd") == /var/* ]] && awk '$1 == "flags:" { print $2 % 10 }' "/proc/$worker/fdinfo/${fd##*/}"; done | sort | tr -d '\n')" 01 "$1: the payload to read, the image to write"
	go_on
	ended
	is "$status" 0 "$1: it comes to its end" || diag "$said"
}
stop_at_image=(-P "$image" -e "trace=pwrite64" -e "inject=pwrite64:signal=SIGSTOP:when=1")
payload=/var/lib/bsi/downloads/DIGEST.part
fresh "$repo.full"
install_stopped "${stop_at_image[@]}"
look "full" 65533 "$payload /var/lib/bsi/images/.DIGEST.new pipe "
is "$(images)" "$wanted" "the image is the same"
printf 'bsi-decode:x:990:990::/:/usr/sbin/nologin\n' >>/etc/passwd
fresh "$repo.delta"
install_stopped "${stop_at_image[@]}"
look "delta" 990 "$file $payload /var/lib/bsi/images/.DIGEST.new pipe "
is "$(images)" "$wanted" "the image is the same"

# before it decodes: there the world changes under it
stop_early=(-e trace=capset -e "inject=capset:signal=SIGSTOP:when=1")
cut_file() { : >"$file"; }

fresh "$repo"
install_stopped "${stop_early[@]}"
next_worker
cut_file
first=$worker
go_on
next_worker
isnt "$worker" "$first" "a base file is cut: the delta is tried by another worker"
cat "$old" >"$file"
go_on
ended
is "$status" 0 "whole again in time, it is used" || diag "$said"
like "$said" "payload delta: .*shorter than it was; trying once more" "and that is said"
unlike "$said" "taking full" "the full payload is not needed"
is "$(images)" "$wanted" "the image is the same"

fresh "$repo"
install_stopped "${stop_early[@]}"
for n in 1 2 3; do
	next_worker
	kinds[n]=$(readlink "/proc/$worker/fd/"* | grep -c hello/program)
	[[ $n == 1 ]] && cut_file
	[[ $n == 3 ]] && cat "$old" >"$file"
	go_on
done
ended
is "$status ${kinds[*]}" "0 1 1 0" "it stays cut: after two workers with the delta one has the full payload" || diag "$said"
like "$said" "payload delta .* cannot be used: .*shorter than it was; taking full" "and why is said"
is "$(images)" "$wanted" "the image is the same"

# deaths CASE SIGNAL SAID: the first worker dies so, then the first two
deaths() {
	local n

	for n in 1 2; do
		fresh "$repo"
		install_stopped "${stop_early[@]}"
		for ((died = 0; died < n; died++)); do
			next_worker
			kill "-$1" "$worker"
			go_on 2>/dev/null
		done
		next_worker
		go_on
		ended
		is "$status" 0 "$2, $n times: it installs all the same" || diag "$said"
		like "$said" "payload delta: bsi-decode was ended by signal $3; trying once more" "and says what happened"
		if [[ $n == 1 ]]; then
			unlike "$said" "taking full" "by the delta"
		else
			like "$said" "payload delta .* cannot be used: bsi-decode was ended by signal $3; taking full" "by the full payload, and says so"
		fi
		is "$(images)" "$wanted" "the image is the same"
	done
}
deaths SEGV "a worker crashes" "11 .Segmentation fault."
deaths BUS "a worker cannot read its memory" "7 .Bus error."
deaths KILL "a worker is killed, as by the kernel when memory is short" "9 .Killed."

# every worker dies: nothing is installed, and the next run does it
fresh "$repo"
install_stopped "${stop_early[@]}"
for n in 1 2 3 4; do
	next_worker
	kill -SEGV "$worker"
	go_on 2>/dev/null
done
ended
is "$status" 1 "every worker dies: it fails" || diag "$said"
like "$said" "bsi-decode was ended by signal 11" "and says so"
is "$(ls -A /var/lib/bsi/images /var/lib/bsi/downloads | grep -v :)" "" "no image and no payload is left"
is "$(cat "$file" | cmp - "$old" && echo same)" same "the base is as it was"
pass "the next run does it" bsi install
is "$(images)" "$wanted" "the image is the same"

# the engine dies, and has no more rights than its unit gives it: its worker goes with it, and the
# state is free
unit=$BSI_STAGE/usr/lib/systemd/system/bsi.service
rights=$(awk -F= '$1 == "CapabilityBoundingSet" { print tolower($2) }' "$unit" | sed 's/cap_/,+/g; s/ //g')
fresh "$repo"
install_stopped "${stop_at_image[@]}" setpriv --no-new-privs --bounding-set="-all$rights" --inh-caps=-all
next_worker
engine=$(state PPid)
isnt "$(awk '$1 == "CapBnd:" { print $2 }' "/proc/$engine/status")" "$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)" "an engine has the rights of its unit"
is "$(awk '$1 == "Uid:" { print $2, $3, $4, $5 } /^Cap/ { print $2 }' "/proc/$worker/status" | sort -u | tr '\n' ' ')" "0000000000000000 990 990 990 990 " "and its worker none"
kill -KILL "$engine"
end_of "$worker"
ok "when it is killed, its worker ends"
ended
pass "the next run does it" bsi install
is "$(images)" "$wanted" "the image is the same"

# whoever ignores the end of children passes that on
fresh "$repo"
run env --ignore-signal=CHLD bsi install
is "$run_status" 0 "started where the end of children is ignored it installs" || diag "$run_err"

is "$(pgrep -c -x bsi-decode)" 0 "no worker is left"
finish
