# SPDX-License-Identifier: LGPL-2.1-or-later
# The two commands of the README. Everything else is meson: see HACKING.md.
BUILD ?= build

.PHONY: all setup demo test check lint fuzz clean

all: setup
	@tools/build $(BUILD)

# Installs Debian packages that are missing; says so first.
setup:
	@tools/setup

# A real update becomes an improvement, is published, attached, withdrawn; all in private namespaces.
demo: all
	@demo/run $(BUILD)

# Every test: lint, gcc and clang, unit, integration, sanitizers, fuzz corpora.
test: setup
	@tools/check

clean:
	rm -rf build build-*
