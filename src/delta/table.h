/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The tables at the start of the coded stream, coded in both directions: paths and meta bytes as
 * text, then the references, then the files.
 */
#include "delta/coder.h"
#include "delta/decode.h"
#include "delta/field.h"
#include "delta/literal.h"
#include "delta/map.h"

/* The model of the text. */
#define TABLE_TEXT_MODEL_BITS 16U

/*
 * text: the paths of all references, each ended by a NUL, and the meta bytes; header->meta_bytes
 * long. Encoding: all is given. Decoding: t->header is given, the rest is allocated and checked.
 */
int table_code(struct coder *c, struct literal *text_model, struct delta_tables *t,
	       struct buffer *text, struct error *reterr) MUST_CHECK;

/*
 * What decoding a part allocates beside the files, without what its content says: its operations, and
 * functions with areas of .gcc_except_table; and for each of these.
 */
#define TABLE_OP_BYTES (sizeof(struct op) + MOVE_OP_BYTES)
#define TABLE_AREA_BYTES sizeof(struct field_area)
uint64_t table_part_memory(uint64_t source_bytes);
/* What the models and the tables allocate; and the new files, when their lengths are known. */
uint64_t table_fixed_memory(const struct delta_header *h);
uint64_t table_new_memory(const struct delta_tables *t);
/* The old files of a file, together. */
uint64_t table_old_bytes(const struct delta_tables *t, const struct delta_file *f);
