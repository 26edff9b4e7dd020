/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What happened on this device, for its owner: history.db (SQLite, rollback journal). Nothing is
 * decided by it. It takes SQLite's own locks and needs no store_lock().
 */
#include <stdint.h>

#include "base/json.h"
#include "store/store.h"

#define HISTORY_ROWS_MAX 10000 /* older rows make room, so that it never grows without end */
#define HISTORY_DETAIL_MAX_BYTES (64U << 10)

/*
 * Append one event, durable when it returns 0.
 *
 * @event   short word: "install", "remove", "withdrawn", ...
 * @letter  may be NULL
 * @detail  an object, borrowed; may be NULL
 */
int store_history_add(struct store *s, int64_t utc_s, const char *event, const char *letter,
	const json_t *detail, struct error *reterr) MUST_CHECK;

/*
 * The newest `limit` events, newest first: an array of {"id","utc","event","letter","detail"},
 * utc as text, letter and detail null where there is none. The caller owns *ret.
 */
int store_history_list(struct store *s, unsigned limit, json_t **ret, struct error *reterr)
	MUST_CHECK;
