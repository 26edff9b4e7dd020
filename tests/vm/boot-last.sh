#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The last boot: with a damaged image, and then the package goes.
# shellcheck disable=SC2154
. ./guest.sh

is "$(lab)" 101 "with a damaged image the boot goes on with the base"
diag "$(bsi status)"
like "$(bsi status)" "damaged" "and the status says why"
run_free bsi run
is "$run_status:$(lab)" 0:202 "the next run brings it again" || diag "$run_out $run_err"

bsi base -- bash -c '. ./guest.sh; listing; finish >/dev/null' >/srv/below 2>/dev/null
run apt_do purge bsi
is "$run_status" 0 "apt purges the package" || diag "$run_out $run_err"
unlike "$(cat /proc/self/mountinfo)" "/run/bsi/image" "nothing is attached"
wait_for 20 sh -c '! grep -q ^bsi- /sys/block/dm-*/dm/name 2>/dev/null'
is "$(cat /sys/block/dm-*/dm/name /sys/block/loop*/loop/backing_file 2>/dev/null | grep bsi)" "" "no device of an image is left"
is "$(lab)" 101 "programs run the base"
listing >/srv/after
pass "every name, inode and time of the base is as before" diff /srv/below /srv/after
is "$(find / -xdev \( -name 'bsi*' -o -name '*[0-9]bsi*' \) -not -path '/srv/*' -not -path '/tmp/*' -not -path '/proc/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' -not -path '/var/log/*' 2>/dev/null)" "" "no file is left"
is "$(apt-config shell x Dir::Bin::dpkg)" "x='/usr/bin/dpkg'" "apt's dpkg is its own again"
pass "apt goes on" apt_do install lab-unrelated=1.0-2
finish
