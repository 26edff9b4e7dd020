/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* How one file is coded: the few bits in front of its operations. */
#include <stdbool.h>

#include "delta/coder.h"

#define FILE_MODE_TRAIN_BITS 3U

struct file_mode {
	bool is_plain;        /* the old file is taken as bytes without references */
	unsigned train_shift; /* 0: no training; otherwise windows of bytes sent << train_shift */
};

static inline void file_mode_code(struct coder *c, struct file_mode *m)
{
	m->is_plain = coder_raw(c, 1, m->is_plain);
	m->train_shift = (unsigned)coder_raw(c, FILE_MODE_TRAIN_BITS, m->train_shift);
}
