/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* The body of a 404 is read to its end, so that the connection lives on, but not at any price. */
#define DROPPED_MAX_BYTES (64U << 10)

static bool takes_body(const struct exchange *x)
{
	return x->kind == ANSWER_BODY || x->kind == ANSWER_WHOLE;
}

static int begin_body(struct exchange *x)
{
	const struct question *q = &x->question;
	int r = answer_judge(&x->answer, q, &x->kind, x->reterr);

	if (r < 0)
		return r;
	x->header_complete = x->kind != ANSWER_NONE;
	if (x->kind != ANSWER_WHOLE)
		return 0;
	x->position = 0;
	if (x->request->offset && ftruncate(x->request->out_fd, 0) < 0)
		return error_set(x->reterr, -errno, "%s: cannot be written here: %s", q->url_shown,
			error_text(-errno));
	return 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	size_t len = size * n;
	struct error words = {};
	int r;

	x->received_bytes += len;
	if (x->header_complete) {
		/* Fields behind the body change nothing any more. */
		x->answer.header_bytes += len;
		if (x->answer.header_bytes <= FETCH_HEADER_MAX_BYTES)
			return len;
		x->verdict = error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server sends header fields without end", x->question.url_shown);
		return 0;
	}
	r = answer_read_line(&x->answer, line, len, &words);
	if (r < 0)
		r = error_set(x->reterr, r, "%s: %s", x->question.url_shown, words.text);
	else if (answer_is_end(line, len))
		r = begin_body(x);
	if (r < 0)
		x->verdict = r;
	return r < 0 ? 0 : len;
}

static int take_body(struct exchange *x, const char *data, size_t len)
{
	const struct question *q = &x->question;
	uint64_t end = x->position + len;
	int r;

	if (end > q->max_bytes)
		return error_set(x->reterr, -BSI_E_LIMIT,
			"%s: the server sends more than the %" PRIu64 " bytes that are allowed",
			q->url_shown, q->max_bytes);
	if (q->exact_bytes && end > q->exact_bytes)
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server sends more than the %" PRIu64 " bytes that were expected",
			q->url_shown, q->exact_bytes);
	r = file_pwrite_all(x->request->out_fd, data, len, x->position);
	if (r < 0)
		return error_set(x->reterr, r, "%s: cannot be written here: %s", q->url_shown,
			error_text(r));
	x->position = end;
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	size_t len = size * n;
	int r;

	x->received_bytes += len;
	if (takes_body(x)) {
		r = take_body(x, data, len);
		if (r < 0)
			x->verdict = r;
		return r < 0 ? 0 : len;
	}
	x->dropped_bytes += len;
	return x->dropped_bytes > DROPPED_MAX_BYTES ? 0 : len;
}

static int on_progress(
	void *ctx, curl_off_t total, curl_off_t done, curl_off_t up_total, curl_off_t up_done)
{
	struct exchange *x = ctx;
	const struct fetch_request *request = x->request;
	uint64_t whole = x->question.exact_bytes;
	int r;

	(void)total;
	(void)done;
	(void)up_total;
	(void)up_done;
	if (!request->progress)
		return 0;
	if (!whole && takes_body(x))
		whole = answer_total(&x->answer, x->kind);
	r = request->progress(request->progress_ctx, x->position, whole);
	if (r)
		x->verdict = error_set(
			x->reterr, r < 0 ? r : -ECANCELED, "%s: cancelled", x->question.url_shown);
	return r;
}

static int timeout_failure(const struct exchange *x, CURL *easy)
{
	const char *url = x->question.url_shown;
	curl_off_t connected_us = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
	if (connected_us == 0)
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: no connection in the time allowed; is the network up?", url);
	if (strstr(x->words, "too slow"))
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server stalled after %" PRIu64 " bytes; try again later", url,
			x->position);
	return error_set(x->reterr, -BSI_E_TRANSFER,
		"%s: not complete in the time allowed (%" PRIu64 " bytes came)", url, x->position);
}

static int tls_failure(const struct exchange *x)
{
	const char *hint = "";

	if (strstr(x->words, "not yet valid") || strstr(x->words, "expired"))
		hint = "; if the server's certificate is good, this device's clock is wrong";
	return error_set(x->reterr, -BSI_E_TRANSFER, "%s: no trusted connection: %s%s",
		x->question.url_shown, x->words, hint);
}

/* Words for what libcurl reports; everything here is a fault of network or server. */
static int curl_failure(const struct exchange *x, CURL *easy, CURLcode code)
{
	const char *url = x->question.url_shown;
	long os_errno = 0;

	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return timeout_failure(x, easy);
	case CURLE_COULDNT_RESOLVE_HOST:
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server's name is not known; is the network up, the name right?",
			url);
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
		return error_set(x->reterr, -BSI_E_TRANSFER, "%s: no connection: %s", url,
			os_errno ? error_text(-(int)os_errno) : x->words);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the connection ended early, after %" PRIu64 " bytes%s%s", url,
			x->position, x->words[0] ? ": " : "", x->words);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return tls_failure(x);
	default:
		return error_set(x->reterr, -BSI_E_TRANSFER, "%s: %s", url,
			x->words[0] ? x->words : libcurl.easy_strerror(code));
	}
}

static int check_complete(const struct exchange *x)
{
	const struct question *q = &x->question;
	uint64_t due = q->exact_bytes ? q->exact_bytes : answer_total(&x->answer, x->kind);

	if ((due || (x->answer.has_length && !x->answer.chunked)) && x->position != due)
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server sent %" PRIu64 " bytes, %" PRIu64 " were expected",
			q->url_shown, x->position, due);
	return 0;
}

static int set_up(struct exchange *x, CURL *easy, long timeout_s)
{
	char range[32];
	CURLcode c;

	(void)snprintf(range, sizeof range, "%" PRIu64 "-", x->question.offset);
	c = curl_easy_setopt(easy, CURLOPT_URL, x->url);
	if (c == CURLE_OK)
		c = curl_easy_setopt(easy, CURLOPT_RANGE, x->question.offset ? range : NULL);
	if (c != CURLE_OK)
		return -ENOMEM;
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->words);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, timeout_s);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	return 0;
}

int exchange_run(struct exchange *x, CURL *easy, long timeout_s)
{
	CURLcode c;
	int r = set_up(x, easy, timeout_s);

	if (r < 0)
		return r;
	c = libcurl.easy_perform(easy);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
	if (x->verdict < 0)
		return x->verdict;
	/* Once the status says that there is nothing to take, how the rest went does not matter. */
	if (x->header_complete && !takes_body(x))
		return 0;
	if (c == CURLE_OUT_OF_MEMORY && !x->words[0])
		return error_set(x->reterr, -ENOMEM, "%s: no memory", x->question.url_shown);
	if (c != CURLE_OK)
		return curl_failure(x, easy, c);
	if (takes_body(x))
		return check_complete(x);
	return 0;
}
