/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* An empty directory for a state, gone after the test; and small things that the tests share. */
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/generation.h"
#include "store/store.h"

struct scratch {
	char path[64];
	int dir_fd;
};

/* setup and teardown of a cmocka test; *state is a struct scratch *. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* Empty it again. */
void scratch_clear(const struct scratch *scratch);

/* A store that is open, and one that is locked as well, for loading too; the test fails otherwise. */
struct store *scratch_open(const struct scratch *scratch);
struct store *scratch_lock(const struct scratch *scratch);

/* Write a file as it is, past the store. */
void scratch_write(const struct scratch *scratch, const char *path, const void *data, size_t len);
/* The file's bytes, NUL behind them; free() ends it. */
char *scratch_read(const struct scratch *scratch, const char *path, size_t *ret_len);
/* Whether a name is there. */
int scratch_has(const struct scratch *scratch, const char *path);
/* Names in a folder, "." and ".." not counted; those that begin with a dot alone if hidden. */
unsigned scratch_count(const struct scratch *scratch, const char *folder, int hidden);

/* An image of `bytes` times this byte, committed; its digest. */
struct digest scratch_image(struct store *s, uint8_t byte, size_t bytes);
/* A generation of one component with that image, written; its number. */
uint64_t scratch_generation(struct store *s, const char *letter, uint64_t build,
	const struct digest *image);
