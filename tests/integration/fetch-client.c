/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One session of room fetch under the control of a script: each address in turn, results as text.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "fetch/session.h"
#include "fetch/url.h"

struct arguments {
	struct fetch_limits limits;
	struct fetch_request request;
	const char *out, *ca, *proxy;
	uint64_t cancel_at;
	bool buffer;
};

enum option_code {
	OPTION_OUT = 256,
	OPTION_OFFSET,
	OPTION_MAX,
	OPTION_EXACT,
	OPTION_CA,
	OPTION_PROXY,
	OPTION_STALL,
	OPTION_TOTAL,
	OPTION_CANCEL_AT,
	OPTION_BUFFER,
};

static const struct option options[] = {
	{"out", required_argument, NULL, OPTION_OUT},
	{"offset", required_argument, NULL, OPTION_OFFSET},
	{"max", required_argument, NULL, OPTION_MAX},
	{"exact", required_argument, NULL, OPTION_EXACT},
	{"ca", required_argument, NULL, OPTION_CA},
	{"proxy", required_argument, NULL, OPTION_PROXY},
	{"stall", required_argument, NULL, OPTION_STALL},
	{"total", required_argument, NULL, OPTION_TOTAL},
	{"cancel-at", required_argument, NULL, OPTION_CANCEL_AT},
	{"buffer", no_argument, NULL, OPTION_BUFFER},
	{},
};

static void set_option(struct arguments *a, int code, const char *value)
{
	uint64_t n = value ? strtoull(value, NULL, 10) : 0;

	switch (code) {
	case OPTION_OUT:
		a->out = value;
		break;
	case OPTION_OFFSET:
		a->request.offset = n;
		break;
	case OPTION_MAX:
		a->request.max_bytes = n;
		break;
	case OPTION_EXACT:
		a->request.exact_bytes = n;
		break;
	case OPTION_CA:
		a->ca = value;
		break;
	case OPTION_PROXY:
		a->proxy = value;
		break;
	case OPTION_STALL:
		a->limits.low_speed_s = (long)n;
		break;
	case OPTION_TOTAL:
		a->limits.total_timeout_s = (long)n;
		break;
	case OPTION_CANCEL_AT:
		a->cancel_at = n;
		break;
	case OPTION_BUFFER:
		a->buffer = true;
		break;
	default:
		exit(EXIT_FAILURE);
	}
}

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct arguments *a = ctx;

	(void)total;
	return a->cancel_at && done >= a->cancel_at;
}

static int get(struct fetch_session *s, struct arguments *a, const char *url,
	struct fetch_result *ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(a->request.max_bytes);
	AUTO_CLOSE int fd = open(a->out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_set(reterr, -errno, "%s: cannot be opened", a->out);
	a->request.url = url;
	a->request.out_fd = fd;
	if (!a->buffer)
		return fetch_get(s, &a->request, ret, reterr);
	r = fetch_get_buffer(s, url, a->request.max_bytes, &bytes, ret, reterr);
	return r < 0 ? r : file_pwrite_all(fd, bytes.data, bytes.len, 0);
}

static int get_and_tell(struct fetch_session *s, struct arguments *a, const char *url)
{
	struct fetch_result result = {};
	struct error e = {};
	char id[32];
	int r = get(s, a, url, &result, &e);

	error_id(r, id, sizeof id);
	printf("code=%s bytes=%" PRIu64 " restarted=%d status=%ld requests=%u connects=%u "
	       "sent=%" PRIu64 " received=%" PRIu64 " wire_sent=%" PRIu64 " wire_received=%" PRIu64
	       "\n",
		id, result.bytes, result.restarted, result.http_status, result.n_requests,
		result.n_connects, result.sent_bytes, result.received_bytes, result.wire_sent_bytes,
		result.wire_received_bytes);
	if (r < 0)
		printf("text=%s\n", e.text);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.limits = fetch_limits_default,
		.request = {.max_bytes = 1U << 20, .progress = on_progress},
		.out = "/dev/null",
	};
	AUTO(fetch_session) struct fetch_session *s = NULL;
	struct error e = {};
	int code, failed = 0;

	a.request.progress_ctx = &a;
	while ((code = getopt_long(argc, argv, "", options, NULL)) >= 0)
		set_option(&a, code, optarg);
	if (fetch_session_new(&a.limits, &s, &e) < 0 || fetch_session_use_ca(s, a.ca, &e) < 0 ||
		fetch_session_use_proxy(s, a.proxy, &e) < 0) {
		printf("code=session\ntext=%s\n", e.text);
		return EXIT_FAILURE;
	}
	for (int i = optind; i < argc; i++)
		failed |= get_and_tell(s, &a, argv[i]) < 0;
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
