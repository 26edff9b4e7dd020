/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * TUF metadata as it was downloaded, one file for each role. The signatures are those of struct
 * trust_io, with a struct store * as ctx. Nothing here is believed: the trust room verifies what
 * it loads. Names are raw ("debian:12:amd64.json"): one path component, not beginning with a dot.
 */
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "store/store.h"

/* The stored bytes, appended to *out. -ENOENT if there are none, -BSI_E_LIMIT above max. */
int store_trust_load(void *ctx, const char *name, size_t max, struct buffer *out) MUST_CHECK;
/* Durable when it returns 0: the old or the new bytes are there after a cut, whole. */
int store_trust_save(void *ctx, const char *name, const void *data, size_t len) MUST_CHECK;
/* 0 also when it was not there. */
int store_trust_drop(void *ctx, const char *name) MUST_CHECK;
/* Every file of it, when the device is enrolled elsewhere. -BSI_E_BUSY without the lock. */
int store_trust_clear(struct store *s, struct error *reterr) MUST_CHECK;
