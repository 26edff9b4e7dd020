#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The whole way on a device, with the real update that the package archive offers, or a made pair.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
device_in_lab "$0"

cache=$BSI_BUILD/packages
mkdir -p "$cache"
lab_pair_real "$cache" || { diag "no package archive: a made pair"; lab_pair_made "$cache"; }
diag "$lab_package $lab_old -> $lab_new, real: $lab_real"
if [[ $lab_real == yes ]]; then
	library=$(echo /usr/lib/*-linux-gnu*/libssl.so.3)
	version() { openssl version; }
	start_service() { lab_nginx_restart "$web"; }
else
	library=/usr/lib/lab/liblab.so.1
	version() { lab; }
	start_service() { pkill -x lab; lab stay >/dev/null & }
fi
web=$tap_dir/web
mkdir -p "$web"
pass "the older version is the base" lab_base "$cache"/old/*.deb
lab_listing /usr >"$tap_dir/base-before"
old_digest=$(sha256sum "$library")
old_version=$(version)
device_repository
is "$(bsi-publish list "$repo" --json | jq -r ".bases[0].base")" "$base" "the publisher makes a repository"
run publish add --from "$cache/old" --to "$cache/new" --cve-named
is "$run_status" 0 "two versions of the packages become (a)" || diag "$run_err"
pass "the repository verifies" bsi-publish verify "$repo"

lab_nginx "$web" "$repo" || not_ok "nginx starts"
start_service
url=http://127.0.0.1:$lab_port

run bsi check
is "$run_status" 4 "without enrolment check exits 4"
like "$run_err" "not enrolled" "and says so"
pass "the device enrols" bsi enroll "$url" --root "$repo/metadata/1.root.json"
run bsi enroll "$url" --root "$repo/metadata/1.root.json"
is "$run_status" 4 "a second enrolment is refused"
run bsi check --json
is "$(jq -r .action <<<"$run_out")" install "check finds (a)"
run bsi status
like "$run_out" "the base, no improvement attached" "nothing is attached yet"

run bsi install
is "$run_status" 0 "install works" || diag "$run_err"
isnt "$(sha256sum "$library")" "$old_digest" "programs read the patched library"
isnt "$(version)" "$old_version" "and run it"
is "$(bsi base -- sha256sum "$library")" "$old_digest" "the base below is the old one"
is "$(device_status .state)" exposed "the service still runs the old code"
run bsi exposure --json
like "$(jq -r '.list[].command' <<<"$run_out")" "nginx|lab" "exposure names it"
start_service
run bsi status
like "$run_out" ": protected" "after its restart the device is protected"
like "$run_out" "seal: (measured|fs-verity|dm-verity)" "the status names the seal"
is "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status --json | jq -r .state)" protected \
	"an ordinary user sees it"
is "$(setpriv --reuid 65534 --regid 65534 --clear-groups bsi status --json | jq -r '.cves_open, .exposure' | sort -u)" null \
	"and neither open CVEs nor processes"
pass "every byte verifies" bsi verify
run bsi install
like "$run_out" "nothing to do" "installing again does nothing"
run bsi run
is "$run_out$run_err" "" "run is silent without news"

run bsi remove
is "$run_status" 0 "remove works"
is "$(sha256sum "$library")" "$old_digest" "programs read the base again"
run bsi run
is "$(sha256sum "$library")" "$old_digest" "what the owner removed does not come back by itself"
run bsi install
is "$run_status" 10 "nor when it is not named"
pass "but when it is named" bsi install a
isnt "$(sha256sum "$library")" "$old_digest" "it is attached again"

pass "the publisher takes it back" publish withdraw a --action remove --reason "breaks a printer"
run bsi run
is "$run_status" 0 "run obeys"
like "$run_out" "breaks a printer" "and gives the publisher's reason"
is "$(sha256sum "$library")" "$old_digest" "the base is back"
run bsi install a
is "$run_status" 10 "a withdrawn letter is refused"
like "$(bsi history)" "withdrawn" "the history tells"

[[ $lab_real == yes ]] && lab_nginx_stop "$web"
pkill -x lab
lab_listing /usr >"$tap_dir/base-after"
pass "every name, inode and time of the base is as before" cmp "$tap_dir/base-before" "$tap_dir/base-after"
lab_nginx_stop "$web"
finish
