/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Letters, the public names of improvements: a, b, ... z, aa, ab, ... They order what people see;
 * programs go by the build number. A letter never enters os-release or a user agent.
 */
#include <stddef.h>

#include "base/compiler.h"

/* 475254 improvements of one base; more letters than that are nobody's name for anything. */
#define LETTER_MAX_LEN 4

struct letter_text {
	char text[LETTER_MAX_LEN + 1];
};

/* One to four of a-z, or -BSI_E_FORMAT. */
int letter_check(const char *letter) MUST_CHECK;

/*
 * "a" -> "b", "z" -> "aa"; NULL -> "a". -BSI_E_FORMAT for what is no letter, -BSI_E_LIMIT after
 * the last one; *ret is set on success only.
 */
int letter_next(const char *letter, struct letter_text *ret) MUST_CHECK;

/* Below, equal, above: as strcmp() does. Both as letter_check() accepts them. */
int letter_compare(const char *a, const char *b);
