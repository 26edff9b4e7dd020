/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/deb.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/path.h"

#define CHUNK_BYTES (1U << 16)
#define MD5_BYTES 16

typedef struct archive archive_handle;

static void archive_donep(archive_handle **a)
{
	if (*a)
		(void)archive_read_free(*a);
	*a = NULL;
}
#define AUTO_ARCHIVE __attribute__((cleanup(archive_donep)))

static void md_freep(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
	*ctx = NULL;
}

/* One line of the package's md5sums. */
struct md5_line {
	const char *path;
	uint8_t md5[MD5_BYTES];
	bool seen;
};

/* The state of one reading. */
struct reading {
	const char *name; /* of the file, for errors */
	archive_handle *outer;
	const struct deb_sink *sink;
	struct buffer control, scripts, md5sums;
	struct md5_line *lines;
	size_t n_lines;
	EVP_MD_CTX *md5;
	EVP_MD *md5_kind;
	struct error *reterr;
};

static const char *why(archive_handle *a)
{
	const char *words = archive_error_string(a);

	return words ? words : "damaged";
}

static int broken(struct reading *r, archive_handle *a, const char *member)
{
	if (archive_errno(a) == ENOMEM)
		return error_set(r->reterr, -ENOMEM, "%s: out of memory", r->name);
	return error_set(r->reterr, -BSI_E_FORMAT, "%s: member %s is damaged or cut short: %s",
		r->name, member, why(a));
}

/* The bytes of the outer archive's current member, for the inner archive. */
static la_ssize_t read_member(archive_handle *inner, void *ctx, const void **ret)
{
	struct reading *r = ctx;
	la_int64_t offset;
	size_t len;
	int status;

	do
		status = archive_read_data_block(r->outer, ret, &len, &offset);
	while (status == ARCHIVE_OK && len == 0);
	if (status == ARCHIVE_EOF)
		return 0;
	if (status < ARCHIVE_WARN) {
		archive_set_error(inner, EIO, "%s", why(r->outer));
		return -1;
	}
	return (la_ssize_t)len;
}

static int open_inner(struct reading *r, const char *member, archive_handle **ret)
{
	archive_handle *inner = archive_read_new();

	if (!inner)
		return -ENOMEM;
	*ret = inner;
	/* only what deb(5) names; a "warning" here means an external program would be run */
	if (archive_read_support_format_tar(inner) != ARCHIVE_OK ||
		archive_read_support_filter_xz(inner) != ARCHIVE_OK ||
		archive_read_support_filter_gzip(inner) != ARCHIVE_OK ||
		archive_read_support_filter_zstd(inner) != ARCHIVE_OK)
		return error_set(r->reterr, -BSI_E_UNSUPPORTED,
			"this libarchive cannot read xz, gzip and zstd by itself");
	if (archive_read_open(inner, r, NULL, read_member, NULL) != ARCHIVE_OK)
		return broken(r, inner, member);
	return 0;
}

/* "./usr/x" as "usr/x"; "" for the root itself. */
static const char *strip(const char *path)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return strcmp(path, ".") == 0 ? "" : path;
}

/* A checked copy of a name from the archive, without a final slash. */
static int take_name(struct reading *r, const char *found, char out[static PATH_MAX_BYTES + 1])
{
	const char *name = found ? strip(found) : NULL;
	size_t len = name ? strlen(name) : 0;

	while (len > 0 && name[len - 1] == '/')
		len--;
	if (!name || len > PATH_MAX_BYTES)
		return error_set(r->reterr, -BSI_E_PATH,
			"%s: a path is too long or not in UTF-8", r->name);
	memcpy(out, name, len);
	out[len] = '\0';
	if (len > 0 && path_check(out) < 0)
		return error_set(r->reterr, -BSI_E_PATH,
			"%s: path \"%s\" leaves the root or is malformed", r->name, found);
	return 0;
}

static const char *entry_name(struct archive_entry *e)
{
	const char *name = archive_entry_pathname_utf8(e);

	return name ? name : archive_entry_pathname(e);
}

static const char *entry_hardlink(struct archive_entry *e)
{
	const char *name = archive_entry_hardlink_utf8(e);

	return name ? name : archive_entry_hardlink(e);
}

/* Append a whole small member of the control archive. */
static int slurp(struct reading *r, archive_handle *a, const char *member, struct buffer *out)
{
	uint8_t chunk[4096];

	for (;;) {
		la_ssize_t n = archive_read_data(a, chunk, sizeof chunk);

		if (n < 0)
			return broken(r, a, member);
		if (n == 0)
			break;
		buffer_put(out, chunk, (size_t)n);
	}
	if (out->err == -BSI_E_LIMIT)
		return error_set(r->reterr, -BSI_E_LIMIT, "%s: control member %s is too large",
			r->name, member);
	return out->err;
}

static int read_control(struct reading *r, const char *member)
{
	AUTO_ARCHIVE archive_handle *a = NULL;
	struct archive_entry *e;
	int status, result;

	result = open_inner(r, member, &a);
	if (result < 0)
		return result;
	while ((status = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
		const char *found = entry_name(e), *name = found ? strip(found) : "";
		struct buffer *out = NULL;

		if (strcmp(name, "control") == 0 && r->control.len == 0)
			out = &r->control;
		else if (strcmp(name, "md5sums") == 0 && r->md5sums.len == 0)
			out = &r->md5sums;
		else if (strcmp(name, "preinst") == 0 || strcmp(name, "postinst") == 0)
			out = &r->scripts;
		if (!out)
			continue;
		result = slurp(r, a, name, out);
		if (result < 0)
			return result;
	}
	if (status != ARCHIVE_EOF)
		return broken(r, a, member);
	if (r->control.len == 0)
		return error_set(r->reterr, -BSI_E_FORMAT, "%s: %s has no control file", r->name,
			member);
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(((const struct md5_line *)a)->path, ((const struct md5_line *)b)->path);
}

/* Lines "<md5>  <path>"; the text stays in r->md5sums, cut into strings. */
static int index_md5sums(struct reading *r)
{
	char *at, *end;

	buffer_put_u8(&r->md5sums, '\0');
	if (r->md5sums.err < 0)
		return r->md5sums.err;
	at = (char *)r->md5sums.data;
	end = at + r->md5sums.len - 1;
	r->lines = calloc(r->md5sums.len / 34 + 1, sizeof *r->lines);
	if (!r->lines)
		return -ENOMEM;
	while (at < end) {
		char *eol = memchr(at, '\n', (size_t)(end - at)), *path = at + 34;
		struct md5_line *line = &r->lines[r->n_lines];
		char hex[2 * MD5_BYTES + 1] = {};

		if (!eol)
			eol = end;
		*eol = '\0';
		if (eol - at > 34 && at[32] == ' ' && (at[33] == ' ' || at[33] == '*')) {
			memcpy(hex, at, 2 * MD5_BYTES);
			line->path = strip(path);
			if (hex_parse(hex, line->md5, MD5_BYTES) == 0)
				r->n_lines++;
		}
		at = eol + 1;
	}
	qsort(r->lines, r->n_lines, sizeof *r->lines, compare_lines);
	return 0;
}

static struct md5_line *find_line(const struct reading *r, const char *path)
{
	const struct md5_line key = {.path = path};

	return bsearch(&key, r->lines, r->n_lines, sizeof key, compare_lines);
}

/* A hard link has no content of its own: it must be listed with the content of its target. */
static int confirm_link(struct reading *r, const char *path, const char *target)
{
	const struct md5_line *wanted = find_line(r, target);
	struct md5_line *line = find_line(r, path);

	if (!line)
		return 0;
	line->seen = true;
	if (wanted && memcmp(line->md5, wanted->md5, MD5_BYTES) != 0)
		return error_set(r->reterr, -BSI_E_DIGEST,
			"%s: %s is a hard link to %s, and the package's md5sums give them other content",
			r->name, path, target);
	return 0;
}

static int confirm_md5(struct reading *r, const char *path)
{
	uint8_t md5[EVP_MAX_MD_SIZE];
	struct md5_line *line;

	if (EVP_DigestFinal_ex(r->md5, md5, NULL) != 1)
		return -EIO;
	line = find_line(r, path);
	if (!line)
		return 0;
	line->seen = true;
	if (memcmp(line->md5, md5, MD5_BYTES) != 0)
		return error_set(r->reterr, -BSI_E_DIGEST,
			"%s: the content of %s is not what the package's md5sums say", r->name, path);
	return 0;
}

/* A tar may carry an attribute under two headers of its own kind: it counts once. */
static struct deb_xattr *find_xattr(struct deb_entry *entry, const char *name)
{
	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (strcmp(entry->xattrs[i].name, name) == 0)
			return &entry->xattrs[i];
	return NULL;
}

static int read_xattrs(struct reading *r, struct archive_entry *e, struct deb_entry *entry)
{
	const char *name;
	const void *value;
	size_t len;

	(void)archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK && name) {
		struct deb_xattr *known = find_xattr(entry, name);

		if ((!known && entry->n_xattrs == DEB_XATTRS_MAX) || len > DEB_XATTR_VALUE_MAX_BYTES)
			return error_set(r->reterr, -BSI_E_LIMIT,
				"%s: %s has too many or too large extended attributes", r->name,
				entry->path);
		if (!known)
			known = &entry->xattrs[entry->n_xattrs++];
		*known = (struct deb_xattr){.name = name, .value = value, .value_bytes = len};
	}
	return 0;
}

static int read_content(struct reading *r, archive_handle *a, const char *member,
	const struct deb_entry *entry)
{
	AUTO_FREE uint8_t *chunk = malloc(CHUNK_BYTES);
	uint64_t total = 0;
	int result;

	if (!chunk)
		return -ENOMEM;
	if (EVP_DigestInit_ex(r->md5, r->md5_kind, NULL) != 1)
		return -EIO;
	for (;;) {
		la_ssize_t n = archive_read_data(a, chunk, CHUNK_BYTES);

		if (n < 0)
			return broken(r, a, member);
		if (n == 0)
			break;
		total += (uint64_t)n;
		if (EVP_DigestUpdate(r->md5, chunk, (size_t)n) != 1)
			return -EIO;
		result = r->sink->content(r->sink->ctx, chunk, (size_t)n);
		if (result < 0)
			return result;
	}
	if (total != entry->size_bytes)
		return error_set(r->reterr, -BSI_E_FORMAT, "%s: %s is cut short", r->name,
			entry->path);
	return confirm_md5(r, entry->path);
}

static int read_entry(struct reading *r, archive_handle *a, const char *member,
	struct archive_entry *e)
{
	char path[PATH_MAX_BYTES + 1], hardlink[PATH_MAX_BYTES + 1];
	struct deb_entry entry = {};
	int result;

	result = take_name(r, entry_name(e), path);
	if (result < 0 || !*path)
		return result;
	entry.path = path;
	entry.mode = (uint32_t)archive_entry_mode(e);
	if (archive_entry_uid(e) < 0 || archive_entry_uid(e) >= UINT32_MAX ||
		archive_entry_gid(e) < 0 || archive_entry_gid(e) >= UINT32_MAX)
		return error_set(r->reterr, -BSI_E_LIMIT, "%s: owner of %s is out of range", r->name,
			path);
	entry.uid = (uint32_t)archive_entry_uid(e);
	entry.gid = (uint32_t)archive_entry_gid(e);
	if (entry_hardlink(e)) {
		result = take_name(r, entry_hardlink(e), hardlink);
		if (result < 0)
			return result;
		entry.hardlink_to = hardlink;
		entry.mode &= 07777;
		result = confirm_link(r, path, hardlink);
		if (result < 0)
			return result;
	} else if (S_ISLNK(entry.mode)) {
		entry.symlink_target = archive_entry_symlink(e);
		if (!entry.symlink_target)
			return error_set(r->reterr, -BSI_E_PATH, "%s: symlink %s has no target",
				r->name, path);
	} else if (S_ISREG(entry.mode)) {
		entry.size_bytes = (uint64_t)archive_entry_size(e);
	}
	result = read_xattrs(r, e, &entry);
	if (result == 0)
		result = r->sink->begin(r->sink->ctx, &entry, r->reterr);
	if (result == 0 && !entry.hardlink_to && S_ISREG(entry.mode))
		result = read_content(r, a, member, &entry);
	if (result == 0)
		result = r->sink->end(r->sink->ctx, r->reterr);
	return result;
}

static int read_data(struct reading *r, const char *member)
{
	AUTO_ARCHIVE archive_handle *a = NULL;
	struct archive_entry *e;
	int status, result;

	result = open_inner(r, member, &a);
	if (result < 0)
		return result;
	while ((status = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
		result = read_entry(r, a, member, e);
		if (result < 0)
			return result;
	}
	if (status != ARCHIVE_EOF)
		return broken(r, a, member);
	for (size_t i = 0; i < r->n_lines; i++)
		if (!r->lines[i].seen)
			return error_set(r->reterr, -BSI_E_FORMAT,
				"%s: %s is in the package's md5sums and not in %s", r->name,
				r->lines[i].path, member);
	return 0;
}

static int check_version(struct reading *r)
{
	char version[8] = {};
	la_ssize_t n = archive_read_data(r->outer, version, sizeof version - 1);

	if (n < 0)
		return broken(r, r->outer, "debian-binary");
	if (strncmp(version, "2.", 2) != 0)
		return error_set(r->reterr, -BSI_E_VERSION,
			"%s: Debian package format \"%s\" is not known here", r->name, version);
	return 0;
}

/* The members in the order that deb(5) prescribes; those that start with "_" may be ignored. */
static int read_members(struct reading *r)
{
	unsigned stage = 0;
	int status, result = 0;
	struct archive_entry *e;

	while (stage < 3 && (status = archive_read_next_header(r->outer, &e)) == ARCHIVE_OK) {
		const char *found = archive_entry_pathname(e);
		char member[64];

		(void)snprintf(member, sizeof member, "%s", found ? found : "");
		if (stage > 0 && member[0] == '_')
			continue;
		if (stage == 0 && strcmp(member, "debian-binary") == 0)
			result = check_version(r);
		else if (stage == 1 && strncmp(member, "control.tar", 11) == 0)
			result = read_control(r, member);
		else if (stage == 2 && strncmp(member, "data.tar", 8) == 0)
			result = read_data(r, member);
		else
			return error_set(r->reterr, -BSI_E_FORMAT,
				"%s is no Debian package: unexpected member \"%s\"", r->name, member);
		if (result == 0 && stage == 1)
			result = index_md5sums(r);
		if (result < 0)
			return result;
		stage++;
	}
	if (stage < 3)
		return error_set(r->reterr, -BSI_E_FORMAT,
			"%s is no whole Debian package: %s is missing%s%s", r->name,
			stage == 0 ? "debian-binary" : stage == 1 ? "control.tar" : "data.tar",
			status == ARCHIVE_EOF ? "" : ": ", status == ARCHIVE_EOF ? "" : why(r->outer));
	return 0;
}

static int parse_control(struct reading *r, struct package *ret)
{
	struct package p;
	int result;

	result = package_parse((const char *)r->control.data, r->control.len, &p, r->reterr);
	if (result < 0) {
		error_prefix(r->reterr, "%s", r->name);
		return result;
	}
	buffer_put_u8(&r->scripts, '\0');
	if (r->scripts.err < 0) {
		package_done(&p);
		return r->scripts.err;
	}
	free(p.scripts);
	p.scripts = (char *)buffer_take(&r->scripts, NULL);
	*ret = p;
	return 0;
}

static int open_outer(struct reading *r, int fd, archive_handle **ret)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_set(r->reterr, -errno, "%s: %s", r->name, strerrordesc_np(errno));
	*ret = archive_read_new();
	if (!*ret)
		return -ENOMEM;
	if (archive_read_support_format_ar(*ret) != ARCHIVE_OK ||
		archive_read_open_fd(*ret, fd, CHUNK_BYTES) != ARCHIVE_OK)
		return error_set(r->reterr, -BSI_E_FORMAT, "%s is no Debian package: %s", r->name,
			why(*ret));
	r->outer = *ret;
	return 0;
}

int deb_read(int fd, const char *path, const struct deb_sink *sink, struct package *ret_package,
	struct error *reterr)
{
	AUTO_ARCHIVE archive_handle *outer = NULL;
	__attribute__((cleanup(md_freep))) EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	struct reading r = {
		.name = path,
		.sink = sink,
		.control = buffer_of(PACKAGE_CONTROL_MAX_BYTES),
		.scripts = buffer_of(2 * DEB_SCRIPT_MAX_BYTES),
		.md5sums = buffer_of(DEB_MD5SUMS_MAX_BYTES),
		.md5 = md5,
		.reterr = reterr,
	};
	int result;

	/* md5 only finds damage here; trust comes from the publisher's choice of input */
	r.md5_kind = EVP_MD_fetch(NULL, "MD5", "-fips");
	if (!md5 || !r.md5_kind)
		result = error_set(reterr, -BSI_E_UNSUPPORTED, "libcrypto offers no MD5");
	else
		result = open_outer(&r, fd, &outer);
	if (result == 0)
		result = read_members(&r);
	if (result == 0 && ret_package)
		result = parse_control(&r, ret_package);
	EVP_MD_free(r.md5_kind);
	free(r.lines);
	buffer_done(&r.control);
	buffer_done(&r.scripts);
	buffer_done(&r.md5sums);
	return result;
}
