#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian 12 and Debian 13 in one repository: two devices, each a small system of its own release,
# at one web server. Each has its own letters, and neither asks for anything of the other's.
# shellcheck disable=SC2154
. "$BSI_TESTS/integration/tap.sh" || exit 99
. "$BSI_TESTS/integration/device.sh" || exit 99
. "$BSI_TESTS/integration/release.sh" || exit 99
command -v apt-get >/dev/null || skip_all "apt-get is not installed"
device_in_lab "$0"

arch=$(dpkg --print-architecture)
cache=$BSI_BUILD/packages
# what the engine and lab_tree run on, in each release's names
engine=(base-files dpkg coreutils mount libjansson4 libsqlite3-0 libzstd1 libsystemd0)
release_load "$cache/bookworm" bookworm libssl3 "${engine[@]}" libcurl4 ||
	skip_all "the archive offers no two versions of libssl3 for Debian 12"
old12=$release_old new12=$release_new
release_load "$cache/trixie" trixie libssl3t64 "${engine[@]}" libcurl4t64 ||
	skip_all "the archive offers no two versions of libssl3t64 for Debian 13"
old13=$release_old new13=$release_new
diag "Debian 12: libssl3 $old12 -> $new12; Debian 13: libssl3t64 $old13 -> $new13"

# ---- two devices -----------------------------------------------------------------------------
release_tree "$cache/bookworm" "$tap_dir/bookworm" || exit 99
release_tree "$cache/trixie" "$tap_dir/trixie" || exit 99
for release in bookworm trixie; do
	lab_tree "$tap_dir/$release.device" "$tap_dir/$release" "$BSI_STAGE" || exit 99
	at_exit "kill $lab_tree_pid"
	declare "pid_$release=$lab_tree_pid" "root_$release=$lab_tree_root"
done
# on RELEASE VERB...: bsi on that device; what it asks for goes into RELEASE.requests
on() {
	local release=$1 pid=pid_$1 status=0
	shift
	lab_tree_pid=${!pid} lab_in_tree /usr/local/bin/bsi "$@" || status=$?
	# the one worker writes its log in order: with this answered, all before it is there
	exec 3<>"/dev/tcp/127.0.0.1/$lab_port" && printf 'GET /mark HTTP/1.0\r\n\r\n' >&3 && cat <&3 >/dev/null
	exec 3>&-
	grep -v 'GET /mark ' "$requests" >>"$tap_dir/$release.requests"
	: >"$requests"
	return $status
}
# library RELEASE: the digest of the TLS library that the device's programs open
library() {
	local root=root_$1
	sha256sum <"$(echo "${!root}"/usr/lib/*-linux-gnu/libssl.so.3)"
}
# packaged RELEASE old|new: the same of the one in a package
packaged() {
	dpkg-deb --fsys-tarfile "$cache/$1/$2"/*.deb | tar -xO --wildcards '*/libssl.so.3' | sha256sum
}
letter() { on "$1" status --json | jq -r .letter; }

twelve=debian:12:$arch thirteen=debian:13:$arch
# publish_on BASE VERB OPTION...
publish_on() {
	# shellcheck disable=SC2034 # for publish()
	local base=$1
	shift
	publish "$@"
}
web=$tap_dir/web requests=$tap_dir/web/access.log
mkdir "$web"
bsi-publish init "$repo" --base "$twelve" --keys "$keys" --no-passphrase >/dev/null || exit 99
pass "an improvement for Debian 12" publish_on "$twelve" add --from "$cache/bookworm/old" \
	--to "$cache/bookworm/new" --cve-named
lab_nginx "$web" "$repo" || exit 99
at_exit "lab_nginx_stop '$web'"
url=http://127.0.0.1:$lab_port
for release in bookworm trixie; do
	root=root_$release
	cp "$repo/metadata/1.root.json" "${!root}/etc/bsi-root.json"
done
pass "Debian 12 enrols" on bookworm enroll "$url" --root /etc/bsi-root.json
run on trixie enroll "$url" --root /etc/bsi-root.json
is "$run_status" 9 "Debian 13 cannot: the repository is not for it yet"
like "$run_err" "$thirteen" "and the base is named"
pass "the publisher extends the repository" publish_on "$thirteen" extend
pass "an improvement for Debian 13" publish_on "$thirteen" add --from "$cache/trixie/old" \
	--to "$cache/trixie/new" --cve-named
pass "a repository with both verifies" bsi-publish verify "$repo"
pass "now Debian 13 enrols, with the first root" on trixie enroll "$url" --root /etc/bsi-root.json

# ---- each takes its own ----------------------------------------------------------------------
for release in bookworm trixie; do
	is "$(library "$release")" "$(packaged "$release" old)" "$release: the base is the older version"
	pass "$release: install" on "$release" install
	is "$(letter "$release")" a "$release: it has its (a)"
	is "$(library "$release")" "$(packaged "$release" new)" "$release: programs open the newer library"
	pass "$release: every byte verifies" on "$release" verify
done
is "$(on bookworm status --json | jq -r .base)" "$twelve" "one is Debian 12"
is "$(on trixie status --json | jq -r .base)" "$thirteen" "the other is Debian 13"

# ---- letters are each base's own -------------------------------------------------------------
pass "(a) of Debian 13 is withdrawn" publish_on "$thirteen" withdraw a --action remove --reason "a printer"
run on bookworm run
is "$run_status$run_out$run_err" 0 "Debian 12 hears nothing of it"
is "$(letter bookworm)" a "and keeps its (a)"
on trixie run >/dev/null 2>&1
is "$(letter trixie)" null "Debian 13 gives it back"
is "$(library trixie)" "$(packaged trixie old)" "down to its base"
pass "a second letter for Debian 13 alone" publish_on "$thirteen" add --from "$cache/trixie/old" \
	--to "$cache/trixie/new" --cve-named --text "once more"
run bsi-publish list "$repo" --json
is "$(jq -c '[.bases[] | [.base, .current]]' <<<"$run_out")" \
	"[[\"$twelve\",\"a\"],[\"$thirteen\",\"b\"]]" "the lists are two"
on trixie run >/dev/null 2>&1
is "$(letter trixie)" b "Debian 13 has its (b)"
pass "a minimum for Debian 12" publish_on "$twelve" minimum a
pass "refresh --all" bsi-publish refresh "$repo" --all --keys "$keys"
for release in bookworm trixie; do
	pass "$release: checks against the renewed roles" on "$release" check
	# both see each other's and the machine's processes, of some of which nothing can be told
	like "$(on "$release" status --json | jq -r .state)" '^(protected|unchecked)$' "$release: is in effect"
done
pass "the repository verifies after all that" bsi-publish verify "$repo"
for release in bookworm trixie; do
	pass "$release: remove" on "$release" remove --below-minimum
	is "$(library "$release")" "$(packaged "$release" old)" "$release: the base is back"
done

# ---- in all that time neither asked for anything of the other's ---------------------------------
# Everything in a log that belongs to one base alone: its role, and what lies in its folder.
of_base() {
	grep -oE '"GET [^ ]+' "$1" | python3 -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.stdin.read()))' |
		grep -F "$2"
}
for release in bookworm trixie; do
	log=$tap_dir/$release.requests
	if [[ $release == bookworm ]]; then own=$twelve other=$thirteen; else own=$thirteen other=$twelve; fi
	like "$(of_base "$log" "$own")" "metadata/[0-9]+\.$own\.json" "$release: asked for its own role"
	like "$(of_base "$log" "$own")" "targets/$own/[0-9a-f]+\.manifest" "$release: its own manifest"
	like "$(of_base "$log" "$own")" "targets/$own/[0-9a-f]+\.[0-9a-f.]+(full\.zst|delta)" "$release: its own payload"
	is "$(of_base "$log" "$other")" "" "$release: for nothing of the other base"
done
stored() { find "$tap_dir/$1.device/state" -name "debian*.json" -printf '%f\n' | LC_ALL=C sort -u; }
like "$(stored bookworm)" '^debian%3A12%3A[^%]*\.json$' "Debian 12 stores its own role alone"
like "$(stored trixie)" '^debian%3A13%3A[^%]*\.json$' "and Debian 13 its own"

finish
