/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Where images go to and come from. The room opens nothing itself. */
#include <stddef.h>
#include <stdint.h>

/*
 * Takes bytes at an offset. Offsets are not ascending: a hash block is written when it is full. No
 * byte is written twice, none is left out. 0, or an error that is passed up unchanged.
 */
struct image_sink {
	void *ctx;
	int (*write)(void *ctx, uint64_t offset, const void *data, size_t len);
};

/* Fills data with exactly len bytes from offset: 0, or an error; too short is -BSI_E_FORMAT. */
struct image_source {
	void *ctx;
	int (*read)(void *ctx, uint64_t offset, void *data, size_t len);
};

/* Takes bytes one after the other. */
struct byte_sink {
	void *ctx;
	int (*write)(void *ctx, const void *data, size_t len);
};
