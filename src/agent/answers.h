/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What a repository answered, to be told again without asking. Nothing of it is verified. */
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/error.h"

struct answer {
	char *url;
	struct buffer bytes;
	struct error why; /* code 0: the bytes; else what went wrong */
};

struct answers {
	struct answer *rows;
	size_t n, n_bytes;
};
void answers_done(struct answers *a);

/* Keep it; what cannot be kept is asked for once more. bytes are copied; why NULL: all went well. */
void answers_add(struct answers *a, const char *url, const struct buffer *bytes,
	const struct error *why);

/* NULL if it was not asked. */
const struct answer *answers_find(const struct answers *a, const char *url);

/* As the repository said it, within max bytes. */
int answer_tell(const struct answer *a, size_t max, struct buffer *out, struct error *reterr)
	MUST_CHECK;
