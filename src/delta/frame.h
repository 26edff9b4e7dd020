/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Call frame records of .eh_frame (LSB core specification 5.0, 10.6), read with every bound. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/elf.h"

#define FRAME_ENCODING_PCREL_S4 0x1b

/* One record. Offsets are in the file; 0 means that there is none. */
struct frame_record {
	size_t at, end;      /* the record, its length word included */
	bool is_common;      /* a CIE */
	size_t common;       /* of an FDE: its CIE */
	size_t begin;        /* of an FDE: the pcrel 32-bit start; the length follows */
	size_t language;     /* of an FDE: the pcrel 32-bit LSDA field */
	size_t personality;  /* of a CIE: the pcrel 32-bit field */
	uint8_t begin_encoding, language_encoding;
};

struct frame_walk {
	const uint8_t *data;
	size_t at, end, start;
	/* the CIE that was read last, with its encodings */
	size_t common;
	uint8_t begin_encoding, language_encoding;
	bool has_data;
	unsigned word;
};

/* word: bytes of an address. */
void frame_walk_init(struct frame_walk *w, const uint8_t *data, const struct elf_section *s,
		     unsigned word);
/* False at the end, or where the section stops making sense. */
bool frame_walk_next(struct frame_walk *w, struct frame_record *ret);
