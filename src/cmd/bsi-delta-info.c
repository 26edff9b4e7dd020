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
	[FIELD_OFFSET64] = "offset64", [FIELD_SPECIAL32] = "special32",
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
	bool is_tree;
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
	const char *name = i->is_tree ? reference->path : i->old;
	AUTO_CLOSE int fd = i->is_tree ? file_open_beneath(i->old_fd, name, O_RDONLY, 0) :
					 open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	(void)index;
	if (fd < 0)
		return error_set(reterr, i->is_tree ? fd : -errno, "\"%s\" cannot be read", name);
	for (uint64_t at = 0; at < reference->bytes; at += (uint64_t)n) {
		n = pread(fd, into + at, (size_t)(reference->bytes - at), (off_t)at);
		if (n <= 0)
			return error_set(reterr, -BSI_E_MISMATCH,
				"\"%s\" is not the file this delta was made from", name);
	}
	return 0;
}

static int info_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	(void)ctx;
	(void)offset;
	(void)data;
	(void)len;
	return 0;
}

static json_t *info_count(uint64_t found, uint64_t missed)
{
	return json_pack("{s:I, s:I}", "found", (json_int_t)found, "missed", (json_int_t)missed);
}

static void info_end(void *ctx, uint32_t index, const struct delta_file_stats *stats)
{
	struct info *i = ctx;
	json_t *costs = json_object(), *fields = json_object(), *sections = json_object();
	json_t *section_fields = json_object();

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
	(void)json_array_append_new(i->files,
		json_pack("{s:i, s:I, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "file", (int)index, "bytes",
			(json_int_t)stats->bytes, "mode", stats->is_plain ? "plain" : "references",
			"spent", costs, "sections", sections, "fields", fields, "section_fields",
			section_fields, "n_operations", (json_int_t)stats->body.n_ops, "n_replaced",
			(json_int_t)stats->body.n_replaced, "n_sent",
			(json_int_t)stats->body.n_sent));
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

static void info_print_file(const json_t *file)
{
	const char *key;
	json_t *value;

	printf("file %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT " bytes, %s mode\n",
		json_integer_value(json_object_get(file, "file")),
		json_integer_value(json_object_get(file, "bytes")),
		json_string_value(json_object_get(file, "mode")));
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
	struct delta_io io = {.ctx = i, .load = info_load, .end = info_end, .write = info_write};

	i->is_tree = t->meta_len != 0;
	if (i->is_tree) {
		i->old_fd = open(i->old, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (i->old_fd < 0)
			return error_set(reterr, -errno, "\"%s\" cannot be read", i->old);
	}
	if (lseek(i->delta_fd, 0, SEEK_SET) < 0)
		return -errno;
	return delta_decode(&source, UINT64_MAX, &io, reterr);
}

static int info_show(struct verb_call *call, struct info *i, struct delta_tables *t,
	struct error *reterr)
{
	json_t *document, *file;
	size_t at;
	int r = 0;

	i->old = call_value(call, "old");
	if (i->old)
		r = info_decode(i, t, reterr);
	if (r < 0)
		return r;
	if (call_has(call, "json")) {
		document = info_json(t);
		if (i->old)
			(void)json_object_set(document, "files", i->files);
		call_print_json(document);
		json_decref(document);
		return 0;
	}
	info_print_tables(t);
	json_array_foreach(i->files, at, file)
		info_print_file(file);
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
	struct info i = {.old_fd = -EBADF};
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
	auto_closep(&i.delta_fd);
	auto_closep(&i.old_fd);
	return r;
}
