/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/package.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

size_t package_paragraph(const char **at, const char *end, const char **ret_text)
{
	const char *start = *at, *stop;

	while (start < end && *start == '\n')
		start++;
	stop = memmem(start, (size_t)(end - start), "\n\n", 2);
	*ret_text = start;
	*at = stop ? stop + 2 : end;
	return (size_t)((stop ? stop + 1 : end) - start);
}

/* The value of a field with its continuation lines, blanks trimmed; "" where it is missing. */
static int field(const char *text, size_t len, const char *name, char **ret)
{
	const char *end = text + len, *value = NULL, *stop = NULL;
	size_t name_len = strlen(name);
	char *copy;

	for (const char *line = text; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));

		if (!eol)
			eol = end;
		if (value && line < eol && (*line == ' ' || *line == '\t')) {
			stop = eol;
		} else if (value) {
			break;
		} else if ((size_t)(eol - line) > name_len && line[name_len] == ':' &&
			strncasecmp(line, name, name_len) == 0) {
			value = line + name_len + 1;
			stop = eol;
		}
		line = eol < end ? eol + 1 : end;
	}
	while (value && value < stop && isspace((unsigned char)*value))
		value++;
	while (value && stop > value && isspace((unsigned char)stop[-1]))
		stop--;
	copy = value ? strndup(value, (size_t)(stop - value)) : strdup("");
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

/* Policy 5.6.7: lower case letters, digits, plus, minus and dots. */
static bool is_name(const char *name)
{
	if (!isalnum((unsigned char)*name))
		return false;
	for (const char *c = name; *c; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && !strchr("+-.", *c))
			return false;
	return strlen(name) <= 128;
}

static bool is_version(const char *version)
{
	for (const char *c = version; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(".+-~:", *c))
			return false;
	return *version && strlen(version) <= 128;
}

/* "Source: name (version)", or neither where the binary package has its source's name. */
static int parse_source(struct package *p)
{
	char *open = strchr(p->source, '('), *close = open ? strchr(open, ')') : NULL;

	if (!*p->source) {
		free(p->source);
		p->source = strdup(p->name);
	}
	if (close) {
		p->source_version = strndup(open + 1, (size_t)(close - open - 1));
		while (open > p->source && isspace((unsigned char)open[-1]))
			open--;
		*open = '\0';
	} else {
		p->source_version = strdup(p->version);
	}
	return p->source && p->source_version ? 0 : -ENOMEM;
}

static int join_depends(const char *text, size_t len, char **ret)
{
	AUTO_FREE char *before = NULL, *depends = NULL;
	AUTO_DONE(buffer) struct buffer all = buffer_of(2 * PACKAGE_CONTROL_MAX_BYTES);
	int r;

	r = field(text, len, "Pre-Depends", &before);
	if (r == 0)
		r = field(text, len, "Depends", &depends);
	if (r < 0)
		return r;
	buffer_put_text(&all, before);
	buffer_put_text(&all, ",");
	buffer_put(&all, depends, strlen(depends) + 1);
	if (all.err < 0)
		return all.err;
	*ret = (char *)buffer_take(&all, NULL);
	return 0;
}

/* "install ok installed": dpkg(1), "Package states". What is new to us may be anything. */
static void read_status(const char *status, struct package *p)
{
	static const char *const whole[] = {"", "installed", "triggers-pending", "triggers-awaited"};
	static const char *const gone[] = {"config-files", "not-installed"};
	const char *word = strrchr(status, ' ');

	word = word ? word + 1 : status;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		p->installed |= strcmp(word, whole[i]) == 0;
	p->is_broken = !p->installed || strstr(status, "reinstreq");
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		p->is_broken &= strcmp(word, gone[i]) != 0;
	p->installed &= !p->is_broken;
	(void)snprintf(p->status, sizeof p->status, "%s", word);
}

static int parse_fields(const char *text, size_t len, struct package *p)
{
	AUTO_FREE char *status = NULL;
	int r;

	r = field(text, len, "Package", &p->name);
	if (r == 0)
		r = field(text, len, "Version", &p->version);
	if (r == 0)
		r = field(text, len, "Architecture", &p->architecture);
	if (r == 0)
		r = field(text, len, "Source", &p->source);
	if (r == 0)
		r = field(text, len, "Status", &status);
	if (r == 0)
		r = join_depends(text, len, &p->depends);
	if (r < 0)
		return r;
	p->scripts = strdup("");
	if (!p->scripts)
		return -ENOMEM;
	read_status(status, p);
	return parse_source(p);
}

int package_parse(const char *text, size_t len, struct package *ret, struct error *reterr)
{
	struct package p = {};
	int r;

	if (len > PACKAGE_CONTROL_MAX_BYTES || memchr(text, '\0', len))
		r = error_set(reterr, -BSI_E_FORMAT, "control data is too long or holds NUL bytes");
	else
		r = parse_fields(text, len, &p);
	if (r == 0 && !is_name(p.name))
		r = error_set(reterr, -BSI_E_FORMAT, "control data has no valid Package field");
	/* dpkg's status keeps paragraphs of packages that are gone without a version */
	else if (r == 0 && p.installed && !is_version(p.version))
		r = error_set(reterr, -BSI_E_FORMAT, "package %s has no valid Version", p.name);
	else if (r == 0 && p.installed && !is_name(p.architecture))
		r = error_set(reterr, -BSI_E_FORMAT, "package %s has no valid Architecture", p.name);
	if (r < 0) {
		package_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void package_done(struct package *p)
{
	free(p->name);
	free(p->version);
	free(p->architecture);
	free(p->source);
	free(p->source_version);
	free(p->depends);
	free(p->scripts);
	*p = (struct package){};
}

/* One alternative of a relation, "name:any (= version)", against a name and a version. */
static bool is_strict_on(const char *at, size_t len, const char *name, const char *version)
{
	size_t name_len = strlen(name), version_len = strlen(version);
	const char *end = at + len;

	while (at < end && isspace((unsigned char)*at))
		at++;
	if ((size_t)(end - at) < name_len || strncmp(at, name, name_len) != 0)
		return false;
	at += name_len;
	if (at < end && *at == ':')
		while (at < end && !isspace((unsigned char)*at) && *at != '(')
			at++;
	while (at < end && isspace((unsigned char)*at))
		at++;
	if (at >= end || *at++ != '(')
		return false;
	while (at < end && isspace((unsigned char)*at))
		at++;
	if (at >= end || *at++ != '=')
		return false;
	while (at < end && isspace((unsigned char)*at))
		at++;
	return (size_t)(end - at) > version_len && strncmp(at, version, version_len) == 0 &&
		(at[version_len] == ')' || isspace((unsigned char)at[version_len]));
}

bool package_depends_strictly(const struct package *a, const char *name, const char *version)
{
	for (const char *at = a->depends; *at;) {
		size_t len = strcspn(at, ",|");

		if (is_strict_on(at, len, name, version))
			return true;
		at += len;
		at += *at != '\0';
	}
	return false;
}

char *package_upstream(const char *version)
{
	const char *colon = strchr(version, ':'), *start = colon ? colon + 1 : version;
	const char *dash = strrchr(start, '-');

	return strndup(start, dash ? (size_t)(dash - start) : strlen(start));
}
