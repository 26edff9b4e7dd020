#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bsi-publish on real packages: two versions of OpenSSL's library that the archive offers today.
# shellcheck source=tests/integration/tap.sh
. "$BSI_TESTS/integration/tap.sh"

command -v apt-get >/dev/null || skip_all "apt-get is not installed"
publish=$(find "$BSI_STAGE" -name bsi-publish -type f -perm -u+x | head -n 1)
[[ $publish ]] || skip_all "bsi-publish is not in $BSI_STAGE"
cd "$tap_dir" || exit 1
arch=$(dpkg --print-architecture)
base=debian:12:$arch

# the newest two versions, newest first
mapfile -t versions < <(apt-cache madison libssl3 2>/dev/null | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' |
	sort -uVr | head -n 2)
((${#versions[@]} == 2)) || skip_all "the archive offers fewer than two versions of libssl3"
diag "libssl3 ${versions[1]} -> ${versions[0]}"
for i in 0 1; do
	mkdir "v$i"
	for package in libssl3 openssl; do
		(cd "v$i" && apt-get -qq download "$package=${versions[i]}" 2>/dev/null) ||
			skip_all "the archive cannot be reached: $package ${versions[i]}"
	done
done

pass "init" "$publish" init repo --base "$base" --no-passphrase
run "$publish" plan --base "$base" --from v1 --to v0
is "$run_status" 0 "plan"
like "$run_out" "file /usr/lib/[^ ]*/libcrypto.so.3 " "libcrypto changes"
like "$run_out" "component openssl" "and so does the program"
like "$run_out" "left-out in libssl3: libssl3: " "documentation is left out"
providers=$(grep -nE '/lib(crypto|ssl)\.so\.3 ' <<<"$run_out" | sed 's/:.*lib\(crypto\|ssl\).*/ \1/' |
	awk '{ printf "%s ", $2 }')
is "$providers" "crypto ssl " "libcrypto comes before libssl, which needs it"
run "$publish" add repo --base "$base" --from v1 --to v0 --cve-named
is "$run_status" 0 "add"
pass "verify" "$publish" verify repo
if command -v dpkg-deb >/dev/null; then
	for i in 0 1; do
		mkdir -p "root$i"/var/lib/dpkg/{info,updates} "root$i"/usr/lib && ln -s usr/lib "root$i/lib"
		: >"root$i/var/lib/dpkg/status"
		for deb in "v$i"/*.deb; do
			dpkg-deb -x "$deb" "root$i"
			dpkg-deb -f "$deb" | sed 's/^Version/Status: install ok installed\n&/' >>"root$i/var/lib/dpkg/status"
			echo >>"root$i/var/lib/dpkg/status"
			name=$(dpkg-deb -f "$deb" Package)
			dpkg-deb -c "$deb" | awk '{ print $6 }' | sed 's,^\.,,; s,/$,,; s,^$,/.,' \
				>"root$i/var/lib/dpkg/info/$name:$arch.list"
			dpkg-deb -e "$deb" control && cp control/md5sums "root$i/var/lib/dpkg/info/$name:$arch.md5sums"
		done
	done
	pass "init for root trees" "$publish" init roots --base "$base" --no-passphrase
	pass "add from root trees" "$publish" add roots --base "$base" --from root1 --to root0 --cve-named
	if ((EUID == 0)); then
		is "$(cd "roots/targets/$base" && find . -name '*.full.zst' | sort)" \
			"$(cd "repo/targets/$base" && find . -name '*.full.zst' | sort)" \
			"gives the same images as from packages"
	else
		skip "gives the same images as from packages" "unpacking keeps owners for root only"
	fi
	printf 'changed' >>"root1/usr/bin/openssl"
	run "$publish" plan --base "$base" --from root1 --to root0
	is "$run_status" 13 "a base file that is not its package's is refused"
	like "$run_out" "not what its package shipped" "and the plan says why"
fi

# ---- rebuilt files: what is left out is what bsi-delta calls equivalent, and nothing else --------
delta=$(find "$BSI_STAGE" -name bsi-delta -type f -perm -u+x | head -n 1)
# json EXPRESSION: of the document d that the last run printed
json() {
	python3 -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" <<<"$run_out"
}
# rebuilt PACKAGE: its newest two versions in p0 and p1, unpacked in t0 and t1; false if there are none
rebuilt() {
	local i version

	command -v python3 >/dev/null && command -v dpkg-deb >/dev/null && [[ $delta ]] || return
	mapfile -t version < <(apt-cache madison "$1" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' |
		sort -uVr | head -n 2)
	((${#version[@]} == 2)) || return
	for i in 0 1; do
		mkdir -p "p$i" && (cd "p$i" && apt-get -qq download "$1=${version[i]}" 2>/dev/null) || return
		dpkg-deb -x "p$i"/*.deb "t$i" || return
	done
	diag "$1 ${version[1]} -> ${version[0]}"
}
# verdicts PATH...: what bsi-delta says about each, once
verdicts() {
	local path

	for path; do
		[[ -e t1/$path ]] || path=${path#usr/}
		[[ $(head -c 4 "t1/$path" | tail -c 3) == ELF ]] || continue
		"$delta" info --equivalent "t1/$path" "t0/$path" | sed 's/:.*//'
	done | sort -u | tr '\n' ' '
}
if rebuilt sudo; then
	run "$publish" plan --base "$base" --from p1 --to p0 --json
	is "$run_status" 0 "plan of a package with rebuilt files"
	mapfile -t left_out < <(json '"\n".join(p for c in d["components"] for p in c["equivalent"])')
	mapfile -t taken < <(json '"\n".join(f["path"] for c in d["components"] for f in c["files"])')
	diag "${#left_out[@]} left out, ${#taken[@]} taken"
	is "$(json '"\n".join(sorted(n["subject"] for n in d["notes"] if n["kind"] == "equivalent"))')" \
		"$(printf '%s\n' "${left_out[@]}" | LC_ALL=C sort)" "each one has its note"
	is "$(verdicts "${left_out[@]}")" "equivalent " "what is left out is equivalent"
	is "$(verdicts "${taken[@]}")" "different " "and what is taken is not"
	"$publish" init lean --base "$base" --no-passphrase >/dev/null
	run "$publish" add lean --base "$base" --from p1 --to p0 --json
	is "$(json '[len(c["files"]) for c in d["components"]]')" "[${#taken[@]}]" "the manifest does not know of it"
	like "$run_err" "${#left_out[@]} rebuilt files without a change left out" "add says how many"
	run "$publish" plan --base "$base" --from p1 --to p0 --keep-equivalent --json
	is "$(json '[len(c["files"]) for c in d["components"]]')" "[$((${#taken[@]} + ${#left_out[@]}))]" \
		"--keep-equivalent takes all in"
else
	skip "plan of a package with rebuilt files" "the archive offers one version of sudo only"
fi

rm -f v0/openssl_*.deb
mapfile -t old < <(apt-cache madison libssl3 | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -uVr | sed -n 3p)
if ((${#old[@]} == 1)) && mkdir v2 && (cd v2 && apt-get -qq download "libssl3=${old[0]}" 2>/dev/null); then
	rm -f v1/openssl_*.deb
	pass "init for two base states" "$publish" init states --base "$base" --no-passphrase
	run "$publish" add states --base "$base" --from v2 --from v1 --to v0 --json
	like "$run_out" '"sets": 2' "one image for two states of a base"
	pass "which verifies" "$publish" verify states
else
	skip "one image for two states of a base" "the archive offers two versions only"
fi
finish
