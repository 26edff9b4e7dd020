# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the scripts of the boots share. They run as root in the virtual machine, in /run/job.
TMPDIR=/run . ./tap.sh # the disk may be full

export DEBIAN_FRONTEND=noninteractive

# apt without questions; its words only where they are wanted
apt_do() {
	apt-get -q -y -o Dpkg::Options::=--force-confnew "$@"
}

# A member of the status document.
status() {
	bsi status --json 2>/dev/null | jq -r "$1"
}

# One line for each file below /usr that is no folder: mode, owner, inode, size, times, link. Without
# what dpkg and ldconfig themselves write, and without our package.
listing() {
	{
		find /usr -xdev ! -type d -printf '%P %y %m %U %G %i %s %T@ %l\n' |
			grep -vE '^((lib|share)/(systemd/system/(basic\.target\.wants/)?bsi|(tmpfiles|sysusers)\.d/bsi|libexec)|bin/bsi|libexec/bsi|lib/bsi/|share/(doc|lintian/overrides|man/man1|bash-completion/completions)/bsi)'
		# of what was improved the folder, the times of change, and the content too
		find /usr/lib/lab -type d -printf '%p %y %m %U %G %i %n\n'
		find /usr/lib/lab ! -type d -printf '%p %y %m %U %G %i %n %C@\n'
		sha256sum /usr/lib/lab/*
	} | LC_ALL=C sort
}

# Wait for a condition: seconds, command.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.5
	done
}

# said SERVICE NUMBER: what the service says, which it may have been started to say just now.
said() {
	local end=$((SECONDS + 60))

	until [[ $(cat "/run/$1") == "$2" ]] || ((SECONDS >= end)); do sleep 0.5; done
	cat "/run/$1"
}

# hammer_start PATTERN: run the program and read its library all the time; hammer_stop says how often
# it ran, failed, and said something that the whole pattern does not match.
hammer_start() {
	rm -f /run/hammer-stop
	: >/run/hammer.err
	(
		runs=0 failures=0 others=0
		while [[ ! -e /run/hammer-stop ]]; do
			runs=$((runs + 1))
			said=$(lab 2>>/run/hammer.err) || failures=$((failures + 1))
			if [[ ! $said =~ ^($1)$ ]]; then
				others=$((others + 1))
				echo "said '$said'" >>/run/hammer.err
			fi
			read -r -N 4 magic </usr/lib/lab/libinner.so.1 && [[ $magic == *ELF ]] ||
				failures=$((failures + 1))
		done
		echo "$runs $failures $others" >/run/hammer
	) &
	hammer_pid=$!
}

hammer_stop() {
	touch /run/hammer-stop
	wait "$hammer_pid"
	# shellcheck disable=SC2034
	read -r hammer_runs hammer_failures hammer_others </run/hammer
}

# hammer_is WHAT: it ran often enough to mean something, never failed, and never said anything else.
hammer_is() {
	hammer_stop
	is "$((hammer_runs >= 5)):$hammer_failures:$hammer_others" 1:0:0 "$1 ($hammer_runs runs: no failure, nothing else seen)" ||
		diag "$(sort /run/hammer.err | uniq -c | tail -n 5)"
}

# start_all_the_time NAME PATTERN COMMAND...: until the changes are done; in /run/NAME how often, and
# how often it failed or said something that the whole pattern does not match
start_all_the_time() {
	local name=$1 pattern=$2 failures=0 starts=0
	shift 2
	while [[ ! -e /run/changes-done ]]; do
		starts=$((starts + 1))
		"$@" >"/run/$name.out" 2>>"/run/$name.err" && grep -qxE "$pattern" "/run/$name.out" ||
			failures=$((failures + 1))
	done
	echo "$starts $failures" >"/run/$name"
}

# How often AppArmor met a file that has no path any more.
pathless() { dmesg | grep 'apparmor="DENIED"' | grep -c 'disconnected path'; }

# The process of a service.
main_pid() {
	systemctl show -P MainPID "$1.service"
}

# What bsi would do for a unit, and for which CVEs: of `bsi plan` or `bsi exposure`, as JSON.
step_of() {
	jq -r --arg unit "$1.service" '.plan[] | select(.unit == $unit) | "\(.end) \(.cves | join(" "))"'
}

# Which of these a program below AppArmor's profile may do: read a file that it is allowed, one that it
# is not, the library, and write to each.
access_map() {
	aa-exec -p lab-confined -- sh -c '
		for file in /srv/lab-open /usr/share/lab-unrelated/version /usr/lib/lab/liblab.so.1 /etc/shadow; do
			cat "$file" >/dev/null 2>&1 && echo "reads $file"
			(: >>"$file") 2>/dev/null && echo "writes $file"
		done; :'
}

# No block of the disk is free, not even for root.
disk_fill() {
	fallocate -l "$(df --output=avail -B1 / | tail -n 1)" /full
	dd if=/dev/zero of=/full bs=1M oflag=append conv=notrunc 2>/dev/null
	sync
}

# How often: N in the whole form, a fifth of it in the short one.
rounds() {
	if grep -qw short /proc/cmdline; then echo $(($1 / 5)); else echo "$1"; fi
}

# run, again while another bsi (the timer's, or the look after dpkg) or a package manager is at work.
run_free() {
	local i

	for ((i = 0; i < 60; i++)); do
		run "$@"
		# shellcheck disable=SC2154
		((run_status == 5)) || return 0
		sleep 1
	done
}
