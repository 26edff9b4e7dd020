/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Debian package versions: [epoch:]upstream[-revision]. Source: deb-version(7), Debian policy. */
#include "base/compiler.h"

#define DEBVERSION_MAX_BYTES 256

/* 0, or -BSI_E_FORMAT for what dpkg would not take as a version. */
int debversion_check(const char *version) MUST_CHECK;

/*
 * Below 0, 0, above 0, as dpkg orders them. Both as debversion_check() accepts them; for other
 * text the result is some order and never a fault.
 */
int debversion_compare(const char *a, const char *b);
