/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a publisher's key file that is not encrypted. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "trust/signer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t sig[TRUST_SIGNATURE_BYTES];
	struct trust_signer *signer = NULL;

	if (trust_signer_from_pem(data, size, NULL, &signer, NULL) == 0) {
		if (trust_signer_sign(signer, data, size, sig) < 0)
			abort();
		trust_signer_free(signer);
	}
	return 0;
}
