# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2034,SC2154
# What debootstrap makes in the machine: a tree with a shell and dpkg, from the packages that
# tests/vm/image kept; then dpkg in it installs the library and its program, with their scripts.
mirror_style release
download_style apt
finddebs_style from-indices
variants -

work_out_debs() {
	required="base-files base-passwd coreutils dash diffutils dpkg grep libc-bin sed tar zlib1g $(cd /srv/debian/pool && ls | sed -n 's/^\(lib[^_]*\|gcc-[^_]*\)_.*/\1/p' | tr '\n' ' ')"
	base=
}

first_stage_install() {
	extract $required
	touch "$TARGET/var/lib/dpkg/status" "$TARGET/var/lib/dpkg/available"
}

second_stage_install() {
	cp /srv/apt/liblab1_1.0-1_*.deb /srv/apt/lab-tools_1.0-1_*.deb "$TARGET/"
	in_target dpkg --force-all -i /liblab1_1.0-1_amd64.deb /lab-tools_1.0-1_amd64.deb
}
