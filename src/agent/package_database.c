/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/package_database.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/package_journal.h"
#include "agent/packages.h"
#include "base/bytes.h"
#include "base/cleanup.h"

/*
 * A dpkg at work moves the journal into the file now and then: what vanishes meanwhile stands there.
 * The last attempt is taken as it is: who reads compares packages_stamp() with the one from before.
 */
#define READ_ATTEMPTS 5

void package_database_done(struct package_database *d)
{
	free(d->text);
	free(d->list);
	*d = (struct package_database){0};
}

static int append(int dir_fd, const char *path, struct buffer *text)
{
	int r = package_text_append(dir_fd, path, PACKAGES_STATUS_MAX_BYTES, text);

	if (r < 0)
		return r;
	buffer_put_text(text, "\n\n");
	return text->err;
}

/* The file, and from *ret_journal on the journal in its order. -EAGAIN where part of that vanished. */
static int read_text(int root_fd, struct buffer *text, size_t *ret_journal)
{
	AUTO_DONE(package_journal) struct package_journal journal = {0};
	int r;

	r = append(root_fd, PACKAGE_STATUS_PATH, text);
	if (r == 0)
		r = package_journal_open(root_fd, &journal);
	if (r < 0)
		return r;
	*ret_journal = text->len;
	for (size_t i = 0; r == 0 && i < journal.n; i++) {
		r = append(dirfd(journal.dir), journal.names[i].text, text);
		if (r == -ENOENT)
			return -EAGAIN;
	}
	return r;
}

static bool is_text(const char *text, const char *other)
{
	return text && strcmp(text, other) == 0;
}

/*
 * The paragraph that a later one takes the place of; n if there is none. Only a package that is
 * "Multi-Arch: same" can be there for several architectures; another one may change its own.
 */
static size_t find_earlier(const struct package_database *d, size_t n,
	const struct package_paragraph *later)
{
	bool is_for_each = is_text(later->multi_arch, "same");
	size_t found = n;

	for (size_t i = 0; i < n; i++) {
		const struct package_paragraph *p = &d->list[i];

		if (!is_text(p->package, later->package))
			continue;
		if (p->architecture && is_text(later->architecture, p->architecture))
			return i;
		if (!is_for_each && found == n)
			found = i;
	}
	return found;
}

static int add(struct package_database *d, size_t *allocated, const struct package_paragraph *p)
{
	struct package_paragraph *list;

	if (d->n == *allocated) {
		size_t wanted = *allocated ? 2 * *allocated : 512;

		list = reallocarray(d->list, wanted, sizeof *list);
		if (!list)
			return -ENOMEM;
		d->list = list;
		*allocated = wanted;
	}
	d->list[d->n++] = *p;
	return 0;
}

static int parse(struct package_database *d, size_t journal)
{
	struct package_paragraph p;
	size_t allocated = 0;
	char *at = d->text;
	int r = 0;

	for (;;) {
		size_t earlier = d->n;

		if (r < 0 || !package_paragraph_next(&at, &p))
			return r;
		if (!p.package)
			continue;
		if (p.package >= d->text + journal)
			earlier = find_earlier(d, d->n, &p);
		if (earlier < d->n)
			d->list[earlier] = p;
		else
			r = add(d, &allocated, &p);
	}
}

int package_database_read(int root_fd, struct package_database *ret)
{
	struct package_database d = {0};
	size_t journal = 0;
	int r = -EAGAIN;

	for (unsigned i = 0; r == -EAGAIN && i < READ_ATTEMPTS; i++) {
		AUTO_DONE(buffer) struct buffer text = buffer_of(2 * (size_t)PACKAGES_STATUS_MAX_BYTES);
		struct packages_stamp before = packages_stamp(root_fd);

		r = read_text(root_fd, &text, &journal);
		if (r == 0 && i + 1 < READ_ATTEMPTS &&
			strcmp(before.text, packages_stamp(root_fd).text) != 0)
			r = -EAGAIN;
		buffer_put_u8(&text, 0);
		if (r == 0)
			r = text.err;
		if (r == 0)
			d.text = (char *)buffer_take(&text, NULL);
	}
	if (r == 0)
		r = parse(&d, journal);
	if (r < 0) {
		package_database_done(&d);
		return r;
	}
	*ret = d;
	return 0;
}
