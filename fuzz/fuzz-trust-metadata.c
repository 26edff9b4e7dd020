/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as each kind of metadata, and what was decoded as far as the client would use it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "trust/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct trust_metadata *md)
{
	struct trust_hashes hashes;
	struct trust_file file;
	uint64_t length;
	char *bin = NULL;

	if (md->version == 0)
		abort();
	(void)!trust_metadata_verify(md, &md->roles[TRUST_ROOT], &md->keyring, "input", NULL);
	(void)!trust_metadata_file(md, "snapshot.json", &file, NULL);
	(void)!trust_metadata_target(md, "a/b", &length, &hashes, NULL);
	for (size_t i = 0; i < md->delegations.n_list; i++) {
		const struct trust_delegation *d = &md->delegations.list[i];

		(void)trust_delegation_covers(d, "debian:12:amd64/index.json");
		if (trust_delegations_role(&md->delegations, d->role.name) != &d->role)
			abort();
		(void)!trust_metadata_verify(md, &d->role, &md->delegations.keyring, "input", NULL);
	}
	if (md->delegations.bins.bits > 0 &&
		trust_bins_name(&md->delegations.bins, "a/b", &bin) == 0 &&
		!trust_delegations_role(&md->delegations, bin))
		abort();
	free(bin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int type = 0; type < TRUST_TYPE_MAX; type++) {
		struct trust_metadata *md = NULL;

		if (trust_metadata_decode(data, size, (enum trust_type)type, "input", &md, NULL) < 0)
			continue;
		use(md);
		trust_metadata_free(md);
	}
	return 0;
}
