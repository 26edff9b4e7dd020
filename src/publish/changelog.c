/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/changelog.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
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

/* A lower-case word at the start of text, in any case. */
static bool begins(const char *text, const char *word)
{
	return strncasecmp(text, word, strlen(word)) == 0;
}

/* Words that say the mention may not be a fix, wherever they stand. */
static bool is_doubt(const char *text)
{
	static const char *const words[] = {
		"regress", "revert", "not affected", "unaffected", "not vulnerable", "not apply",
		"n't apply", "not applicable", "incomplete fix", "incomplete patch", "fix is incomplete",
		"fix was incomplete", "incompletely fix", "not fixed", "unfixed", "not included",
		"not backported", "workaround", "partially", "mitigat", "back out", "backed out",
		"backing out", "backout", "undoes", "undoing", "undone", "undid", "undo ", "undo:",
		"reintroduc", "re-introduc", "postpon",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (begins(text, words[i]))
			return true;
	return false;
}

/*
 * Words of what was done to a patch, which also describe flaws. At the start of a word only, and
 * not in the third person, which flaws and programs are spoken of in: "removes the wrong file".
 */
static bool is_deed(const char *text)
{
	static const char *const stems[] = {
		"drop", "remov", "disabl", "ignor", "skip", "delet", "exclud", "no longer"};

	for (size_t i = 0; i < ARRAY_SIZE(stems); i++) {
		const char *end = text + strlen(stems[i]);

		if (!begins(text, stems[i]))
			continue;
		end += strspn(end, "abcdefghijklmnopqrstuvwxyz");
		return end[-1] != 's';
	}
	return false;
}

/* The item's own text in one line, without what stands in quotes: titles of advisories. */
static char *flatten(const char *item, const char *end)
{
	char *flat = malloc((size_t)(end - item) + 2), *at = flat;

	if (!flat)
		return NULL;
	while (item < end) {
		const char *quote =
			*item == '"' ? memchr(item + 1, '"', (size_t)(end - item - 1)) : NULL;

		if (quote) {
			item = quote + 1;
		} else if (*item && !isspace((unsigned char)*item)) {
			*at++ = *item++;
		} else {
			item++;
			if (at > flat && at[-1] != ' ')
				*at++ = ' ';
		}
	}
	/* so that a word at the end ends like any other */
	*at++ = ' ';
	*at = '\0';
	return flat;
}

/* Whether an item's own words cast doubt on what it names. */
static int read_doubt(const char *item, const char *item_end, bool *ret)
{
	AUTO_FREE char *flat = flatten(item, item_end);
	const char *end, *described = NULL;

	if (!flat)
		return -ENOMEM;
	*ret = false;
	end = flat + strlen(flat);
	for (const char *at = flat; !*ret && at < end; at++) {
		size_t len = cve_len(at, end);
		bool begins_word = at == flat || strchr(" ([,;:*+-'", at[-1]);

		/* "CVE-2026-1234: " begins a description of the flaw, but "...: removed" does not */
		if (len > 0)
			described = at[len] == ':' && at[len + 1] == ' ' ? at + len + 2 : NULL;
		if (is_doubt(at))
			*ret = true;
		else if (begins_word && is_deed(at) && (!described || at <= described))
			*ret = !(at > flat && at[-1] == '-'); /* "rsa-remove-dead-code.patch" */
	}
	return 0;
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

/* A piece of an entry: a bullet, or a paragraph without one, up to the next. */
struct item {
	const char *start, *end;
	size_t indent;
	size_t parent; /* SIZE_MAX: none */
	char bullet;   /* '\0': none */
	bool is_doubtful, has_doubtful_parent, has_doubtful_part;
};

struct items {
	struct item *list;
	size_t n, allocated;
};

static int add_item(struct items *items, const struct item *item)
{
	if (items->n == items->allocated) {
		size_t wanted = items->allocated ? 2 * items->allocated : 16;
		struct item *grown = reallocarray(items->list, wanted, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		items->list = grown;
		items->allocated = wanted;
	}
	items->list[items->n++] = *item;
	return 0;
}

static bool ends_in_colon(const struct item *item)
{
	const char *end = item->end;

	while (end > item->start && isspace((unsigned char)end[-1]))
		end--;
	return end > item->start && end[-1] == ':';
}

/* What the next item is a part of: indented less, or an announcement with other bullets. */
static size_t find_parent(const struct items *items, size_t indent, char bullet)
{
	size_t announced = SIZE_MAX;

	for (size_t i = items->n - 1; i != SIZE_MAX; i = items->list[i].parent) {
		const struct item *open = &items->list[i];

		if (open->indent > indent)
			continue;
		if (open->indent < indent)
			return announced != SIZE_MAX ? announced : i;
		if (open->bullet == bullet)
			return open->parent;
		if (announced == SIZE_MAX && ends_in_colon(open))
			announced = i;
	}
	return announced;
}

/* The pieces of an entry's body. */
static int split_entry(const char *body, const char *end, struct items *items)
{
	bool is_after_blank = true;
	int r = 0;

	for (const char *line = body, *eol; r == 0 && line < end; line = eol < end ? eol + 1 : end) {
		struct item *last = items->n > 0 ? &items->list[items->n - 1] : NULL;
		struct item item = {};
		const char *text = line;

		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			eol = end;
		while (text < eol && isspace((unsigned char)*text))
			text++;
		if (text == eol) {
			is_after_blank = true;
			continue;
		}
		item = (struct item){.start = line, .end = eol, .indent = (size_t)(text - line)};
		if (eol - text >= 2 && strchr("*-+~", *text) && isspace((unsigned char)text[1]))
			item.bullet = *text;
		if (last && !item.bullet &&
			(item.indent > last->indent ||
				(item.indent == last->indent && !is_after_blank))) {
			last->end = eol;
		} else {
			item.parent = find_parent(items, item.indent, item.bullet);
			r = add_item(items, &item);
		}
		is_after_blank = false;
	}
	return r;
}

/* All ids of one item, which may have several lines. */
static int read_item(struct changelog *c, const struct item *item, const char *version)
{
	const char *end = item->end;
	bool is_check = item->is_doubtful || item->has_doubtful_parent || item->has_doubtful_part;

	for (const char *line = item->start; line < end;) {
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

/* Doubt goes down to the parts of an item, and up from them, but not across. */
static int read_items(struct changelog *c, struct items *items, const char *version)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < items->n; i++) {
		struct item *item = &items->list[i];

		r = read_doubt(item->start, item->end, &item->is_doubtful);
		if (item->parent != SIZE_MAX) {
			const struct item *parent = &items->list[item->parent];

			item->has_doubtful_parent =
				parent->is_doubtful || parent->has_doubtful_parent;
		}
	}
	for (size_t i = items->n; i-- > 0;) {
		const struct item *item = &items->list[i];

		if (item->parent != SIZE_MAX && (item->is_doubtful || item->has_doubtful_part))
			items->list[item->parent].has_doubtful_part = true;
	}
	for (size_t i = 0; r == 0 && i < items->n; i++)
		r = read_item(c, &items->list[i], version);
	return r;
}

/* The body of one entry, item by item. */
static int read_entry(struct changelog *c, const char *body, const char *end, const char *version)
{
	struct items items = {};
	int r;

	r = split_entry(body, end, &items);
	if (r == 0)
		r = read_items(c, &items, version);
	free(items.list);
	return r;
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
