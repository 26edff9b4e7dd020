/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The model of references inside bytes that are sent: not the distance is coded but the address
 * that it leads to, most significant byte first, so that the same target is the same bytes
 * wherever it is used from.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/coder.h"

struct target;

struct target_context {
	uint32_t from;      /* low half of the address that the distance is measured from */
	uint8_t opcode[2];  /* the two bytes before the field, nearest first */
	bool has_expected;  /* a repeat suggests a target */
	uint32_t expected;
};

int target_new(struct target **ret) MUST_CHECK;
void target_free(struct target *t);
DEFINE_FREEP(target)

/* Low half of an address. c == NULL only learns it. */
uint32_t target_code(struct target *t, struct coder *c, const struct target_context *context,
		     uint32_t value);
