/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

char *fixture_folder(void)
{
	const char *parent = getenv("TMPDIR");
	char *path;

	assert(asprintf(&path, "%s/bsi-publish-test-XXXXXX", parent ? parent : "/tmp") > 0);
	assert(mkdtemp(path));
	return path;
}

void fixture_remove(char *folder)
{
	assert(file_remove_tree(AT_FDCWD, folder) == 0);
	free(folder);
}

static void put_phdr(struct buffer *b, uint32_t type, uint64_t offset, uint64_t bytes)
{
	buffer_put_u32le(b, type);
	buffer_put_u32le(b, 5);
	for (int i = 0; i < 3; i++)
		buffer_put_u64le(b, offset);
	buffer_put_u64le(b, bytes);
	buffer_put_u64le(b, bytes);
	buffer_put_u64le(b, 8);
}

void fixture_elf(struct buffer *out, const char *soname, const char *needed, int is_program,
	const char *text)
{
	struct buffer strings = buffer_of(4096);
	size_t n_dynamic = 3U + (soname ? 1 : 0) + (needed ? 1 : 0), n_headers = is_program ? 3 : 2;
	uint64_t dynamic = 64 + 56 * n_headers, table = dynamic + 16 * n_dynamic;
	uint64_t soname_at = 1, needed_at;

	buffer_put_u8(&strings, 0);
	buffer_put(&strings, soname ? soname : "", soname ? strlen(soname) + 1 : 0);
	needed_at = strings.len;
	buffer_put(&strings, needed ? needed : "", needed ? strlen(needed) + 1 : 0);

	buffer_put(out, "\177ELF\2\1\1\0\0\0\0\0\0\0\0", 16);
	buffer_put_u16le(out, ET_DYN);
	buffer_put_u16le(out, EM_X86_64);
	buffer_put_u32le(out, 1);
	buffer_put_u64le(out, 0);
	buffer_put_u64le(out, 64);
	buffer_put_u64le(out, 0);
	buffer_put_u32le(out, 0);
	buffer_put_u16le(out, 64);
	buffer_put_u16le(out, 56);
	buffer_put_u16le(out, (uint16_t)n_headers);
	buffer_put_u16le(out, 64);
	buffer_put_u32le(out, 0);
	put_phdr(out, PT_LOAD, 0, table + strings.len);
	put_phdr(out, PT_DYNAMIC, dynamic, 16 * n_dynamic);
	if (is_program)
		put_phdr(out, PT_INTERP, table, 1);
	if (soname) {
		buffer_put_u64le(out, DT_SONAME);
		buffer_put_u64le(out, soname_at);
	}
	if (needed) {
		buffer_put_u64le(out, DT_NEEDED);
		buffer_put_u64le(out, needed_at);
	}
	buffer_put_u64le(out, DT_STRTAB);
	buffer_put_u64le(out, table);
	buffer_put_u64le(out, DT_STRSZ);
	buffer_put_u64le(out, strings.len);
	buffer_put_u64le(out, DT_NULL);
	buffer_put_u64le(out, 0);
	buffer_put(out, strings.data, strings.len);
	buffer_put_text(out, text ? text : "");
	buffer_done(&strings);
	assert(out->err == 0);
}

static void put_member(struct archive *a, const char *name, const void *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)len);
	assert(archive_write_header(a, e) == ARCHIVE_OK);
	assert(archive_write_data(a, data, len) == (la_ssize_t)len);
	archive_entry_free(e);
}

static struct archive *open_tar(const char *filter, void *bytes, size_t len, size_t *ret_used)
{
	struct archive *a = archive_write_new();

	assert(archive_write_set_format_pax_restricted(a) == ARCHIVE_OK);
	if (strcmp(filter, "none") != 0)
		assert(archive_write_add_filter_by_name(a, filter) == ARCHIVE_OK);
	assert(archive_write_open_memory(a, bytes, len, ret_used) == ARCHIVE_OK);
	return a;
}

static void put_file(struct archive *a, const struct fixture_file *f)
{
	static const uint8_t capability[] = {1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct archive_entry *e = archive_entry_new();
	struct buffer content = buffer_of(1 << 20);

	if (f->soname || f->needed || f->is_program)
		fixture_elf(&content, f->soname, f->needed, f->is_program, f->content);
	else if (f->bytes)
		buffer_put(&content, f->bytes->data, f->bytes->len);
	else
		buffer_put_text(&content, f->content ? f->content : "");
	archive_entry_set_pathname(e, f->path);
	archive_entry_set_mode(e, (mode_t)(f->mode ? f->mode : 0644) |
			(f->symlink ? AE_IFLNK : f->is_fifo ? AE_IFIFO : AE_IFREG));
	archive_entry_set_uid(e, f->uid);
	if (f->symlink)
		archive_entry_set_symlink(e, f->symlink);
	if (f->hardlink)
		archive_entry_set_hardlink(e, f->hardlink);
	if (f->has_capability)
		archive_entry_xattr_add_entry(e, "security.capability", capability,
			sizeof capability);
	archive_entry_set_size(e,
		f->symlink || f->hardlink || f->is_fifo ? 0 : (la_int64_t)content.len);
	assert(archive_write_header(a, e) == ARCHIVE_OK);
	if (!f->symlink && !f->hardlink && !f->is_fifo && content.len > 0)
		assert(archive_write_data(a, content.data, content.len) ==
			(la_ssize_t)content.len);
	archive_entry_free(e);
	buffer_done(&content);
}

static void put_control(struct archive *a, const struct fixture_deb *d)
{
	struct buffer control = buffer_of(65536);

	buffer_printf(&control, "Package: %s\nVersion: %s\nArchitecture: %s\n", d->package,
		d->version ? d->version : "1.0-1", d->architecture ? d->architecture : "amd64");
	if (d->source)
		buffer_printf(&control, "Source: %s\n", d->source);
	if (d->depends)
		buffer_printf(&control, "Depends: %s\n", d->depends);
	buffer_put_text(&control, "Description: made by a test\n  of more lines\n");
	put_member(a, "./control", control.data, control.len);
	buffer_done(&control);
	if (d->scripts)
		put_member(a, "./postinst", d->scripts, strlen(d->scripts));
	if (d->md5sums)
		put_member(a, "./md5sums", d->md5sums, strlen(d->md5sums));
}

static void put_data(struct archive *a, const struct fixture_deb *d)
{
	char name[256];

	for (const struct fixture_file *f = d->files; f && f->path; f++)
		put_file(a, f);
	if (!d->changelog)
		return;
	(void)snprintf(name, sizeof name, "./usr/share/doc/%s/changelog.Debian", d->package);
	put_member(a, name, d->changelog, strlen(d->changelog));
}

char *fixture_write(const char *folder, const struct fixture_deb *d)
{
	const char *filter = d->filter ? d->filter : "gzip";
	const char *suffix = strcmp(filter, "gzip") == 0 ? ".gz"
		: strcmp(filter, "xz") == 0              ? ".xz"
		: strcmp(filter, "zstd") == 0            ? ".zst"
							 : "";
	size_t max = 1 << 21, used;
	uint8_t *bytes = malloc(max);
	struct archive *tar, *ar = archive_write_new();
	char *path, member[64];

	assert(bytes);
	assert(asprintf(&path, "%s/%s_%s.deb", folder, d->package,
		       d->version ? d->version : "1.0-1") > 0);
	assert(archive_write_set_format_ar_bsd(ar) == ARCHIVE_OK);
	assert(archive_write_open_filename(ar, path) == ARCHIVE_OK);
	put_member(ar, "debian-binary", "2.0\n", 4);
	tar = open_tar(filter, bytes, max, &used);
	put_control(tar, d);
	assert(archive_write_close(tar) == ARCHIVE_OK);
	archive_write_free(tar);
	(void)snprintf(member, sizeof member, "control.tar%s", suffix);
	put_member(ar, member, bytes, used);
	tar = open_tar(filter, bytes, max, &used);
	put_data(tar, d);
	assert(archive_write_close(tar) == ARCHIVE_OK);
	archive_write_free(tar);
	(void)snprintf(member, sizeof member, "data.tar%s", suffix);
	put_member(ar, member, bytes, used);
	assert(archive_write_close(ar) == ARCHIVE_OK);
	archive_write_free(ar);
	free(bytes);
	return path;
}
