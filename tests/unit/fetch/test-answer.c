/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fetch/answer.h"
#include "fetch/session.h"

#define MIB (UINT64_C(1) << 20)

/* A whole header, given as libcurl gives it: line by line. */
static int read_header(struct answer *a, const char *text, size_t len, struct error *reterr)
{
	while (len) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) + 1 : len;
		int r = answer_read_line(a, text, n, reterr);

		if (r < 0)
			return r;
		text += n;
		len -= n;
	}
	return 0;
}

static int judge(const char *header, const struct question *q, struct answer *a,
	enum answer_kind *ret, struct error *reterr)
{
	int r;

	*a = (struct answer){};
	r = read_header(a, header, strlen(header), reterr);
	return r < 0 ? r : answer_judge(a, q, ret, reterr);
}

struct row {
	const char *header;
	uint64_t offset, exact_bytes;
	int code;
	enum answer_kind kind;
	uint64_t total;
	const char *words;
};

static const struct row rows[] = {
	{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 0, 0, 0, ANSWER_WHOLE, 100, NULL},
	{"HTTP/1.0 200\r\ncontent-length:100\r\n\r\n", 0, 100, 0, ANSWER_WHOLE, 100, NULL},
	{"HTTP/1.1 200 OK\r\n\r\n", 0, 100, 0, ANSWER_WHOLE, 0, NULL},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", 0, 100, 0, ANSWER_WHOLE, 0, NULL},
	{"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", MIB, 3000000, 0, ANSWER_WHOLE,
		3000000, NULL},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/3000000\r\n\r\n", MIB, 3000000, 0,
		ANSWER_BODY, 3000000, NULL},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/*\r\nContent-Length: "
	 "1951424\r\n\r\n",
		MIB, 0, 0, ANSWER_BODY, 3000000, NULL},
	{"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\n\r\n", MIB, 0, 0, ANSWER_RESTART, 0, NULL},
	{"HTTP/1.1 416 No\r\n\r\n", 0, 0, 0, ANSWER_STATUS, 0, NULL},
	{"HTTP/1.1 302 F\r\nLocation: /x\r\n\r\n", 0, 0, 0, ANSWER_REDIRECT, 0, NULL},
	{"HTTP/1.1 302 F\r\nLocation:\r\n\r\n", 0, 0, 0, ANSWER_STATUS, 0, NULL},
	{"HTTP/1.1 304 N\r\n\r\n", 0, 0, 0, ANSWER_STATUS, 0, NULL},
	{"HTTP/1.1 404 N\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n", 0, 0, 0,
		ANSWER_MISSING, 0, NULL},
	{"HTTP/1.1 403 N\r\n\r\n", 0, 0, 0, ANSWER_MISSING, 0, NULL},
	{"HTTP/1.1 410 N\r\n\r\n", 0, 0, 0, ANSWER_MISSING, 0, NULL},
	{"HTTP/1.1 503 N\r\n\r\n", 0, 0, 0, ANSWER_STATUS, 0, NULL},
	{"HTTP/1.1 100 C\r\n\r\n", 0, 0, 0, ANSWER_NONE, 0, NULL},
	/* An interim answer's fields are not the final one's. */
	{"HTTP/1.1 103 E\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
	 "100\r\n\r\n",
		0, 100, 0, ANSWER_WHOLE, 100, NULL},
	{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Length: 100\r\n\r\n", 0, 100, 0,
		ANSWER_WHOLE, 100, NULL},

	{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 0, 100, -BSI_E_TRANSFER, 0, 0,
		"has 99 bytes, 100 were expected"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 100, -BSI_E_TRANSFER, 0, 0,
		"has 0 bytes, 100 were expected"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 4000001\r\n\r\n", 0, 0, -BSI_E_LIMIT, 0, 0,
		"has 4000001 bytes, at most 4000000 are allowed"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"no number"},
	{"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "no number"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", 0, 0, -BSI_E_TRANSFER,
		0, 0, "no number"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, 0, -BSI_E_TRANSFER,
		0, 0, "two Content-Lengths"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0,
		-BSI_E_TRANSFER, 0, 0, "two lengths for one body"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"nobody asked for"},
	{"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"Content-Encoding: br"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 0-99/100\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"whole was asked for"},
	{"HTTP/1.1 206 P\r\n\r\n", MIB, 0, -BSI_E_TRANSFER, 0, 0, "without saying which"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes */100\r\n\r\n", MIB, 0, -BSI_E_TRANSFER, 0, 0,
		"without saying which"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 0-2999999/3000000\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "from 0 on, from 1048576 on"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999998/3000000\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "up to 2999999 of 3000000"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/2999999\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "makes no sense"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-5/3000000\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "makes no sense"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/3000000 x\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "makes no sense"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-18446744073709551615/*\r\n\r\n", MIB, 0,
		-BSI_E_TRANSFER, 0, 0, "makes no sense"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999998/*\r\n\r\n", MIB, 3000000,
		-BSI_E_TRANSFER, 0, 0, "has 2999999 bytes, 3000000 were expected"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-4000000/*\r\n\r\n", MIB, 0, -BSI_E_LIMIT,
		0, 0, "at most 4000000"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/3000000\r\nContent-Length: "
	 "5\r\n\r\n",
		MIB, 0, -BSI_E_TRANSFER, 0, 0, "do not agree"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1048576-2999999/3000000\r\n"
	 "Content-Range: bytes 1048576-2999999/3000000\r\n\r\n",
		MIB, 0, -BSI_E_TRANSFER, 0, 0, "two Content-Ranges"},
	{"HTTP/1.1 206 P\r\nContent-Range: pages 1-2/3\r\n\r\n", MIB, 0, -BSI_E_TRANSFER, 0, 0,
		"not in bytes"},
	{"HTTP/1.1 206 P\r\nContent-Range: bytes 1-\r\n\r\n", MIB, 0, -BSI_E_TRANSFER, 0, 0,
		"cannot be read"},
	{"HTTP/1.1 302 F\r\nLocation: /x\r\nLocation: /y\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"two Locations"},
	{"HTTP/2 200\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "does not speak HTTP/1"},
	{"HTTP/1.1 20\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "does not speak HTTP/1"},
	{"HTTP/1.1 2000 OK\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "does not speak HTTP/1"},
	{"HTTP/1.1 200OK\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "does not speak HTTP/1"},
	{"HTTP/1.1 200 OK\r\nContent-Encoding:\r\n gzip\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0,
		"more than one line"},
	{"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", 0, 0, -BSI_E_TRANSFER, 0, 0, "no field"},
};

static struct question question_of(const struct row *row)
{
	return (struct question){"http://h/x", row->offset, 4000000, row->exact_bytes, false};
}

static void test_judge_follows_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct question q = question_of(row);
		enum answer_kind kind = ANSWER_NONE;
		struct answer a;
		struct error e = {};
		int r = judge(row->header, &q, &a, &kind, &e);

		if (r != row->code || (r == 0 && kind != row->kind))
			fail_msg("%s: %d, kind %d: %s", row->header, r, (int)kind, e.text);
		if (r == 0)
			assert_int_equal(answer_total(&a, kind), row->total);
		else if (!strstr(e.text, row->words))
			fail_msg("%s: no \"%s\" in: %s", row->header, row->words, e.text);
	}
}

static void test_judge_names_a_web_page(void **state)
{
	const char *page =
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n";
	struct question q = {"http://h/x", 0, 100, 0, true};
	enum answer_kind kind = ANSWER_NONE;
	struct answer a;
	struct error e = {};

	(void)state;
	assert_int_equal(judge(page, &q, &a, &kind, &e), -BSI_E_TRANSFER);
	assert_non_null(strstr(e.text, "a web page (text/html) where signed metadata was due"));
	q.refuse_html = false;
	assert_int_equal(judge(page, &q, &a, &kind, &e), 0);
	q.exact_bytes = 50;
	assert_int_equal(judge(page, &q, &a, &kind, &e), -BSI_E_TRANSFER);
	assert_non_null(strstr(e.text, "login page"));
}

/* Whatever the bytes: a body is taken only from the offset, up to the length, below the limit. */
static void assert_honest(const struct answer *a, const struct question *q, enum answer_kind kind)
{
	uint64_t total = answer_total(a, kind);

	assert_true(kind != ANSWER_BODY || (q->offset && a->first == q->offset));
	assert_true(total <= q->max_bytes);
	assert_true(total == 0 || q->exact_bytes == 0 || total == q->exact_bytes);
}

static void test_judge_survives_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t n = 0; n < strlen(rows[i].header); n++) {
			/* A copy of exact size, so that a sanitizer sees a read behind it. */
			AUTO_FREE char *cut = malloc(n ? n : 1);
			struct question q = question_of(&rows[i]);
			enum answer_kind kind = ANSWER_NONE;
			struct answer a = {};

			memcpy(cut, rows[i].header, n);
			if (read_header(&a, cut, n, NULL) == 0 &&
				answer_judge(&a, &q, &kind, NULL) == 0)
				assert_honest(&a, &q, kind);
		}
	}
}

static void test_judge_survives_flips(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].header);

		for (size_t bit = 0; bit < len * 8; bit++) {
			AUTO_FREE char *flipped = malloc(len);
			struct question q = question_of(&rows[i]);
			enum answer_kind kind = ANSWER_NONE;
			struct answer a = {};

			memcpy(flipped, rows[i].header, len);
			flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << (bit % 8)));
			if (read_header(&a, flipped, len, NULL) == 0 &&
				answer_judge(&a, &q, &kind, NULL) == 0)
				assert_honest(&a, &q, kind);
		}
	}
}

static void test_header_ends_somewhere(void **state)
{
	struct answer a = {};
	struct error e = {};
	size_t n = 0;

	(void)state;
	while (answer_read_line(&a, "HTTP/1.1 100 C\r\n", 16, &e) == 0)
		n += 16;
	assert_int_equal(n, FETCH_HEADER_MAX_BYTES);
	assert_non_null(strstr(e.text, "without end"));
}

static void test_failure_names_the_status(void **state)
{
	static const struct {
		long status;
		int code;
		const char *words;
	} failures[] = {
		{0, -BSI_E_TRANSFER, "no final answer"},
		{204, -BSI_E_TRANSFER, "204 (no content)"},
		{302, -BSI_E_TRANSFER, "302 (a redirect that leads nowhere)"},
		{401, -BSI_E_TRANSFER, "401 (a password is wanted)"},
		{403, -BSI_E_MISSING, "403"},
		{404, -BSI_E_MISSING, "not on the server (404)"},
		{407, -BSI_E_TRANSFER, "407 (the proxy"},
		{429, -BSI_E_TRANSFER, "try again later"},
		{499, -BSI_E_TRANSFER, "answered 499"},
		{503, -BSI_E_TRANSFER, "try again later"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct answer a = {.status = failures[i].status};
		struct question q = {"http://h/x", 0, 100, 0, false};
		struct error e = {};

		assert_int_equal(answer_failure(&a, &q, &e), failures[i].code);
		assert_non_null(strstr(e.text, failures[i].words));
		assert_ptr_equal(strstr(e.text, "http://h/x: "), e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge_follows_the_table),
		cmocka_unit_test(test_judge_names_a_web_page),
		cmocka_unit_test(test_judge_survives_truncation),
		cmocka_unit_test(test_judge_survives_flips),
		cmocka_unit_test(test_header_ends_somewhere),
		cmocka_unit_test(test_failure_names_the_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
