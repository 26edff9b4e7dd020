/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-delta info: what a delta needs and makes; with the old files also where its bytes go. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cmd/bsi-delta.h"
#include "delta/equivalent.h"

static const char *const cost_names[BODY_COST_MAX] = {"operations", "places", "replaced", "fields",
	"sent"};

static const char *const field_names[FIELD_KIND_MAX] = {
	[FIELD_BRANCH] = "branch", [FIELD_MEMORY0] = "memory0", [FIELD_MEMORY1] = "memory1",
	[FIELD_MEMORY2] = "memory2", [FIELD_MEMORY4] = "memory4", [FIELD_ADDR64] = "addr64",
	[FIELD_ADDR32] = "addr32", [FIELD_PCREL32] = "pcrel32", [FIELD_TABLE] = "table",
	[FIELD_TABLE_START] = "table-start", [FIELD_SYMBOL32] = "symbol32",
	[FIELD_TEXT32] = "text32", [FIELD_SPECIAL32] = "special32",
	[FIELD_SPECIAL64] = "special64", [FIELD_SITE] = "site"};

static const char *const section_names[ELF_SECTION_KIND_MAX + 1] = {
	[ELF_SECTION_OTHER] = "data and others", [ELF_SECTION_CODE] = "code",
	[ELF_SECTION_RELA] = ".rela", [ELF_SECTION_RELR] = ".relr", [ELF_SECTION_DYNSYM] = ".dynsym",
	[ELF_SECTION_DYNSTR] = ".dynstr", [ELF_SECTION_SYMTAB] = ".symtab",
	[ELF_SECTION_STAPSDT] = ".note.stapsdt", [ELF_SECTION_DYNAMIC] = ".dynamic",
	[ELF_SECTION_GNU_HASH] = ".gnu.hash", [ELF_SECTION_HASH] = ".hash",
	[ELF_SECTION_EH_FRAME] = ".eh_frame", [ELF_SECTION_EH_FRAME_HDR] = ".eh_frame_hdr",
	[ELF_SECTION_EXCEPT_TABLE] = ".gcc_except_table",
	[ELF_SECTION_DEBUGLINK] = ".gnu_debuglink", [ELF_SECTION_BUILD_ID] = "build-id",
	[ELF_SECTION_POINTERS] = ".init_array", [ELF_SECTION_GOPCLNTAB] = ".gopclntab",
	[ELF_SECTION_VERSIONS] = ".gnu.version", [ELF_SECTION_VERSIONS_NEEDED] = ".gnu.version_r",
	[ELF_SECTION_VERSIONS_MADE] = ".gnu.version_d", [ELF_SECTION_NOBITS] = "none", [ELF_SECTION_KIND_MAX] = "outside of sections"};

struct info {
	int delta_fd, old_fd;
	const char *old;
	const struct delta_tables *tables;
	struct tree *tree;      /* NULL: one file */
	size_t entry;           /* of the tree: the next to look at */
	struct buffer content;  /* of the file at hand */
	uint64_t packed[PACKED_MAX];
	json_t *files;
};

static int64_t info_read(void *ctx, void *into, size_t len)
{
	const struct info *i = ctx;
	ssize_t n = read(i->delta_fd, into, len);

	return n < 0 ? -errno : n;
}

static int info_load(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	const struct info *i = ctx;
	const char *name = i->tree ? reference->path : i->old;
	AUTO_CLOSE int fd = i->tree ? file_open_beneath(i->old_fd, name, O_RDONLY, 0) :
					 open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	(void)index;
	if (fd < 0)
		return error_set(reterr, i->tree ? fd : -errno, "\"%s\" cannot be read", name);
	for (uint64_t at = 0; at < reference->bytes; at += (uint64_t)n) {
		n = pread(fd, into + at, (size_t)(reference->bytes - at), (off_t)at);
		if (n <= 0)
			return error_set(reterr, -BSI_E_MISMATCH,
				"\"%s\" is not the file this delta was made from", name);
	}
	return 0;
}

/* The file before is complete: how much of it is compressed? */
static int info_look(struct info *i)
{
	uint64_t counts[PACKED_MAX] = {0};
	json_t *last = json_array_get(i->files, json_array_size(i->files) - 1), *packed;
	int r = packed_count(i->content.data ? i->content.data : (const uint8_t *)"", i->content.len,
		counts);

	buffer_clear(&i->content);
	if (r < 0 || !last)
		return r;
	packed = json_object();
	for (unsigned k = 0; k < PACKED_MAX; k++) {
		i->packed[k] += counts[k];
		if (counts[k])
			(void)json_object_set_new(packed, packed_names[k],
				json_integer((json_int_t)counts[k]));
	}
	(void)json_object_set_new(last, "packed", packed);
	return 0;
}

/* What is known of a file before it is decoded. */
static int info_begin(void *ctx, uint32_t index, const struct delta_file *file,
	struct error *reterr)
{
	struct info *i = ctx;
	json_t *references = json_array();
	int r = info_look(i);

	(void)reterr;
	while (i->tree && i->entry < i->tree->n_entries &&
		!S_ISREG(i->tree->entries[i->entry].mode))
		i->entry++;
	for (unsigned k = 0; k < file->n_references; k++)
		(void)json_array_append_new(references,
			json_string(i->tables->references[file->references[k]].path));
	(void)json_array_append_new(i->files,
		json_pack("{s:i, s:s, s:I, s:o, s:I}", "file", (int)index, "path",
			i->tree && i->entry < i->tree->n_entries ? i->tree->entries[i->entry].path : "",
			"new_bytes", (json_int_t)file->bytes, "references", references, "bytes",
			(json_int_t)0));
	i->entry++;
	return r;
}

static int info_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct info *i = ctx;

	(void)offset;
	buffer_put(&i->content, data, len);
	return i->content.err;
}

static json_t *info_count(uint64_t found, uint64_t missed)
{
	return json_pack("{s:I, s:I}", "found", (json_int_t)found, "missed", (json_int_t)missed);
}

static void info_end(void *ctx, uint32_t index, const struct delta_file_stats *stats)
{
	struct info *i = ctx;
	json_t *costs = json_object(), *fields = json_object(), *sections = json_object();
	json_t *section_fields = json_object(), *more;

	for (unsigned c = 0; c < BODY_COST_MAX; c++)
		(void)json_object_set_new(costs, cost_names[c],
			json_integer((json_int_t)(stats->body.cost[c] >> 19)));
	for (unsigned k = 0; k <= ELF_SECTION_KIND_MAX; k++)
		if (stats->body.section_cost[k] >> 19)
			(void)json_object_set_new(sections, section_names[k],
				json_integer((json_int_t)(stats->body.section_cost[k] >> 19)));
	for (unsigned k = 0; k <= ELF_SECTION_KIND_MAX; k++)
		if (stats->body.section_fields[k])
			(void)json_object_set_new(section_fields, section_names[k],
				info_count(stats->body.section_fields[k],
					stats->body.section_missed[k]));
	for (unsigned k = 1; k < FIELD_KIND_MAX; k++)
		if (stats->body.fields[k])
			(void)json_object_set_new(fields, field_names[k],
				info_count(stats->body.fields[k], stats->body.missed[k]));
	more = json_pack("{s:I, s:s, s:i, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "bytes",
		(json_int_t)stats->bytes, "mode", stats->is_plain ? "plain" : "references", "n_parts",
		(int)stats->n_parts, "spent", costs, "sections", sections, "fields", fields,
		"section_fields", section_fields, "n_operations", (json_int_t)stats->body.n_ops,
		"n_replaced", (json_int_t)stats->body.n_replaced, "n_sent",
		(json_int_t)stats->body.n_sent);
	(void)json_object_update(json_array_get(i->files, index), more);
	json_decref(more);
}

static void info_print_counts(json_t *counts, const char *what)
{
	const char *key;
	json_t *value;

	json_object_foreach(counts, key, value)
		printf("  %s %-*s %8" JSON_INTEGER_FORMAT " found %8" JSON_INTEGER_FORMAT
		       " predicted %8" JSON_INTEGER_FORMAT " missed\n",
			what, 22 - (int)strlen(what), key,
			json_integer_value(json_object_get(value, "found")),
			json_integer_value(json_object_get(value, "found")) -
				json_integer_value(json_object_get(value, "missed")),
			json_integer_value(json_object_get(value, "missed")));
}

static json_int_t info_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void info_print_file(const json_t *file)
{
	const char *key, *path = json_string_value(json_object_get(file, "path"));
	const char *mode = json_string_value(json_object_get(file, "mode"));
	const json_t *references = json_object_get(file, "references");
	json_t *value;
	size_t at;

	printf("file %" JSON_INTEGER_FORMAT "%s%s: %" JSON_INTEGER_FORMAT
	       " bytes for %" JSON_INTEGER_FORMAT "%s%s%s",
		info_number(file, "file"), *path ? " " : "", path, info_number(file, "bytes"),
		info_number(file, "new_bytes"), mode ? ", " : "", mode ? mode : "",
		mode ? " mode" : "");
	if (info_number(file, "n_parts") > 1)
		printf(", %" JSON_INTEGER_FORMAT " parts", info_number(file, "n_parts"));
	printf("\n");
	json_array_foreach(references, at, value)
		if (*json_string_value(value))
			printf("  from %s\n", json_string_value(value));
	json_object_foreach(json_object_get(file, "packed"), key, value)
		printf("  %s: %" JSON_INTEGER_FORMAT " bytes, not looked into\n", key,
			json_integer_value(value));
	json_object_foreach(json_object_get(file, "spent"), key, value)
		printf("  %-12s %10" JSON_INTEGER_FORMAT " bytes\n", key, json_integer_value(value));
	json_object_foreach(json_object_get(file, "sections"), key, value)
		printf("  in %-19s %10" JSON_INTEGER_FORMAT " bytes\n", key, json_integer_value(value));
	info_print_counts(json_object_get(file, "fields"), "field");
	info_print_counts(json_object_get(file, "section_fields"), "fields of");
}

static void info_print_tables(const struct delta_tables *t)
{
	printf("format version %" PRIu64 "\n", t->header.version);
	printf("memory         %" PRIu64 " KiB\n", t->header.memory_bytes >> 10);
	printf("output         %" PRIu64 " bytes in %" PRIu64 " files\n", t->header.output_bytes,
		t->header.n_files);
	printf("base files     %" PRIu64 "\n", t->header.n_references);
	for (uint64_t i = 0; i < t->header.n_references; i++) {
		char hex[2 * DELTA_REFERENCE_CHECK_BYTES + 1];

		for (unsigned j = 0; j < DELTA_REFERENCE_CHECK_BYTES; j++)
			(void)snprintf(hex + 2 * j, 3, "%02x", t->references[i].check[j]);
		printf("  %s %10" PRIu64 " %s\n", hex, t->references[i].bytes, t->references[i].path);
	}
}

static json_t *info_json(const struct delta_tables *t)
{
	json_t *references = json_array();

	for (uint64_t i = 0; i < t->header.n_references; i++)
		(void)json_array_append_new(references,
			json_pack("{s:s, s:I}", "path", t->references[i].path, "bytes",
				(json_int_t)t->references[i].bytes));
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "version", (json_int_t)t->header.version,
		"memory_bytes", (json_int_t)t->header.memory_bytes, "output_bytes",
		(json_int_t)t->header.output_bytes, "n_files", (json_int_t)t->header.n_files,
		"references", references);
}

static int info_decode(struct info *i, const struct delta_tables *t, struct error *reterr)
{
	struct delta_source source = {i, info_read};
	struct delta_io io = {.ctx = i, .load = info_load, .begin = info_begin, .end = info_end,
		.write = info_write};
	int r;

	i->tables = t;
	if (t->meta_len) {
		r = tree_parse(t->meta, t->meta_len, &i->tree, reterr);
		if (r < 0)
			return r;
		i->old_fd = open(i->old, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (i->old_fd < 0)
			return error_set(reterr, -errno, "\"%s\" cannot be read", i->old);
	}
	if (lseek(i->delta_fd, 0, SEEK_SET) < 0)
		return -errno;
	r = delta_decode(&source, UINT64_MAX, &io, reterr);
	return r < 0 ? r : info_look(i);
}

/* All files together, and what header and tables take. */
static json_t *info_total(const struct info *i, uint64_t delta_bytes)
{
	json_t *packed = json_object(), *file;
	json_int_t files = 0;
	size_t at;

	json_array_foreach(i->files, at, file)
		files += info_number(file, "bytes");
	for (unsigned k = 0; k < PACKED_MAX; k++)
		if (i->packed[k])
			(void)json_object_set_new(packed, packed_names[k],
				json_integer((json_int_t)i->packed[k]));
	return json_pack("{s:I, s:I, s:I, s:o}", "bytes", (json_int_t)delta_bytes, "files", files,
		"tables", (json_int_t)delta_bytes - files, "packed", packed);
}

static void info_print_total(const json_t *total)
{
	const char *key;
	json_t *value;

	printf("together: %" JSON_INTEGER_FORMAT " bytes; header and tables %" JSON_INTEGER_FORMAT
	       ", files %" JSON_INTEGER_FORMAT "\n",
		info_number(total, "bytes"), info_number(total, "tables"), info_number(total, "files"));
	json_object_foreach(json_object_get(total, "packed"), key, value)
		printf("  %s: %" JSON_INTEGER_FORMAT " bytes of the new files, not looked into\n", key,
			json_integer_value(value));
}

static int info_show(struct verb_call *call, struct info *i, struct delta_tables *t,
	struct error *reterr)
{
	json_t *document, *file, *total;
	struct stat st;
	size_t at;
	int r = fstat(i->delta_fd, &st) < 0 ? -errno : 0;

	i->old = call_value(call, "old");
	if (r == 0 && i->old)
		r = info_decode(i, t, reterr);
	if (r < 0)
		return r;
	total = info_total(i, (uint64_t)st.st_size);
	if (call_has(call, "json")) {
		document = info_json(t);
		if (i->old) {
			(void)json_object_set(document, "files", i->files);
			(void)json_object_set(document, "total", total);
		}
		call_print_json(document);
		json_decref(document);
		json_decref(total);
		return 0;
	}
	info_print_tables(t);
	json_array_foreach(i->files, at, file)
		info_print_file(file);
	if (i->old)
		info_print_total(total);
	json_decref(total);
	return 0;
}

static void info_print_difference(struct verb_call *call, bool equal, const struct difference *d)
{
	json_t *document;

	if (call_has(call, "json")) {
		document = equal ? json_pack("{s:b}", "equivalent", 1) :
				   json_pack("{s:b, s:s, s:s, s:I, s:s}", "equivalent", 0, "what",
					     d->what, "section", d->section, "offset",
					     (json_int_t)d->offset, "function", d->function);
		call_print_json(document);
		json_decref(document);
		return;
	}
	if (equal) {
		printf("equivalent\n");
		return;
	}
	printf("different: %s, %s+0x%" PRIx64 "%s%s\n", d->what, *d->section ? d->section : "file",
		d->offset, *d->function ? ", in or after " : "", d->function);
}

static int info_equivalent(struct verb_call *call, struct error *reterr)
{
	const uint8_t *data[2] = {NULL, NULL};
	size_t len[2] = {0, 0};
	struct difference d;
	bool equal = false;
	int r = 0;

	if (call_n_arguments(call) != 2)
		return error_set(reterr, -BSI_E_USAGE, "--equivalent takes OLD and NEW");
	for (unsigned i = 0; i < 2 && r >= 0; i++) {
		r = map_file(AT_FDCWD, call_argument(call, i), &data[i], &len[i]);
		if (r < 0)
			(void)error_set(reterr, r, "\"%s\" cannot be read", call_argument(call, i));
	}
	if (r >= 0)
		r = equivalent_check(data[0], len[0], data[1], len[1], &equal, &d);
	if (r >= 0)
		info_print_difference(call, equal, &d);
	unmap_file(data[0], len[0]);
	unmap_file(data[1], len[1]);
	return r;
}

int delta_verb_info(struct verb_call *call, struct error *reterr)
{
	struct info i = {.old_fd = -EBADF, .content = buffer_of(SIZE_MAX)};
	struct delta_source source = {&i, info_read};
	struct delta_tables t = {0};
	int r;

	if (call_has(call, "equivalent"))
		return info_equivalent(call, reterr);
	if (call_n_arguments(call) != 1)
		return error_set(reterr, -BSI_E_USAGE, "info takes one delta");
	i.delta_fd = open(call_argument(call, 0), O_RDONLY | O_CLOEXEC);
	if (i.delta_fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", call_argument(call, 0));
	i.files = json_array();
	r = delta_tables_decode(&source, &t, reterr);
	if (r >= 0)
		r = info_show(call, &i, &t, reterr);
	delta_tables_done(&t);
	json_decref(i.files);
	tree_free(i.tree);
	buffer_done(&i.content);
	auto_closep(&i.delta_fd);
	auto_closep(&i.old_fd);
	return r;
}
