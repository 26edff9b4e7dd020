/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/rules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "publish/utf8.h"

static bool is_below_any(const char *path, const char *const *roots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (path_is_below(path, roots[i]))
			return true;
	return false;
}

bool rules_is_documentation(const char *path)
{
	static const char *const roots[] = {
		"usr/share/doc", "usr/share/doc-base", "usr/share/man", "usr/share/info",
		"usr/share/locale", "usr/share/lintian", "usr/share/gtk-doc", "usr/share/help",
		"usr/share/bug",
	};

	return is_below_any(path, roots, ARRAY_SIZE(roots));
}

const char *rules_refuse_path(const char *path)
{
	static const char *const kernel[] = {"boot", "usr/lib/modules", "vmlinuz", "initrd.img"};
	static const char *const own[] = {
		"usr/bin/bsi", "usr/bin/bsid", "usr/lib/bsi", "usr/libexec/bsi"};

	if (is_below_any(path, kernel, ARRAY_SIZE(kernel)))
		return "the kernel and its modules are not patched this way";
	if (path_is_below(path, "etc"))
		return "/etc belongs to the device's owner and is never patched";
	if (is_below_any(path, own, ARRAY_SIZE(own)) ||
		strncmp(path, "usr/lib/systemd/system/bsi", 26) == 0)
		return "the programs that attach grafts at boot cannot be under a graft themselves";
	if (!path_is_below(path, "usr") && !path_is_below(path, "opt"))
		return "it lies outside /usr and /opt";
	return NULL;
}

bool rules_is_privileged(const struct state_file *f)
{
	if (f->mode & (S_ISUID | S_ISGID))
		return true;
	for (size_t i = 0; i < f->n_xattrs; i++)
		if (strcmp(f->xattrs[i].name, "security.capability") == 0)
			return true;
	return false;
}

static bool has_capabilities(const struct state_file *f)
{
	for (size_t i = 0; f && i < f->n_xattrs; i++)
		if (strcmp(f->xattrs[i].name, "security.capability") == 0)
			return true;
	return false;
}

/*
 * Packages give capabilities and special owners in their scripts, which nobody runs here: an image
 * would lose them, and a base set would be of no device. A script names the path as it is installed.
 */
static bool script_changes_rights(const struct state *s, const struct state_file *f)
{
	const char *scripts = s->packages[f->package].scripts;

	if (!strstr(scripts, "setcap") && !strstr(scripts, "dpkg-statoverride"))
		return false;
	return strstr(scripts, f->stored_path) || strstr(scripts, f->path);
}

/* A file that goes from one package to another while devices may have either, or both. */
static bool is_of_neighbour(const struct compare *c, const struct compare_row *row, size_t from)
{
	const struct package *p = &c->from[from]->packages[row->base[from]->package];

	return strcmp(p->name, c->to->packages[row->package].name) != 0 &&
		state_package(c->to, p->name, p->architecture) != NULL;
}

static const char *refuse_type(const struct compare *c, const struct compare_row *row)
{
	mode_t type = row->to->mode & S_IFMT;
	bool has_base = false;

	for (size_t i = 0; i < c->n_from; i++) {
		const struct state_file *base = row->base[i];

		if (!base)
			continue;
		has_base = true;
		if ((base->mode & S_IFMT) != type)
			return "it changes its type";
		if (is_of_neighbour(c, row, i))
			return "in a base state it belongs to another package, which the patched "
			       "state has, too";
		if (base->is_altered)
			return "the base's file is not what its package shipped, so no device has it";
	}
	if (!has_base && row->is_ambiguous)
		return "several files of its directory and package have its SONAME";
	if (!has_base)
		return "its name is in no base state";
	if (type == S_IFLNK)
		return "its symlink target changes";
	if (type != S_IFREG)
		return "it is a special file";
	return NULL;
}

bool rules_is_metadata_only(const struct compare *c, const struct compare_row *row)
{
	for (size_t i = 0; i < c->n_from; i++)
		if (row->base[i] && !digest_equal(&row->base[i]->digest, &row->to->digest))
			return false;
	return true;
}

const char *rules_refuse_row(const struct compare *c, const struct compare_row *row,
	const char *architecture)
{
	const struct package *p = &c->to->packages[row->package];
	const char *reason = rules_refuse_path(row->to->path);

	if (reason)
		return reason;
	if (!utf8_is_plain(row->to->path))
		return "its name is not UTF-8";
	if (strcmp(p->architecture, architecture) != 0 && strcmp(p->architecture, "all") != 0)
		return "its package is for another architecture";
	reason = refuse_type(c, row);
	if (reason)
		return reason;
	if (row->elf.is_elf && strcmp(p->architecture, "all") != 0 &&
		!linkage_is_for(&row->elf, architecture))
		return "it is an ELF file for another architecture";
	for (size_t i = 0; i < c->n_from; i++)
		if (has_capabilities(row->base[i]) && !has_capabilities(row->to))
			return "it would lose its file capabilities: publish from a patched root tree";
	if (!has_capabilities(row->to) && script_changes_rights(c->to, row->to))
		return "its package sets owner or capabilities in a script: publish from a patched "
		       "root tree";
	for (size_t i = 0; i < c->n_from; i++)
		if (row->base[i] && !has_capabilities(row->base[i]) &&
			script_changes_rights(c->from[i], row->base[i]))
			return "the package of a base state sets its owner or capabilities in a "
			       "script: give that state as a root tree";
	return NULL;
}
