/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/changelog.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "improvement/debversion.h"
#include "publish/utf8.h"

#define LINE_SHOWN_BYTES 300

/* "source (version) distribution; ..." at the start of a line; the version's extent, or 0. */
static size_t entry_version(const char *line, const char *eol, const char **ret)
{
	const char *open, *close;

	if (line == eol || !isalnum((unsigned char)*line))
		return 0;
	open = memmem(line, (size_t)(eol - line), " (", 2);
	if (!open)
		return 0;
	close = memchr(open, ')', (size_t)(eol - open));
	if (!close || !memchr(close, ';', (size_t)(eol - close)))
		return 0;
	*ret = open + 2;
	return (size_t)(close - *ret);
}

/* "* ", "- " or "+ " after blanks: the line begins an item. */
static bool begins_item(const char *line, const char *eol)
{
	while (line < eol && isspace((unsigned char)*line))
		line++;
	return eol - line >= 2 && strchr("*-+", *line) && isspace((unsigned char)line[1]);
}

/* Length of a CVE id at the start of text, or 0. */
static size_t cve_len(const char *at, const char *end)
{
	size_t digits = 0;

	if (end - at < 13 || strncasecmp(at, "CVE-", 4) != 0 || at[8] != '-')
		return 0;
	for (size_t i = 4; i < 8; i++)
		if (!isdigit((unsigned char)at[i]))
			return 0;
	while (at + 9 + digits < end && isdigit((unsigned char)at[9 + digits]))
		digits++;
	return digits >= 4 && digits <= 10 ? 9 + digits : 0;
}

static bool contains(const char *text, size_t len, const char *word)
{
	size_t word_len = strlen(word);

	for (size_t i = 0; i + word_len <= len; i++)
		if (strncasecmp(text + i, word, word_len) == 0)
			return true;
	return false;
}

/* Words that say the mention may not be a fix. */
static bool is_doubtful(const char *item, size_t len)
{
	static const char *const words[] = {
		"regress", "revert", "not affected", "unaffected", "not vulnerable", "not apply",
		"n't apply", "not applicable", "incomplete", "drop patch", "remove patch",
		"not fixed", "unfixed", "workaround", "partially", "mitigat",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (contains(item, len, words[i]))
			return true;
	return false;
}

/* A line without its outer blanks, fit for terminals and JSON, cut to what a plan shows. */
static char *shown_line(const char *line, const char *eol)
{
	char *shown = malloc(LINE_SHOWN_BYTES + 5);
	size_t n = 0;

	while (line < eol && isspace((unsigned char)*line))
		line++;
	while (eol > line && isspace((unsigned char)eol[-1]))
		eol--;
	while (shown && line < eol && n < LINE_SHOWN_BYTES) {
		size_t len = utf8_sequence(line, (size_t)(eol - line));

		if (len == 0)
			shown[n++] = '?';
		memcpy(shown + n, line, len);
		n += len;
		line += len > 0 ? len : 1;
	}
	if (shown)
		shown[n] = '\0';
	return shown;
}

static int add_mention(struct changelog *c, const char *id, size_t id_len, const char *version,
	const char *line, const char *eol, bool is_check)
{
	struct changelog_mention *grown, m = {.is_check = is_check};

	for (size_t i = 0; i < c->n_mentions; i++) {
		struct changelog_mention *known = &c->mentions[i];

		if (strcmp(known->version, version) != 0 || strlen(known->id) != id_len ||
			strncasecmp(known->id, id, id_len) != 0)
			continue;
		known->is_check |= is_check;
		return 0;
	}
	if (c->n_mentions == CHANGELOG_MENTIONS_MAX)
		return -BSI_E_LIMIT;
	grown = reallocarray(c->mentions, c->n_mentions + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	c->mentions = grown;
	m.id = strndup(id, id_len);
	m.version = strdup(version);
	m.line = shown_line(line, eol);
	grown[c->n_mentions++] = m;
	if (!m.id || !m.version || !m.line)
		return -ENOMEM;
	memcpy(m.id, "CVE", 3);
	return 0;
}

/* All ids of one item, which may have several lines. */
static int read_item(struct changelog *c, const char *item, const char *end, const char *version)
{
	bool is_check = is_doubtful(item, (size_t)(end - item));

	for (const char *line = item; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));

		if (!eol)
			eol = end;
		for (const char *at = line; at < eol; at++) {
			size_t len = cve_len(at, eol);
			int r;

			if (len == 0)
				continue;
			r = add_mention(c, at, len, version, line, eol, is_check);
			if (r < 0)
				return r;
			at += len - 1;
		}
		line = eol < end ? eol + 1 : end;
	}
	return 0;
}

/* The body of one entry, item by item. */
static int read_entry(struct changelog *c, const char *body, const char *end, const char *version)
{
	const char *item = body;
	int r;

	for (const char *line = body; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));

		if (!eol)
			eol = end;
		if (line > item && begins_item(line, eol)) {
			r = read_item(c, item, line, version);
			if (r < 0)
				return r;
			item = line;
		}
		line = eol < end ? eol + 1 : end;
	}
	return read_item(c, item, end, version);
}

/* Where the next entry begins, or end. */
static const char *next_entry(const char *at, const char *end)
{
	const char *unused;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		if (!eol)
			eol = end;
		if (entry_version(at, eol, &unused) > 0)
			return at;
		at = eol < end ? eol + 1 : end;
	}
	return end;
}

static int read_entries(const char *text, const char *end, const char *after, const char *upto,
	struct changelog *c)
{
	const char *at = next_entry(text, end);

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at)), *next, *start;
		size_t len = entry_version(at, eol ? eol : end, &start);
		AUTO_FREE char *version = strndup(start, len);
		int r;

		if (!version)
			return -ENOMEM;
		next = next_entry(eol ? eol + 1 : end, end);
		if (debversion_check(version) == 0 && debversion_compare(version, after) > 0 &&
			debversion_compare(version, upto) <= 0) {
			c->n_entries++;
			r = read_entry(c, eol ? eol + 1 : end, next, version);
			if (r < 0)
				return r;
		}
		at = next;
	}
	return 0;
}

int changelog_read(const char *text, size_t len, const char *after, const char *upto,
	struct changelog *ret)
{
	struct changelog c = {};
	int r;

	r = len > CHANGELOG_MAX_BYTES ? -BSI_E_LIMIT
				      : read_entries(text, text + len, after, upto, &c);
	if (r < 0) {
		changelog_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void changelog_done(struct changelog *c)
{
	for (size_t i = 0; i < c->n_mentions; i++) {
		free(c->mentions[i].id);
		free(c->mentions[i].version);
		free(c->mentions[i].line);
	}
	free(c->mentions);
	*c = (struct changelog){};
}
