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

struct remote_settings {
	struct store *store;  /* borrowed; locked by the caller where news are asked for */
	const char *url;      /* copied */
	const char *base;     /* copied: whose index to read */
	const char *ca_file;  /* NULL for the system's authorities */
	int64_t now_utc_s;
	fetch_progress *progress; /* of payloads; may be NULL */
	void *progress_ctx;
};

struct remote;

/* Loads and verifies the stored root; no request. */
int remote_new(const struct remote_settings *settings, struct remote **ret,
	struct error *reterr) MUST_CHECK;
void remote_free(struct remote *r);
DEFINE_FREEP(remote)

/* Ask the repository for news and bring the index. Once. */
int remote_refresh(struct remote *r, struct error *reterr) MUST_CHECK;
/*
 * The index as it was last seen, from the store alone, which saved it after it was verified: a
 * server that withholds the index that its roles list cannot make a seen withdrawal forgotten.
 * -ENOENT if none was seen yet. On a remote that was not asked.
 */
int remote_offline(struct remote *r, struct error *reterr) MUST_CHECK;

/* After one of the two. Borrowed; NULL before. */
const struct index *remote_index(const struct remote *r);

/*
 * For who let go of the state meanwhile: whether what is known still is what a new remote, of which
 * nothing was asked yet, would be by: repository, base, and what was seen last.
 */
bool remote_is_as(struct remote *r, const struct remote *now) MUST_CHECK;

/*
 * The manifest of an entry of the index, fetched and verified, made for this base and this letter
 * and build. bytes get what was signed.
 */
int remote_manifest(struct remote *r, const struct index_entry *entry,
	struct buffer *bytes, struct manifest **ret, struct error *reterr) MUST_CHECK;

/* Whether that takes no request. */
bool remote_has_manifest(struct remote *r, const struct index_entry *entry) MUST_CHECK;

/*
 * Under the store's lock for loading: a payload into the store's part file, resumed where a part is
 * there, and its digest compared.
 * *ret_fd is readable from 0; the caller closes it, and drops the part when it is used up
 * (store_download_done).
 */
int remote_payload(struct remote *r, const struct payload *payload, int *ret_fd,
	struct error *reterr) MUST_CHECK;

/* Earliest expiry of the metadata in use. */
int64_t remote_expires_utc_s(const struct remote *r);

/* Requests, connections and bytes since it was made. */
struct remote_traffic {
	unsigned n_requests, n_connects;
	uint64_t sent_bytes, received_bytes;           /* HTTP, headers included */
	uint64_t wire_sent_bytes, wire_received_bytes; /* with TLS */
};
struct remote_traffic remote_traffic(const struct remote *r);
