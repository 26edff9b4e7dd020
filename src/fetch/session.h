/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Transfer of one file at a time from a static folder on a web server (HTTP/1.1, TLS) or a disk
 * into a descriptor. Nothing that arrives is believed here and nothing is verified here: whoever
 * asked checks signatures and digests. What this room owes is that no server can make it write more
 * than was allowed, wait for ever, go elsewhere, or be told anything about the device.
 *
 * A request is `GET PATH HTTP/1.1`, `Host` and, on resume, `Range: bytes=N-` with N a multiple of
 * 1 MiB: nothing else, on every device. There are no cookies, conditional requests, HSTS, Alt-Svc,
 * netrc or TLS sessions to come back with, and no variable of the environment chooses a proxy or a
 * certificate: fetch_session_use_proxy() and fetch_session_use_ca() do.
 *
 * The interface is descriptors, limits and counts, so that a process without privileges can stand
 * behind it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

#define FETCH_RANGE_BYTES (1U << 20)
#define FETCH_REDIRECTS_MAX 3
#define FETCH_HEADER_MAX_BYTES (32U << 10)

struct fetch_limits {
	long connect_timeout_s; /* name, TCP and TLS */
	long low_speed_bytes;   /* fewer bytes in a second than this ... */
	long low_speed_s;       /* ... for this long is a stall */
	long total_timeout_s;   /* for one file, redirects included */
};

/* 30 s to connect, under 100 bytes a second for 60 s is a stall, 12 hours for one file. */
extern const struct fetch_limits fetch_limits_default;

/* One connection at a time, kept for the next request to the same server. Not for two threads. */
struct fetch_session;

/* limits: NULL for the default; each must be above 0. */
int fetch_session_new(const struct fetch_limits *limits, struct fetch_session **ret,
	struct error *reterr) MUST_CHECK;
void fetch_session_free(struct fetch_session *s);
DEFINE_FREEP(fetch_session)

/* http://[USER:PASSWORD@]HOST[:PORT]; NULL for none, which is how a session starts. */
int fetch_session_use_proxy(
	struct fetch_session *s, const char *url, struct error *reterr) MUST_CHECK;

/* A PEM file with the only authorities to trust; NULL for the system's, as a session starts. */
int fetch_session_use_ca(
	struct fetch_session *s, const char *file, struct error *reterr) MUST_CHECK;

/* done and total count bytes of the whole file; total is 0 if not known. Not 0 ends the transfer.
 */
typedef int fetch_progress(void *ctx, uint64_t done, uint64_t total);

enum fetch_flags {
	FETCH_REFUSE_HTML = 1 << 0, /* a web page is a fault of its own kind: say so */
};

struct fetch_request {
	const char *url;
	int out_fd;      /* seekable; written from offset on with pwrite() */
	uint64_t offset; /* bytes of the file in out_fd already; a multiple of FETCH_RANGE_BYTES */
	uint64_t max_bytes;   /* of the whole file; above 0 */
	uint64_t exact_bytes; /* of the whole file; 0 = not known */
	enum fetch_flags flags;
	fetch_progress *progress; /* may be NULL */
	void *progress_ctx;
};

struct fetch_result {
	uint64_t bytes;      /* of the file in out_fd now, from 0; after a failure too */
	bool restarted;      /* the server would not resume: out_fd was emptied and filled from 0 */
	long http_status;    /* of the last answer; 0 for file and where none came */
	unsigned n_requests; /* redirects and a restart count */
	unsigned n_connects; /* connections made for them; 0 if the kept one served */
	uint64_t sent_bytes, received_bytes;           /* HTTP: header fields and bodies */
	uint64_t wire_sent_bytes, wire_received_bytes; /* TCP payload: those, framing and TLS */
};

/*
 * Bring one file. On success out_fd holds ret->bytes bytes and is no longer than that (as long as
 * exact_bytes where given). *ret is filled on failure as well, so that what was paid for can be
 * counted, and resumed from a multiple of FETCH_RANGE_BYTES at or below ret->bytes. ret may be
 * NULL.
 *
 * -BSI_E_MISSING   the server has no such file (404, 410, 403); no such local file
 * -BSI_E_LIMIT     more than max_bytes, by the server's own word or as they came
 * -BSI_E_TRANSFER  any other fault of address, network or server; the words say which
 * -ECANCELED       progress returned a positive value; a negative one is returned as it is
 * -errno           out_fd cannot be written (-ENOSPC), memory
 * -EINVAL          a request that makes no sense
 */
int fetch_get(struct fetch_session *s, const struct fetch_request *request,
	struct fetch_result *ret, struct error *reterr) MUST_CHECK;

/*
 * The same for a small file into memory, appended to *out; at most max_bytes, a web page is
 * refused, and it must be there within two minutes. ret may be NULL.
 */
int fetch_get_buffer(struct fetch_session *s, const char *url, size_t max_bytes, struct buffer *out,
	struct fetch_result *ret, struct error *reterr) MUST_CHECK;
