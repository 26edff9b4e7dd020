/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/reserved.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"

#define PATTERN_MAX_BYTES 255
#define SUFFIX ".conf"

void reserved_done(struct reserved *r)
{
	for (size_t i = 0; i < r->n_rules; i++)
		free(r->rules[i].pattern);
	free(r->rules);
	*r = (struct reserved){0};
}

static int add_rule(struct reserved *to, const char *pattern, size_t len, enum reserved_kind kind)
{
	struct reserved_rule *rules;
	char *copy;

	if (to->n_rules == RESERVED_RULES_MAX)
		return -BSI_E_LIMIT;
	rules = reallocarray(to->rules, to->n_rules + 1, sizeof *rules);
	if (!rules)
		return -ENOMEM;
	to->rules = rules;
	copy = strndup(pattern, len);
	if (!copy)
		return -ENOMEM;
	rules[to->n_rules++] = (struct reserved_rule){.pattern = copy, .kind = kind};
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool word_is(const char *at, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(at, word, len) == 0;
}

/* "PATTERN", "PATTERN boot", "PATTERN reboot", "!PATTERN"; without blanks around. */
static int parse_rule(const char *at, size_t len, struct reserved *to)
{
	enum reserved_kind kind = RESERVED_ASK;
	size_t pattern_len = 0, word;

	if (*at == '!') {
		kind = RESERVED_NO;
		at++;
		len--;
	}
	while (pattern_len < len && !is_blank(at[pattern_len]))
		pattern_len++;
	for (word = pattern_len; word < len && is_blank(at[word]);)
		word++;
	if (pattern_len == 0 || pattern_len > PATTERN_MAX_BYTES)
		return -BSI_E_FORMAT;
	for (size_t i = 0; i < pattern_len; i++)
		if ((unsigned char)at[i] <= 0x20 || at[i] == 0x7f || at[i] == '/')
			return -BSI_E_FORMAT;
	if (word < len) {
		if (kind == RESERVED_NO)
			return -BSI_E_FORMAT;
		if (word_is(at + word, len - word, "reboot"))
			kind = RESERVED_REBOOT;
		else if (word_is(at + word, len - word, "boot"))
			kind = RESERVED_BOOT;
		else if (!word_is(at + word, len - word, "ask"))
			return -BSI_E_FORMAT;
	}
	return add_rule(to, at, pattern_len, kind);
}

int reserved_parse(const char *text, size_t len, struct reserved *to, struct error *reterr)
{
	size_t n_lines = 0;

	for (size_t at = 0; at < len;) {
		const char *line = text + at, *newline = memchr(line, '\n', len - at);
		size_t line_len = newline ? (size_t)(newline - line) : len - at;
		int r = 0;

		at += line_len + 1;
		n_lines++;
		while (line_len > 0 && is_blank(*line)) {
			line++;
			line_len--;
		}
		while (line_len > 0 && is_blank(line[line_len - 1]))
			line_len--;
		if (line_len > 0 && *line != '#')
			r = parse_rule(line, line_len, to);
		if (r == -BSI_E_FORMAT)
			return error_set(reterr, r,
				"line %zu is no 'UNIT', 'UNIT ask', 'UNIT boot', 'UNIT reboot' or '!UNIT'",
				n_lines);
		if (r < 0)
			return error_set(reterr, r, "line %zu: %s", n_lines, error_text(r));
	}
	return 0;
}

enum reserved_kind reserved_find(const struct reserved *r, const char *unit)
{
	for (size_t i = r->n_rules; i-- > 0;)
		if (fnmatch(r->rules[i].pattern, unit, 0) == 0)
			return r->rules[i].kind;
	return RESERVED_NO;
}

/* The names of a folder's lists, sorted, added to names; a folder that is missing has none. */
static int list_folder(int root_fd, const char *folder, char ***names, size_t *n_names)
{
	int fd = file_open_in_root_following(root_fd, folder, O_RDONLY | O_DIRECTORY);
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		bool is_there = false;
		char **grown;

		if (len <= strlen(SUFFIX) || *entry->d_name == '.' ||
			strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		for (size_t i = 0; i < *n_names; i++)
			is_there |= strcmp((*names)[i], entry->d_name) == 0;
		if (is_there)
			continue;
		grown = reallocarray(*names, *n_names + 1, sizeof *grown);
		r = grown ? 0 : -ENOMEM;
		if (r == 0) {
			*names = grown;
			grown[*n_names] = strdup(entry->d_name);
			r = grown[*n_names] ? 0 : -ENOMEM;
			*n_names += r == 0;
		}
	}
	(void)closedir(dir);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The owner's file of that name, or the one that came with bsi. */
static int load_file(int root_fd, const char *name, struct reserved *to, struct error *reterr)
{
	static const char *const folders[] = {RESERVED_OWNERS, RESERVED_SHIPPED};
	AUTO_DONE(buffer) struct buffer text = buffer_of(RESERVED_FILE_MAX_BYTES);
	char path[512];
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(folders); i++) {
		AUTO_CLOSE int fd = -EBADF;

		(void)snprintf(path, sizeof path, "%s/%s", folders[i], name);
		fd = file_open_in_root_following(root_fd, path, O_RDONLY | O_NONBLOCK);
		r = fd < 0 ? fd : file_read_fd(fd, RESERVED_FILE_MAX_BYTES, &text);
	}
	if (r < 0)
		return error_set(reterr, r, "/%s: %s", path, error_text(r));
	r = reserved_parse((const char *)text.data, text.len, to, reterr);
	if (r < 0)
		error_prefix(reterr, "/%s", path);
	return r;
}

int reserved_load(int root_fd, struct reserved *ret, struct error *reterr)
{
	AUTO_DONE(reserved) struct reserved all = {0};
	char **names = NULL;
	size_t n_names = 0;
	int r;

	r = list_folder(root_fd, RESERVED_SHIPPED, &names, &n_names);
	if (r == 0)
		r = list_folder(root_fd, RESERVED_OWNERS, &names, &n_names);
	if (r < 0)
		r = error_set(reterr, r, "the lists of reserved units: %s", error_text(r));
	if (n_names > 0)
		qsort(names, n_names, sizeof *names, compare_names);
	for (size_t i = 0; r == 0 && i < n_names; i++)
		r = load_file(root_fd, names[i], &all, reterr);
	for (size_t i = 0; i < n_names; i++)
		free(names[i]);
	free(names);
	if (r < 0)
		return r;
	*ret = all;
	all = (struct reserved){0};
	return 0;
}
