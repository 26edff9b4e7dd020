/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The signed list of improvements for one base: which letters there are, which were withdrawn and
 * why, and below which one policy does not let an owner go. Format, limits, rules:
 * docs/formats/index.md.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

#define INDEX_MAX_BYTES (1U << 20)
#define INDEX_ENTRIES_MAX 1024
#define INDEX_REASON_MAX_BYTES 1024

enum withdraw_action {
	WITHDRAW_NONE,
	WITHDRAW_STOP,	 /* no new installs */
	WITHDRAW_REMOVE, /* installed copies too */
	WITHDRAW_MAX,
};

struct index_entry {
	char *letter;
	uint64_t build;
	char *manifest; /* name below BASE/, see base_id_target() */
	int64_t issued_utc_s;
	enum withdraw_action withdrawn;
	char *reason;		 /* not empty when withdrawn, else NULL */
	int64_t withdrawn_utc_s; /* 0 unless withdrawn */
};

struct index {
	char *base;
	char *name;
	int64_t issued_utc_s;
	struct index_entry *entries; /* builds and letters ascending */
	size_t n_entries;
	char *minimum; /* the letter of an entry, or NULL */
};

/* Bytes to struct, as manifest_decode() does it. An index without entries is valid. */
int index_decode(const void *data, size_t len, struct index **ret, struct error *reterr) MUST_CHECK;
int index_encode(const struct index *index, struct buffer *out, struct error *reterr) MUST_CHECK;
int index_check(const struct index *index, struct error *reterr) MUST_CHECK;
void index_free(struct index *index);
DEFINE_FREEP(index)

/* The newest entry that was not withdrawn, or NULL. Borrowed. */
const struct index_entry *index_current(const struct index *index);
const struct index_entry *index_find(const struct index *index, const char *letter);
const struct index_entry *index_find_build(const struct index *index, uint64_t build);

/* "none", "stop", "remove". */
const char *withdraw_text(enum withdraw_action action);
int withdraw_parse(const char *text, enum withdraw_action *ret) MUST_CHECK;
