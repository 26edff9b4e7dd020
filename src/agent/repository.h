/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The repository as a device sees it: TUF's roles first, then the index of this device's base,
 * then manifests and payloads. Joins the rooms trust, fetch and store; nothing that it returns is
 * unverified.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "fetch/session.h"
#include "improvement/index.h"
#include "improvement/manifest.h"
#include "store/store.h"

struct repository_settings {
	struct store *store;  /* borrowed; locked by the caller where anything is fetched */
	const char *url;      /* borrowed */
	const char *base;     /* borrowed: whose index to read */
	const char *ca_file;  /* NULL for the system's authorities */
	int64_t now_utc_s;
	fetch_progress *progress; /* of payloads; may be NULL */
	void *progress_ctx;
};

struct repository;

/* Loads and verifies the stored root; no request. */
int repository_new(const struct repository_settings *settings, struct repository **ret,
	struct error *reterr) MUST_CHECK;
void repository_free(struct repository *r);
DEFINE_FREEP(repository)

/* Ask the repository for news and bring the index. Once. */
int repository_refresh(struct repository *r, struct error *reterr) MUST_CHECK;
/* The index as it was last seen, from the store alone. -ENOENT if none was seen yet. */
int repository_offline(struct repository *r, struct error *reterr) MUST_CHECK;

/* After one of the two. Borrowed; NULL before. */
const struct index *repository_index(const struct repository *r);

/*
 * The manifest of an entry of the index, fetched and verified, made for this base and this letter
 * and build. bytes get what was signed.
 */
int repository_manifest(struct repository *r, const struct index_entry *entry,
	struct buffer *bytes, struct manifest **ret, struct error *reterr) MUST_CHECK;

/*
 * A payload into the store's part file, resumed where a part is there, and its digest compared.
 * *ret_fd is readable from 0; the caller closes it, and drops the part when it is used up
 * (store_download_done).
 */
int repository_payload(struct repository *r, const struct payload *payload, int *ret_fd,
	struct error *reterr) MUST_CHECK;

/* Earliest expiry of the metadata in use. */
int64_t repository_expires_utc_s(const struct repository *r);

/* Requests, connections and bytes since it was made. */
struct repository_traffic {
	unsigned n_requests, n_connects;
	uint64_t sent_bytes, received_bytes;           /* HTTP, headers included */
	uint64_t wire_sent_bytes, wire_received_bytes; /* with TLS */
};
struct repository_traffic repository_traffic(const struct repository *r);
