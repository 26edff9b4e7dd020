/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/package_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/file.h"

#define FIELD(name) name, sizeof(name) - 1

static const char *field(char *line, const char *name, size_t len)
{
	/* a database has some ten thousand lines, and most begin with another letter */
	if (line[0] != name[0] || strncmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static void take_field(struct package_paragraph *p, char *line)
{
	const struct {
		const char *name;
		size_t len;
		const char **value;
	} fields[] = {
		{FIELD("Package"), &p->package},
		{FIELD("Version"), &p->version},
		{FIELD("Status"), &p->status},
		{FIELD("Architecture"), &p->architecture},
		{FIELD("Multi-Arch"), &p->multi_arch},
		{FIELD("Source"), &p->source},
		{FIELD("Built-Using"), &p->built_using},
		{FIELD("Static-Built-Using"), &p->static_built_using},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *value = field(line, fields[i].name, fields[i].len);

		if (value) {
			*fields[i].value = value;
			return;
		}
	}
}

/* A line that begins with a blank goes on with the one before it. */
static char *join_lines(char *line)
{
	char *end;

	while ((end = strchr(line, '\n')) && (end[1] == ' ' || end[1] == '\t'))
		*end = ' ';
	return end;
}

bool package_paragraph_next(char **at, struct package_paragraph *ret)
{
	*ret = (struct package_paragraph){0};
	while (**at == '\n')
		++*at;
	if (**at == '\0')
		return false;
	while (**at && **at != '\n') {
		char *line = *at, *end = join_lines(line);

		*at = end ? end + 1 : line + strlen(line);
		if (end)
			*end = '\0';
		take_field(ret, line);
	}
	return true;
}

bool package_is_installed(const struct package_paragraph *p)
{
	static const char *const states[] = {
		"installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"};
	const char *state = p->status ? strchr(p->status, ' ') : NULL;

	if (!p->package || !p->version || !state || strncmp(state, " ok ", 4) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(state + 4, states[i]) == 0)
			return true;
	return false;
}

int package_text_append(int root_fd, const char *path, size_t max, struct buffer *text)
{
	AUTO_CLOSE int fd = file_open_in_root(root_fd, path, O_RDONLY);
	size_t before = text->len;
	const uint8_t *end;
	int r;

	if (fd < 0)
		return fd;
	r = file_read_fd(fd, max, text);
	if (r < 0)
		return r;
	/* what follows in the same text is not hidden by it */
	end = text->len > before ? memchr(text->data + before, '\0', text->len - before) : NULL;
	if (end)
		text->len = (size_t)(end - text->data);
	return 0;
}

int package_text_read(int root_fd, const char *path, size_t max, char **ret)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(max + 1);
	int r = package_text_append(root_fd, path, max, &text);

	if (r < 0)
		return r;
	buffer_put_u8(&text, 0);
	if (text.err)
		return text.err;
	*ret = (char *)buffer_take(&text, NULL);
	return 0;
}

bool package_built_next(char **at, const char **ret_source, const char **ret_version)
{
	for (;;) {
		char *entry = *at + strspn(*at, " \t,"), *end, *version, *close;

		if (*entry == '\0')
			return false;
		end = entry + strcspn(entry, ",");
		*at = *end ? end + 1 : end;
		*end = '\0';
		version = strstr(entry, "(=");
		close = version ? strchr(version, ')') : NULL;
		if (!close)
			continue; /* not as the policy wants it: it says nothing exact */
		*close = '\0';
		*ret_version = version + 2 + strspn(version + 2, " \t");
		entry[strcspn(entry, " \t(")] = '\0';
		*ret_source = entry;
		return true;
	}
}
