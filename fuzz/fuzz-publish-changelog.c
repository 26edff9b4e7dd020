/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every id that is found is an id, and stands in an entry between the versions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "improvement/debversion.h"
#include "improvement/text.h"
#include "publish/changelog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct changelog c;

	if (size == 0 || changelog_read((const char *)data, size, "1.0", "2.0", &c) < 0)
		return 0;
	for (size_t i = 0; i < c.n_mentions; i++) {
		const struct changelog_mention *m = &c.mentions[i];

		if (!text_is_cve(m->id) || debversion_compare(m->version, "1.0") <= 0 ||
			debversion_compare(m->version, "2.0") > 0)
			abort();
	}
	changelog_done(&c);
	return 0;
}
