#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boots that hang, boots that are switched off, and dpkg below an improvement: the same programs and
# hooks as on a real machine (tests/vm), in seconds.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cut_points=12
mkdir -p "$packages"
for version in 1 2 3 9 10; do
	device_package lab-boot "1.0-$version" usr/lib/lab-boot/a="a$version" usr/lib/lab-boot/b="b$version"
done
device_package lab-other 1.0-1 usr/share/lab-other=1
lab_base "$packages/lab-boot_1.0-1.deb"
# installed as the package does it
device_hooks
sees() { cat /usr/lib/lab-boot/a /usr/lib/lab-boot/b; }

device_repository
publish add --from "$packages/lab-boot_1.0-1.deb" --to "$packages/lab-boot_1.0-2.deb" >/dev/null
pass "a device enrols" bsi enroll "file://$repo" --root "$repo/metadata/1.root.json"
run bsi attach --boot
is "$run_status$run_out$run_err" 0 "a boot with nothing installed says nothing"
fail "and counts nothing" test -e /var/lib/bsi/boot
run bsi install
is "$run_status:$(sees)" 0:a2b2 "(a) is attached" || diag "$run_err"

# what a reboot leaves: the state, no mount, an empty /run
reboot() {
	bsi detach
	rm -rf /run/bsi
}
count() { jq -r '"\(.content.attempts) of \(.content.generation)"' /var/lib/bsi/boot 2>/dev/null; }

# the first letter never completes a boot: there is nothing good to go back to but the base
for attempt in 1 2; do
	reboot
	bsi attach --boot >/dev/null
	is "$(sees):$(count)" "a2b2:$attempt of 1" "boot $attempt with the first letter hangs"
done
reboot
run bsi attach --boot
is "$run_status:$(sees)" 0:a1b1 "the third goes back to the base" || diag "$run_err"
is "$(device_status '"\(.boot.action) \(.letter) \(.state)"')" "fell-back null base" "and the status says so"
like "$(device_status .boot.reason)" "two boots with \\(a\\) did not complete" "with the reason"
bsi boot-complete
is "$(count)" "" "nothing is counted any more"
run bsi run
is "$run_status:$(sees)" 0:a1b1 "(a) does not come back by itself"
reboot
run bsi attach --boot
is "$run_status$run_out$run_err:$(sees)" 0:a1b1 "the next boot has nothing to say"
bsi boot-complete
run bsi install a
is "$run_status:$(sees)" 0:a2b2 "who names it gets it again" || diag "$run_err"
good=$(jq .content.good /var/lib/bsi/current)
reboot
bsi attach --boot >/dev/null
umount /usr/lib/lab-boot/b
bsi boot-complete
is "$(sees):$(count):$(jq .content.good /var/lib/bsi/current)" "a2b1::$good" \
	"a boot that is complete with a part proves nothing of the rest"
bsi attach >/dev/null
is "$(sees)" a2b2 "which is attached again"

pass "detach takes everything off" bsi detach
is "$(sees)" a1b1 "the base is there"
fail "and the status for everybody is gone" test -e /run/bsi/status.json
reboot
pass "the boot attaches" bsi attach --boot
is "$(sees)" a2b2 "it is attached"
is "$(count)" "1 of 2" "and was counted before"
is "$(device_status .boot.action)" attached "the status says that the boot did it"
bsi detach
run bsi attach --boot
is "$run_status:$(sees):$(count)" "0:a2b2:1 of 2" "the same once more is no boot: it attaches, and counts nothing"
like "$run_err" "the system is up already" "and says so"
reboot
pass "the next boot, after one that did not complete" bsi attach --boot
is "$(sees):$(count)" "a2b2:2 of 2" "attaches once more"
pass "this one is complete" bsi boot-complete
is "$(count)" "" "the count is cleared"
is "$(jq .content.good /var/lib/bsi/current)" 2 "the generation is good"

# a power cut at any moment of the attempt finds it counted: who attaches was counted before
attempts() { jq -r .content.attempts /var/lib/bsi/boot 2>/dev/null || echo 0; }
cutat=$BSI_BUILD/tests/unit/store/cutat
reboot
total=$("$cutat" 0 bsi attach --boot 2>&1 >/dev/null | tail -n 1)
bsi boot-complete
cuts=0 attached=0 uncounted=
for ((i = 1; i <= cut_points; i++)); do
	reboot
	"$cutat" $((total * i / (cut_points + 1))) bsi attach --boot >/dev/null 2>&1
	[[ $? == 137 ]] && cuts=$((cuts + 1))
	if grep -q ' /usr/lib/lab-boot/' /proc/self/mountinfo; then
		attached=$((attached + 1))
		[[ $(attempts) == 1 ]] || uncounted+=" $i:$(attempts)"
	fi
	bsi boot-complete
	bsi attach >/dev/null
	bsi boot-complete
done
is "$cuts" "$cut_points" "attempts that are cut, at places among $total calls"
isnt "$attached" 0 "some after they attached something"
is "$uncounted" "" "and all of those were counted"
# the place between the two: counted, and the priority raised for the first mount
reboot
strace -f -qq -o "$tap_dir/strace" -e trace=sched_setscheduler -e inject=sched_setscheduler:signal=KILL bsi attach --boot >/dev/null 2>&1
is "$(sees):$(count)" "a1b1:1 of 2" "killed before the first mount, it is counted"
reboot
strace -f -qq -o "$tap_dir/strace" -e trace=sched_setscheduler -e inject=sched_setscheduler:signal=KILL bsi attach --boot >/dev/null 2>&1
is "$(sees):$(count)" "a1b1:2 of 2" "twice"
reboot
run bsi attach --boot
is "$run_status:$(sees)" 0:a1b1 "then a boot goes without it" || diag "$run_err"
bsi boot-complete
reboot
bsi attach --boot >/dev/null
bsi boot-complete
is "$(sees)" a2b2 "and the next one with it"

publish add --from "$packages/lab-boot_1.0-1.deb" --to "$packages/lab-boot_1.0-9.deb" >/dev/null
run bsi run
is "$run_status:$(sees)" 0:a9b9 "(b) comes" || diag "$run_err"
for attempt in 1 2; do
	reboot
	bsi attach --boot >/dev/null
	is "$(sees):$(count)" "a9b9:$attempt of 3" "boot $attempt with (b) hangs"
done
reboot
run bsi attach --boot
is "$run_status:$(sees)" 0:a2b2 "the third goes back to (a), which completed one" || diag "$run_err"
like "$(bsi status)" "\\(a\\)" "the status names (a)"
is "$(device_status .boot.action)" fell-back "and that the boot fell back"
like "$(device_status .boot.reason)" "two boots with \\(b\\) did not complete" "and why"
bsi boot-complete
run bsi run
is "$run_status:$(sees)" 0:a2b2 "(b) does not come back by itself"
for attempt in 1 2; do
	reboot
	bsi attach --boot >/dev/null
done
reboot
run bsi attach --boot
is "$run_status:$(sees)" 0:a1b1 "what completed a boot and hangs two is left out of one"
sentence() { device_status '.sentence | sub("^[^(]*"; "")'; }
gave_up="(a): not attached since boot: the last boots with it did not complete, so this one goes on without it; 'bsi install a' attaches it all the same"
is "$(sentence)" "$gave_up" "and the status says why"
is "$(device_status '"\(.boot.action) \(.boot.left_out) \(.boot.reason)"')" "gave-up 1 ${gave_up#*boot: }" "to programs as well"
bsi boot-complete
for verb in run attach; do
	run bsi $verb
	is "$run_status:$(sees)" 0:a1b1 "nor does 'bsi $verb' attach it in this boot" || diag "$run_err"
	like "$run_err" "\\(a\\): ${gave_up#*boot: }" "and says why"
	is "$(sentence)" "$gave_up" "as the status does after 'bsi $verb'"
done
is "$(device_status '.components[0] | "\(.state) \(.reason)"')" "detached ${gave_up#*boot: }" "of the component too"
run dpkg -i "$packages/lab-boot_1.0-1.deb"
is "$run_status:$(sees)" 0:a1b1 "nor does dpkg's hook" || diag "$run_out$run_err"
run bsi install a
is "$run_status:$(sees)" 0:a2b2 "the owner attaches it" || diag "$run_err"
is "$(device_status '"\(.state) \(.boot.action) \(.boot.left_out)"')" "protected gave-up null" "and the status says so"
pass "what comes behind it" bsi attach
is "$(sees)" a2b2 "leaves it attached"
for attempt in 1 2; do
	reboot
	bsi attach --boot >/dev/null
done
reboot
bsi attach --boot >/dev/null
bsi boot-complete
is "$(sees):$(device_status .boot.action)" a1b1:gave-up "once more it is left out of one"
publish add --from "$packages/lab-boot_1.0-1.deb" --to "$packages/lab-boot_1.0-10.deb" >/dev/null
run bsi run
is "$run_status:$(sees)" 0:a10b10 "a newer letter is another matter" || diag "$run_err"
run bsi rollback
is "$run_status:$(sees)" 0:a1b1 "who goes back from it has the one that is left out" || diag "$run_err"
reboot
bsi attach --boot >/dev/null
is "$(sees)" a2b2 "but it is not left for good"
bsi boot-complete

# what the status says of a boot that attached nothing
anybody() { setpriv --reuid 65534 --regid 65534 --clear-groups bsi status "$@"; }
boot_says() { device_status '"\(.boot.action) \(.boot.reason)"'; }
reboot
is "$(sentence)" "(a): not attached since boot; 'bsi run' attaches it" "before a boot has come to it the status says so"
bsi attach --boot >/dev/null
bsi boot-complete
is "$(boot_says):$(sentence)" "attached null:(a): protected" "and afterwards that it was attached"
bsi detach
is "$(sentence)" "(a): not attached; 'bsi run' attaches it" "what was attached and taken off is not attached, and was since the boot"
mount --bind /var/lib/bsi /var/lib/bsi
mount -o remount,bind,ro /var/lib/bsi
is "$(sentence)" "(a): not attached: /var/lib/bsi: Read-only file system" "no run is advised that could not attach it"
umount /var/lib/bsi
image=/var/lib/bsi/images/$(jq -r '.content.components[0].image' "/var/lib/bsi/generations/$(jq .content.current /var/lib/bsi/current)/generation.json")
damage() {
	# another file, because one that fs-verity seals cannot be written
	cp "$image" "$tap_dir/damaged"
	printf x | dd of="$tap_dir/damaged" bs=1 seek=5000 conv=notrunc 2>/dev/null
	mv "$tap_dir/damaged" "$image"
}
lose() { rm "$image"; }
damaged="its image in the store is damaged (not the bytes that were signed); 'bsi run' brings it again"
missing="its image is not here; 'bsi run' brings it"
for fault in "damage:$damaged" "lose:$missing"; do
	reboot
	${fault%%:*}
	run bsi attach --boot
	is "$run_status:$(sees)" 0:a1b1 "${fault%%:*} its image: the boot goes on with the base"
	is "$(boot_says)" "failed lab-boot: ${fault#*:}" "and does not say that it attached"
	is "$(sentence)" "(a): not attached since boot: ${fault#*:}" "the status says why"
	is "$(bsi history --json | jq -r '.[0] | "\(.event) \(.detail.reason)"')" "boot-failed lab-boot: ${fault#*:}" "the history, too"
	bsi boot-complete
	run bsi run
	is "$run_status:$(sees):$(sentence)" "0:a2b2:(a): protected" "a run brings it" || diag "$run_err"
done
reboot
cp -p /usr/lib/lab-boot/a "$tap_dir/a"
echo other >/usr/lib/lab-boot/a
run bsi attach --boot
is "$run_status:$(cat /usr/lib/lab-boot/a)" 0:other "a base file changed: the boot leaves it alone"
is "$(boot_says)" "nothing lab-boot does not fit this device's files" "and says that nothing was attached"
is "$(sentence)" "(a): not attached since boot: lab-boot does not fit this device's files, its CVEs stay open" "and the status says so"
bsi boot-complete
cp -p "$tap_dir/a" /usr/lib/lab-boot/a
bsi attach >/dev/null
is "$(sees)" a2b2 "put back, it is attached"

# damage
reboot
printf x >/var/lib/bsi/boot
run bsi attach --boot
is "$run_status:$(sees)" 0:a2b2 "a damaged count begins anew"
bsi boot-complete
reboot
mv /var/lib/bsi/current "$tap_dir/current"
run bsi attach --boot
is "$run_status:$(sees)" 12:a1b1 "without 'current' the base stays"
like "$run_err" '"current"' "and the file is named"
is "$(anybody --json | jq -r '"\(.state) \(.boot.action)"')" "damaged failed" "everybody can read that before anybody asks"
mv "$tap_dir/current" /var/lib/bsi/current
reboot
mount --bind /var/lib/bsi /var/lib/bsi
mount -o remount,bind,ro /var/lib/bsi
run bsi attach --boot
isnt "$run_status" 0 "on a read-only state the attach fails"
is "$(sees)" a1b1 "and the base stays"
is "$(anybody --json | jq -r '"\(.boot.action)\(.sentence | sub("^[^(]*"; ":"))"')" \
	"failed:(a): not attached since boot: the lock \"lock\" cannot be opened: Read-only file system" "everybody can read why"
is "$(boot_says)" "failed the lock \"lock\" cannot be opened: Read-only file system" "which the boot says"
is "$(sentence)" "(a): not attached since boot: the lock \"lock\" cannot be opened: Read-only file system" "and the status"
for words in "ro bsi.attach=no:bsi.attach=no on the kernel's command line" "ro single:a boot for repair, by the kernel's command line"; do
	reboot
	echo "${words%%:*}" >"$tap_dir/cmdline"
	mount --bind "$tap_dir/cmdline" /proc/cmdline
	run bsi attach --boot
	is "$run_status:$(sees):$(boot_says)" "0:a1b1:skipped ${words#*:}" "'${words%%:*}' attaches nothing, and needs no state for that"
	is "$(sentence)" "(a): not attached since boot: ${words#*:}" "the status says why"
	bsi boot-complete
	run bsi attach
	is "$(sees)" a1b1 "nothing attaches it in this boot"
	umount /proc/cmdline
done
umount /var/lib/bsi

# dpkg, with its hooks
bsi attach >/dev/null
run dpkg -i "$packages/lab-other_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "plain dpkg installs, and what was attached is again" || diag "$run_out$run_err"
fail "no mark is left" test -e /run/bsi/package-work
run dpkg -i "$packages/lab-boot_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "the patched package is installed again, and improved again" || diag "$run_out$run_err"
run bsi base --follow --lenient -- dpkg -i "$packages/lab-boot_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "as apt does it as well" || diag "$run_out$run_err"
sleep 1.1 # what changed in this second might change once more
bsi attach
marks() { stat -c '%n %i' /run/bsi/attached /run/bsi/settled.json /run/bsi/last.json; }
before=$(marks)
run bsi base --follow --lenient -- dpkg -i "$packages/lab-other_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "another package is installed as apt does it" || diag "$run_out$run_err"
is "$(marks)" "$before" "and nothing had to be looked at again"
is "$(device_status .state)" protected "protected it is all the same"
isnt "$(marks)" "$before" "the status looked for itself"
run bsi base --follow --lenient -- dpkg -i "$packages/lab-boot_1.0-3.deb"
is "$run_status:$(sees)" 0:a3b3 "a newer version is never masked" || diag "$run_out$run_err"
is "$(device_status '.components[0].state')" superseded "and the status says superseded"
is "$(jq -r '.components[0].state' /run/bsi/status.json)" superseded "to everybody"
reboot
bsi attach --boot >/dev/null
like "$(boot_says)" "^nothing lab-boot: ." "a boot then attaches nothing, and names the reason"
bsi boot-complete
echo lab-boot hold | dpkg --set-selections
bsi attach >/dev/null
is "$(dpkg-query -W -f '${Status}' lab-boot) $(device_status '.components[0].state')" "hold ok installed superseded" \
	"of a package that is on hold too"
echo lab-boot install | dpkg --set-selections
for state in 'install ok triggers-pending' 'install ok half-configured'; do
	sed -i "/^Package: lab-boot$/,/^$/s/^Status: .*/Status: $state/" /var/lib/dpkg/status
	bsi attach >/dev/null
	is "$(device_status '.components[0].state')" superseded "of one whose state is '$state'"
done
sed -i "/^Package: lab-boot$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/" /var/lib/dpkg/status
bsi attach >/dev/null
is "$(device_status '.components[0].state')" mismatch "but not of one that is half installed"
sed -i "/^Package: lab-boot$/,/^$/s/^Status: .*/Status: install ok installed/" /var/lib/dpkg/status
run dpkg -i "$packages/lab-boot_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "back at the base, it is improved again" || diag "$run_out$run_err"

mkdir -p "$tap_dir/slow/DEBIAN"
printf 'Package: lab-slow\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n' >"$tap_dir/slow/DEBIAN/control"
printf '#!/bin/sh\ntouch /run/lab-slow; sleep 60\n' >"$tap_dir/slow/DEBIAN/preinst"
chmod 755 "$tap_dir/slow/DEBIAN/preinst"
dpkg-deb -b "$tap_dir/slow" "$tap_dir/slow.deb" >/dev/null
dpkg -i "$tap_dir/slow.deb" >/dev/null 2>&1 &
pid=$!
until [[ -e /run/lab-slow ]]; do sleep 0.1; done
is "$(sees)" a1b1 "while plain dpkg works, everything is off"
run bsi attach
is "$run_status:$(sees)" 5:a1b1 "nothing is attached meanwhile"
like "$run_err" "held: package manager at work \\(process $pid\\)" "the reason names dpkg"
kill -KILL $pid
wait $pid 2>/dev/null
pass "after dpkg was killed it is attached again" bsi attach --wait
is "$(sees)" a2b2 "all of it"

# killed while it configures: the newer files are there, and its status file tells of the older ones
kills() {
	printf '#!/bin/sh\nif rm /run/lab-kill 2>/dev/null; then kill -KILL $PPID; fi\n' >"$1/DEBIAN/postinst"
	chmod 755 "$1/DEBIAN/postinst"
}
device_finish=kills device_package lab-boot 1.0-4 usr/lib/lab-boot/a=a4 usr/lib/lab-boot/b=b4
touch /run/lab-kill
run dpkg -i "$packages/lab-boot_1.0-4.deb"
is "$run_status" 137 "dpkg is killed while it configures a newer version" || diag "$run_out$run_err"
is "$(sed -n '/^Package: lab-boot$/,/^$/s/^Version: //p' /var/lib/dpkg/status)" 1.0-1 "its status file is of before"
pass "attach goes on without it" bsi attach --wait
is "$(sees)" a4b4 "the newer files are not masked"
is "$(device_status '.components[0].state')" superseded "and dpkg's journal tells whose they are"
pass "dpkg goes on where it was" dpkg --configure -a
is "$(sees):$(device_status '.components[0].state')" a4b4:superseded "which changes nothing"
run dpkg -i "$packages/lab-boot_1.0-1.deb"
is "$run_status:$(sees)" 0:a2b2 "and back at the base, it is improved again" || diag "$run_out$run_err"
run env DPKG_ROOT=/elsewhere bsi hook pre
is "$run_status:$(sees)" 0:a2b2 "a dpkg that works on another root takes nothing off here"
run bsi hook sideways
is "$run_status" 2 "a hook that is none is refused"

# a new release, with the same file in it: the letter of the one before is none of its
mkdir -p "$tap_dir/release"
cp -p /etc/os-release "$tap_dir/release/"
new_release() {
	sed 's/^VERSION_ID=.*/VERSION_ID="99"/' "$tap_dir/release/os-release" >"$tap_dir/release/new"
	rm -f /etc/os-release
	cp "$tap_dir/release/new" /etc/os-release
}
new_release
run bsi attach
is "$run_status:$(sees)" 0:a1b1 "with a new release everything goes off" || diag "$run_err"
like "$run_err$run_out" "this device is [a-z]*:99:" "and the reason is said"
is "$(bsi history --json | jq -r '.[0] | "\(.event) \(.letter)"')" "retired a" "the history tells"
is "$(device_status '"\(.letter) \(.state)"')" "null base" "the status is the base's"
run bsi run
is "$run_status:$(sees)" 9:a1b1 "a repository that has nothing for the new one is named" || diag "$run_err"
like "$run_err" "no improvements for [a-z]*:99:" "with the base"
rm /etc/os-release
cp -p "$tap_dir/release/os-release" /etc/os-release
run bsi install a
is "$run_status:$(sees)" 0:a2b2 "back at the release that it was made for, it can be had again" || diag "$run_err"
reboot
new_release
run bsi attach --boot
is "$run_status:$(sees)" 0:a1b1 "a boot into a new release attaches nothing" || diag "$run_err"
is "$(device_status '"\(.boot.action) \(.letter)"')" "nothing null" "and does not say that it did"
rm /etc/os-release
cp -p "$tap_dir/release/os-release" /etc/os-release
bsi install a >/dev/null

# set up?
rm -f /etc/dpkg/dpkg.cfg.d/bsi
run bsi doctor --json
is "$run_status" 1 "doctor finds that dpkg's hooks are missing"
like "$(jq -r '.checks[]? | select(.name == "dpkg-before").problem' <<<"$(head -n 60 <<<"$run_out" | jq -c -s '.[0]')")" "dpkg stops" \
	"and says what comes of it"
bsi remove >/dev/null
is "$(sees)" a1b1 "removed, the base is there"
finish
