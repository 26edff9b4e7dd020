/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a web server says before it sends: the header fields of one answer, read line by line as
 * they come, and the judgement whether its body is the one that was asked for. No input, no output:
 * a lie is refused here before a byte of it is written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"

struct answer {
	long status; /* 0 before the first line */
	size_t header_bytes;
	bool has_length, has_range, has_total, unsatisfied, chunked, has_location;
	uint64_t length;             /* Content-Length */
	uint64_t first, last, total; /* Content-Range: bytes first-last/total */
	char encoding[32];           /* Content-Encoding, if it is one */
	char content_type[64];       /* cut */
	char location[2048];
};

/* What was asked for. */
struct question {
	const char *url_shown;
	uint64_t offset, max_bytes, exact_bytes; /* as in struct fetch_request */
	bool refuse_html;
};

enum answer_kind {
	ANSWER_NONE,     /* interim (1xx), or nothing yet */
	ANSWER_BODY,     /* the body goes on at the offset that was asked for */
	ANSWER_WHOLE,    /* the body is the whole file, from 0 */
	ANSWER_REDIRECT, /* to answer.location */
	ANSWER_RESTART,  /* the range cannot be had: ask again from 0 */
	ANSWER_MISSING,  /* 403, 404, 410 */
	ANSWER_STATUS,   /* any other status: a failure */
};

/*
 * Read one line of the header, with or without its end; a status line starts a new answer and keeps
 * the count of header bytes. -BSI_E_TRANSFER for what no honest server sends, with words that
 * lack the address.
 */
int answer_read_line(
	struct answer *a, const char *line, size_t len, struct error *reterr) MUST_CHECK;

/* Whether this line ends a header. */
bool answer_is_end(const char *line, size_t len);

/*
 * Judge a complete header. *ret is set on success: what to do with what follows. -BSI_E_TRANSFER or
 * -BSI_E_LIMIT with the whole message if the answer is not one to this question.
 */
int answer_judge(const struct answer *a, const struct question *q, enum answer_kind *ret,
	struct error *reterr) MUST_CHECK;

/* The message and code for ANSWER_MISSING and ANSWER_STATUS. */
int answer_failure(const struct answer *a, const struct question *q, struct error *reterr);

/* Bytes of the whole file as the answer says; 0 if it does not. */
uint64_t answer_total(const struct answer *a, enum answer_kind kind);
