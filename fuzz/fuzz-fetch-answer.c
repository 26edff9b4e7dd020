/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first byte chooses the question, the rest is the header that a server sends. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MIB (UINT64_C(1) << 20)

static void check(const struct answer *a, const struct question *q)
{
	enum answer_kind kind;
	uint64_t total;

	if (answer_judge(a, q, &kind, NULL) < 0)
		return;
	total = answer_total(a, kind);
	if ((kind == ANSWER_BODY && (q->offset == 0 || a->first != q->offset)) ||
		total > q->max_bytes || (total && q->exact_bytes && total != q->exact_bytes))
		abort();
	if (kind == ANSWER_REDIRECT && memchr(a->location, '\0', sizeof a->location) == NULL)
		abort();
	if ((kind == ANSWER_MISSING || kind == ANSWER_STATUS) && answer_failure(a, q, NULL) >= 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer a = {};
	struct question q = {.url_shown = "http://h/x", .max_bytes = 4000000};
	const char *at = (const char *)data + 1;
	size_t left;

	if (size < 1)
		return 0;
	q.offset = data[0] & 1 ? MIB : 0;
	q.exact_bytes = data[0] & 2 ? 3000000 : 0;
	q.refuse_html = data[0] & 4;
	for (left = size - 1; left;) {
		const char *newline = memchr(at, '\n', left);
		size_t n = newline ? (size_t)(newline - at) + 1 : left;

		if (answer_read_line(&a, at, n, NULL) < 0)
			return 0;
		if (answer_is_end(at, n))
			check(&a, &q);
		at += n;
		left -= n;
	}
	return 0;
}
