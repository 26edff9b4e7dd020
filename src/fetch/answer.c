/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "fetch/session.h"

/* A piece of a header line: not ended by NUL. */
struct span {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.len && (is_blank(s.at[0]) || s.at[0] == '\r' || s.at[0] == '\n'))
		s.at++, s.len--;
	while (s.len &&
		(is_blank(s.at[s.len - 1]) || s.at[s.len - 1] == '\r' || s.at[s.len - 1] == '\n'))
		s.len--;
	return s;
}

static bool span_is(struct span s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

static bool span_starts(struct span s, const char *text)
{
	return s.len >= strlen(text) && strncasecmp(s.at, text, strlen(text)) == 0;
}

/* Whether the text fits; it is cut otherwise. */
static bool span_copy(struct span s, char *out, size_t out_len)
{
	bool fits = s.len < out_len;
	size_t n = fits ? s.len : out_len - 1;

	memcpy(out, s.at, n);
	out[n] = '\0';
	return fits && strlen(out) == s.len;
}

/* Decimal digits from the front of *s; false if there are none or they exceed 64 bits. */
static bool take_number(struct span *s, uint64_t *ret)
{
	uint64_t value = 0;
	size_t n = 0;

	for (; n < s->len && s->at[n] >= '0' && s->at[n] <= '9'; n++)
		if (!checked_mul(value, 10, &value) ||
			!checked_add(value, (uint64_t)(s->at[n] - '0'), &value))
			return false;
	if (n == 0)
		return false;
	s->at += n;
	s->len -= n;
	*ret = value;
	return true;
}

static bool take_char(struct span *s, char c)
{
	if (!s->len || s->at[0] != c)
		return false;
	s->at++;
	s->len--;
	return true;
}

static int lie(struct error *reterr, const char *words)
{
	return error_set(reterr, -BSI_E_TRANSFER, "the server %s", words);
}

static int read_length(struct answer *a, struct span value, struct error *reterr)
{
	uint64_t n;

	if (!take_number(&value, &n) || value.len)
		return lie(reterr, "sent a Content-Length that is no number");
	if (a->has_length && a->length != n)
		return lie(reterr, "sent two Content-Lengths that differ");
	a->has_length = true;
	a->length = n;
	return 0;
}

static int read_range(struct answer *a, struct span value, struct error *reterr)
{
	if (a->has_range || a->unsatisfied)
		return lie(reterr, "sent two Content-Ranges");
	if (!span_starts(value, "bytes "))
		return lie(reterr, "sent a Content-Range that is not in bytes");
	value.at += strlen("bytes ");
	value.len -= strlen("bytes ");
	value = trim(value);

	if (take_char(&value, '*')) {
		a->unsatisfied = true;
	} else {
		a->has_range = true;
		if (!take_number(&value, &a->first) || !take_char(&value, '-') ||
			!take_number(&value, &a->last))
			return lie(reterr, "sent a Content-Range that cannot be read");
	}
	if (!take_char(&value, '/'))
		return lie(reterr, "sent a Content-Range that cannot be read");
	if (!take_char(&value, '*')) {
		if (!take_number(&value, &a->total))
			return lie(reterr, "sent a Content-Range that cannot be read");
		a->has_total = true;
	}
	if (value.len || a->last < a->first || a->last == UINT64_MAX ||
		(a->has_range && a->has_total && a->last >= a->total))
		return lie(reterr, "sent a Content-Range that makes no sense");
	return 0;
}

static int read_field(struct answer *a, struct span name, struct span value, struct error *reterr)
{
	if (span_is(name, "content-length"))
		return read_length(a, value, reterr);
	if (span_is(name, "content-range"))
		return read_range(a, value, reterr);
	if (span_is(name, "transfer-encoding")) {
		/* libcurl would undo others without being asked, and a body could then grow. */
		if (!span_is(value, "chunked") || a->chunked)
			return lie(reterr,
				"sent a compressed body nobody asked for (Transfer-Encoding)");
		a->chunked = true;
	} else if (span_is(name, "content-encoding") && !span_is(value, "identity") && value.len) {
		(void)span_copy(value, a->encoding, sizeof a->encoding);
	} else if (span_is(name, "content-type")) {
		(void)span_copy(value, a->content_type, sizeof a->content_type);
	} else if (span_is(name, "location")) {
		if (a->has_location)
			return lie(reterr, "sent two Locations");
		if (!span_copy(value, a->location, sizeof a->location))
			return lie(reterr, "sent a Location that is too long or holds a zero byte");
		a->has_location = true;
	}
	return 0;
}

/* "HTTP/1.1 200 OK", "HTTP/1.0 404" */
static int read_status(struct answer *a, struct span line, struct error *reterr)
{
	uint64_t status, version;
	size_t kept = a->header_bytes;

	line.at += strlen("HTTP/");
	line.len -= strlen("HTTP/");
	if (!take_number(&line, &version) || version != 1 || !take_char(&line, '.') ||
		!take_number(&line, &version) || version > 9 || !take_char(&line, ' ') ||
		!take_number(&line, &status) || status < 100 || status > 599 ||
		(line.len && line.at[0] != ' '))
		return lie(reterr, "does not speak HTTP/1");
	*a = (struct answer){.status = (long)status, .header_bytes = kept};
	return 0;
}

bool answer_is_end(const char *line, size_t len)
{
	return trim((struct span){line, len}).len == 0;
}

int answer_read_line(struct answer *a, const char *line, size_t len, struct error *reterr)
{
	struct span whole = {line, len}, name, value;
	const char *colon;

	a->header_bytes += len;
	if (a->header_bytes > FETCH_HEADER_MAX_BYTES)
		return lie(reterr, "sends header fields without end");
	if (answer_is_end(line, len))
		return 0;
	if (span_starts(whole, "HTTP/"))
		return read_status(a, trim(whole), reterr);
	/* Continued lines are long obsolete, and two readers could see two different fields. */
	if (is_blank(line[0]))
		return lie(reterr, "sent a header field on more than one line");
	colon = memchr(line, ':', len);
	if (!colon)
		return lie(reterr, "sent a header line that is no field");
	name = trim((struct span){line, (size_t)(colon - line)});
	value = trim((struct span){colon + 1, len - (size_t)(colon - line) - 1});
	return read_field(a, name, value, reterr);
}

static bool is_html(const struct answer *a)
{
	struct span type = {a->content_type, strlen(a->content_type)};

	return span_starts(type, "text/html") || span_starts(type, "application/xhtml");
}

static const char *html_hint(const struct answer *a)
{
	return is_html(a) ? "; it is a web page, perhaps the login page of this network" : "";
}

uint64_t answer_total(const struct answer *a, enum answer_kind kind)
{
	if (kind == ANSWER_BODY && a->has_range)
		return a->last + 1;
	if (kind == ANSWER_WHOLE && a->has_length && !a->chunked)
		return a->length;
	return 0;
}

/* The sizes that a body claims, against those allowed and expected. */
static int judge_size(const struct answer *a, const struct question *q, enum answer_kind kind,
	struct error *reterr)
{
	uint64_t total = answer_total(a, kind);
	bool known = kind == ANSWER_BODY || (a->has_length && !a->chunked);

	if (a->has_length && a->chunked)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server gave two lengths for one body (Content-Length and chunks)",
			q->url_shown);
	if (!known)
		return 0;
	if (q->exact_bytes && total != q->exact_bytes)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server has %" PRIu64 " bytes, %" PRIu64 " were expected%s",
			q->url_shown, total, q->exact_bytes, html_hint(a));
	if (total > q->max_bytes)
		return error_set(reterr, -BSI_E_LIMIT,
			"%s: the server has %" PRIu64 " bytes, at most %" PRIu64 " are allowed%s",
			q->url_shown, total, q->max_bytes, html_hint(a));
	return 0;
}

static int judge_part(const struct answer *a, const struct question *q, struct error *reterr)
{
	if (q->offset == 0)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent a part (206) where the whole was asked for",
			q->url_shown);
	if (!a->has_range)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent a part (206) without saying which", q->url_shown);
	if (a->first != q->offset)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent bytes from %" PRIu64 " on, from %" PRIu64
			" on were asked for",
			q->url_shown, a->first, q->offset);
	if (a->has_total && a->total != a->last + 1)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent bytes up to %" PRIu64 " of %" PRIu64
			", all were asked for",
			q->url_shown, a->last + 1, a->total);
	if (a->has_length && a->length != a->last - a->first + 1)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server's Content-Length and Content-Range do not agree",
			q->url_shown);
	return judge_size(a, q, ANSWER_BODY, reterr);
}

static int judge_body(const struct answer *a, const struct question *q, enum answer_kind kind,
	struct error *reterr)
{
	if (a->encoding[0])
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent a compressed body nobody asked for "
			"(Content-Encoding: %s); switch that off for this folder",
			q->url_shown, a->encoding);
	if (q->refuse_html && is_html(a))
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: the server sent a web page (%s) where signed metadata was due; "
			"is this network behind a login page, or the address not the repository's?",
			q->url_shown, a->content_type);
	return kind == ANSWER_BODY ? judge_part(a, q, reterr) : judge_size(a, q, kind, reterr);
}

int answer_judge(const struct answer *a, const struct question *q, enum answer_kind *ret,
	struct error *reterr)
{
	enum answer_kind kind = ANSWER_STATUS;
	int r = 0;

	switch (a->status) {
	case 0:
	case 100 ... 199:
		kind = ANSWER_NONE;
		break;
	case 200:
		kind = ANSWER_WHOLE;
		break;
	case 206:
		kind = ANSWER_BODY;
		break;
	case 301 ... 303:
	case 307:
	case 308:
		kind = a->has_location && a->location[0] ? ANSWER_REDIRECT : ANSWER_STATUS;
		break;
	case 403:
	case 404:
	case 410:
		kind = ANSWER_MISSING;
		break;
	case 416:
		kind = q->offset ? ANSWER_RESTART : ANSWER_STATUS;
		break;
	}
	if (kind == ANSWER_WHOLE || kind == ANSWER_BODY)
		r = judge_body(a, q, kind, reterr);
	if (r < 0)
		return r;
	*ret = kind;
	return 0;
}

static const char *status_words(long status)
{
	switch (status) {
	case 204:
		return " (no content)";
	case 300 ... 303:
	case 305 ... 399:
		return " (a redirect that leads nowhere)";
	case 304:
		return " (not modified), to a question that was not conditional";
	case 401:
		return " (a password is wanted); a repository is public, serve it without one";
	case 407:
		return " (the proxy wants a password)";
	case 416:
		return " (no such range) where no range was asked for";
	case 429:
		return " (too many requests); try again later";
	case 500 ... 599:
		return " (a fault of the server); try again later";
	default:
		return "";
	}
}

int answer_failure(const struct answer *a, const struct question *q, struct error *reterr)
{
	switch (a->status) {
	case 0:
	case 100 ... 199:
		return error_set(reterr, -BSI_E_TRANSFER, "%s: the server gave no final answer",
			q->url_shown);
	case 403:
		return error_set(reterr, -BSI_E_MISSING,
			"%s: the server does not give it out (403)", q->url_shown);
	case 404:
	case 410:
		return error_set(reterr, -BSI_E_MISSING, "%s: not on the server (%ld)",
			q->url_shown, a->status);
	default:
		return error_set(reterr, -BSI_E_TRANSFER, "%s: the server answered %ld%s",
			q->url_shown, a->status, status_words(a->status));
	}
}
