/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Rules for the texts that manifests and indexes carry; they reach terminals and file names. */
#include <stdbool.h>
#include <stddef.h>

/*
 * For people: up to max bytes of UTF-8 without control characters (C0, DEL, C1). Whether it is
 * UTF-8 at all is the JSON reader's and writer's check.
 */
bool text_is_plain(const char *text, size_t max_bytes);

/* One of ours: 1..max bytes of [a-z0-9.+-], beginning with a letter or digit. */
bool text_is_name(const char *text, size_t max_bytes);

/* 1..max printable ASCII bytes without blanks, quotes and backslash. */
bool text_is_word(const char *text, size_t max_bytes);

/* "CVE-2026-1234": four digits of a year, four to ten of a number. */
bool text_is_cve(const char *text);
