/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/session.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "fetch/exchange.h"
#include "fetch/libcurl.h"
#include "fetch/local.h"
#include "fetch/url.h"
#include "fetch/wire.h"

#define BUFFER_TIMEOUT_S 120

const struct fetch_limits fetch_limits_default = {
	.connect_timeout_s = 30,
	.low_speed_bytes = 100,
	.low_speed_s = 60,
	.total_timeout_s = 12 * 3600,
};

struct fetch_session {
	CURL *easy;
	struct curl_slist *headers;
	struct fetch_limits limits;
	struct wire wire;
	bool curl_ready;
};

static curl_socket_t on_socket_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct fetch_session *s = ctx;
	int fd;

	(void)purpose;
	fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	wire_add(&s->wire, fd);
	return fd;
}

static int on_socket_close(void *ctx, curl_socket_t fd)
{
	struct fetch_session *s = ctx;

	wire_drop(&s->wire, fd);
	return close(fd);
}

/* libcurl's own additions to a request, each taken away. */
static int make_headers(struct fetch_session *s)
{
	static const char *const removed[] = {"Accept:", "User-Agent:", "Proxy-Connection:"};

	for (size_t i = 0; i < ARRAY_SIZE(removed); i++) {
		struct curl_slist *longer = libcurl.slist_append(s->headers, removed[i]);

		if (!longer)
			return -ENOMEM;
		s->headers = longer;
	}
	return 0;
}

/*
 * CURLOPT_NOSIGNAL stays off: with it libcurl would let SIGPIPE through from OpenSSL's writes, and
 * a resolver in a thread, as every distribution builds it, uses no alarm.
 */
static int set_up(struct fetch_session *s, struct error *reterr)
{
	CURL *e = s->easy;
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	/* Text that programs count on: HTTP/2 would add settings and another parser. */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_HTTPHEADER, s->headers);
	SET(CURLOPT_FOLLOWLOCATION, 0L); /* fetch_get() follows, within the server */
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_PROXY, ""); /* not NULL: that would ask the environment */
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_CONNECTTIMEOUT, s->limits.connect_timeout_s);
	SET(CURLOPT_LOW_SPEED_LIMIT, s->limits.low_speed_bytes);
	SET(CURLOPT_LOW_SPEED_TIME, s->limits.low_speed_s);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_socket_open);
	SET(CURLOPT_OPENSOCKETDATA, s);
	SET(CURLOPT_CLOSESOCKETFUNCTION, on_socket_close);
	SET(CURLOPT_CLOSESOCKETDATA, s);
#undef SET
	if (!ok)
		return error_set(
			reterr, -BSI_E_UNSUPPORTED, "this libcurl cannot do what is needed");
	return 0;
}

int fetch_session_new(
	const struct fetch_limits *limits, struct fetch_session **ret, struct error *reterr)
{
	AUTO(fetch_session) struct fetch_session *s = NULL;
	int r;

	if (!limits)
		limits = &fetch_limits_default;
	if (limits->connect_timeout_s <= 0 || limits->low_speed_bytes <= 0 ||
		limits->low_speed_s <= 0 || limits->total_timeout_s <= 0)
		return error_set(reterr, -EINVAL, "a limit on transfers is not above 0");
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->limits = *limits;
	s->wire = wire_of_nothing();
	r = libcurl_load(reterr);
	if (r < 0)
		return r;
	s->curl_ready = libcurl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	s->easy = s->curl_ready ? libcurl.easy_init() : NULL;
	if (!s->easy)
		return error_set(reterr, -ENOMEM, "libcurl cannot be started");
	r = make_headers(s);
	if (r < 0)
		return r;
	r = set_up(s, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

void fetch_session_free(struct fetch_session *s)
{
	if (!s)
		return;
	if (s->easy)
		libcurl.easy_cleanup(s->easy);
	if (s->headers)
		libcurl.slist_free_all(s->headers);
	if (s->curl_ready)
		libcurl.global_cleanup();
	free(s);
}

int fetch_session_use_proxy(struct fetch_session *s, const char *url, struct error *reterr)
{
	if (url && strncmp(url, "http://", strlen("http://")) != 0)
		return error_set(reterr, -BSI_E_USAGE, "%s: a proxy is written http://HOST:PORT",
			fetch_url_shown(url).text);
	if (curl_easy_setopt(s->easy, CURLOPT_PROXY, url ? url : "") != CURLE_OK)
		return error_set(reterr, -ENOMEM, "the proxy cannot be set");
	return 0;
}

/* The system's authorities are where libcurl was built to look: a second handle tells. */
static int use_system_ca(struct fetch_session *s)
{
	CURL *fresh = libcurl.easy_init();
	char *file = NULL, *dir = NULL;
	CURLcode c = CURLE_OUT_OF_MEMORY;

	if (fresh && curl_easy_getinfo(fresh, CURLINFO_CAINFO, &file) == CURLE_OK &&
		curl_easy_getinfo(fresh, CURLINFO_CAPATH, &dir) == CURLE_OK) {
		c = curl_easy_setopt(s->easy, CURLOPT_CAINFO, file);
		if (c == CURLE_OK)
			c = curl_easy_setopt(s->easy, CURLOPT_CAPATH, dir);
	}
	libcurl.easy_cleanup(fresh);
	return c == CURLE_OK ? 0 : -ENOMEM;
}

int fetch_session_use_ca(struct fetch_session *s, const char *file, struct error *reterr)
{
	if (!file)
		return use_system_ca(s);
	if (curl_easy_setopt(s->easy, CURLOPT_CAINFO, file) != CURLE_OK ||
		curl_easy_setopt(s->easy, CURLOPT_CAPATH, NULL) != CURLE_OK)
		return error_set(reterr, -ENOMEM, "the file of authorities cannot be set");
	return 0;
}

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* What one question cost. */
static void count(struct fetch_session *s, const struct exchange *x, const struct wire *before,
	struct fetch_result *ret)
{
	long sent = 0, connects = 0;

	(void)curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &sent);
	(void)curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
	wire_count(&s->wire);
	ret->n_requests += sent > 0;
	ret->n_connects += (unsigned)connects;
	ret->sent_bytes += (uint64_t)sent;
	ret->received_bytes += x->received_bytes;
	ret->wire_sent_bytes += s->wire.sent_bytes - before->sent_bytes;
	ret->wire_received_bytes += s->wire.received_bytes - before->received_bytes;
	ret->http_status = x->answer.status;
	ret->bytes = x->position;
	ret->restarted = x->kind == ANSWER_WHOLE && x->request->offset;
}

static int ask(
	struct fetch_session *s, struct exchange *x, int64_t deadline_s, struct fetch_result *ret)
{
	struct wire before = s->wire;
	int64_t left_s = deadline_s - now_s();
	int r;

	if (left_s <= 0)
		return error_set(x->reterr, -BSI_E_TRANSFER, "%s: not complete in the time allowed",
			x->question.url_shown);
	r = exchange_run(x, s->easy, (long)left_s);
	count(s, x, &before, ret);
	/* libcurl refuses to hold one line that is longer than 100 KiB in these words. */
	if (r == -ENOMEM && !x->header_complete &&
		s->wire.received_bytes - before.received_bytes > FETCH_HEADER_MAX_BYTES)
		return error_set(x->reterr, -BSI_E_TRANSFER,
			"%s: the server sends a header field without end", x->question.url_shown);
	return r;
}

/* An older, longer file in out_fd must not shine through behind the new one. */
static int cut(const struct fetch_request *request, uint64_t len, struct error *reterr)
{
	struct stat st;

	if (fstat(request->out_fd, &st) < 0 ||
		(st.st_size > (off_t)len && ftruncate(request->out_fd, (off_t)len) < 0))
		return error_set(reterr, -errno, "%s: cannot be written here: %s",
			fetch_url_shown(request->url).text, error_text(-errno));
	return 0;
}

/* Ask, follow, ask again: until there is a body or a failure. */
static int get_http(struct fetch_session *s, const struct fetch_request *request, long timeout_s,
	struct fetch_result *ret, struct error *reterr)
{
	int64_t deadline_s = now_s() + timeout_s;
	AUTO_FREE char *url = strdup(request->url);
	uint64_t offset = request->offset;

	if (!url)
		return -ENOMEM;
	for (unsigned n_redirects = 0;;) {
		struct fetch_url_shown shown = fetch_url_shown(url);
		struct exchange x = {
			.request = request,
			.url = url,
			.question = {shown.text, offset, request->max_bytes, request->exact_bytes,
				request->flags & FETCH_REFUSE_HTML},
			.position = request->offset,
			.reterr = reterr,
		};
		char *next;
		int r = ask(s, &x, deadline_s, ret);

		if (r < 0)
			return r;
		if (x.kind == ANSWER_BODY || x.kind == ANSWER_WHOLE)
			return 0;
		if (x.kind == ANSWER_RESTART) {
			offset = 0;
			continue;
		}
		if (x.kind != ANSWER_REDIRECT)
			return answer_failure(&x.answer, &x.question, reterr);
		if (++n_redirects > FETCH_REDIRECTS_MAX)
			return error_set(reterr, -BSI_E_TRANSFER,
				"%s: more than %d redirects, the last one to %s",
				fetch_url_shown(request->url).text, FETCH_REDIRECTS_MAX,
				fetch_url_shown(x.answer.location).text);
		r = fetch_url_redirect(url, x.answer.location, &next, reterr);
		if (r < 0)
			return r;
		free(url);
		url = next;
	}
}

static int check_request(const struct fetch_request *request, struct error *reterr)
{
	if (request->max_bytes == 0 || request->max_bytes > INT64_MAX ||
		request->exact_bytes > request->max_bytes || request->offset % FETCH_RANGE_BYTES ||
		request->offset > request->max_bytes ||
		(request->exact_bytes && request->offset > request->exact_bytes))
		return error_set(reterr, -EINVAL, "%s: sizes that make no sense were asked for",
			fetch_url_shown(request->url).text);
	return 0;
}

static int get_any(struct fetch_session *s, const struct fetch_request *request, long timeout_s,
	struct fetch_result *ret, struct error *reterr)
{
	enum fetch_url_scheme scheme;
	int r;

	r = check_request(request, reterr);
	if (r < 0)
		return r;
	r = fetch_url_check_request(request->url, &scheme, reterr);
	if (r < 0)
		return r;
	if (request->exact_bytes && request->offset == request->exact_bytes)
		r = 0; /* all there: nothing to ask for */
	else if (scheme == FETCH_URL_FILE)
		r = local_get(request, ret, reterr);
	else
		r = get_http(s, request, timeout_s, ret, reterr);
	return r < 0 ? r : cut(request, ret->bytes, reterr);
}

/* Every failure has words, those that are only a lack of memory too. */
static int get(struct fetch_session *s, const struct fetch_request *request, long timeout_s,
	struct fetch_result *ret, struct error *reterr)
{
	struct fetch_result result = {.bytes = request->offset};
	struct error words = {};
	int r = get_any(s, request, timeout_s, &result, &words);

	if (ret)
		*ret = result;
	if (r < 0 && words.code == r)
		return error_set(reterr, r, "%s", words.text);
	return r < 0 ? error_set(reterr, r, "%s: %s", fetch_url_shown(request->url).text,
			       error_text(r))
		     : 0;
}

int fetch_get(struct fetch_session *s, const struct fetch_request *request,
	struct fetch_result *ret, struct error *reterr)
{
	return get(s, request, s->limits.total_timeout_s, ret, reterr);
}

int fetch_get_buffer(struct fetch_session *s, const char *url, size_t max_bytes, struct buffer *out,
	struct fetch_result *ret, struct error *reterr)
{
	AUTO_CLOSE int fd = memfd_create("bsi-fetch", MFD_CLOEXEC);
	long timeout_s = s->limits.total_timeout_s < BUFFER_TIMEOUT_S ? s->limits.total_timeout_s
								      : BUFFER_TIMEOUT_S;
	int r;

	if (fd < 0)
		return error_set(reterr, -errno, "%s: no memory file: %s",
			fetch_url_shown(url).text, error_text(-errno));
	r = get(s,
		&(struct fetch_request){
			.url = url,
			.out_fd = fd,
			.max_bytes = max_bytes,
			.flags = FETCH_REFUSE_HTML,
		},
		timeout_s, ret, reterr);
	if (r < 0)
		return r;
	r = file_read_fd(fd, max_bytes, out);
	return r < 0 ? error_set(reterr, r, "%s: cannot be kept: %s", fetch_url_shown(url).text,
			       error_text(r))
		     : 0;
}
