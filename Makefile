# SPDX-License-Identifier: LGPL-2.1-or-later
# The two commands of the README. Everything else is meson: see HACKING.md.
BUILD ?= build

.PHONY: need-root all setup demo demo-webkit test prove deb vm bench check lint fuzz clean

all: setup
	@tools/build $(BUILD)

# Installs Debian packages that are missing; says so first.
setup:
	@tools/setup

# A real update becomes an improvement, is published, attached, withdrawn; all in private namespaces.
demo: need-root all
	@demo/run $(BUILD)

# A browser engine is patched under a real browser. Loads about 250 MB the first time; says so.
demo-webkit:
	@tools/setup webkit
	@tools/build $(BUILD)
	@demo/webkit $(BUILD)

# Every test: lint, gcc and clang, unit, integration, sanitizers, fuzz corpora.
test:
	@tools/setup vm
	@tools/check

# The packages, in a clean chroot of each release; lintian, and a second build with the same bytes.
deb:
	@tools/setup vm
	@for suite in bookworm trixie; do \
		tools/deb $$suite $(BUILD)/deb && tools/deb check $$suite $(BUILD)/deb || exit 1; \
	done

# A real Debian 12 and a real Debian 13 in virtual machines, from the packages.
vm:
	@tools/setup vm
	@status=0; for suite in bookworm trixie; do \
		tests/vm/run $(BUILD) $$suite || status=1; \
	done; exit $$status

# All benchmarks, half an hour; on a machine that does nothing else. The documents: build/bench-results.
bench: need-root all
	@tools/setup bench
	@bench/run $(BUILD)

# The long tests, on real software from the package archive: see tools/prove.
prove:
	@tools/setup webkit
	@tools/build $(BUILD)
	@tools/prove $(BUILD)

need-root:
	@[ "$$(id -u)" = 0 ] || { echo "make: root is missing: it mounts, in a namespace of its own" >&2; exit 1; }

clean:
	rm -rf build build-*
