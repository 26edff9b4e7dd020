/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Text from outside (metadata, servers, process names) on its way to a terminal, a log or JSON: what
 * is left is valid UTF-8 without control characters, C0 and C1 and DEL, so that it can neither
 * steer a terminal nor break a document.
 */
#include <stddef.h>

/* In place; each byte that may not stay becomes '?', so the length does not change. */
void text_clean(char *text);
