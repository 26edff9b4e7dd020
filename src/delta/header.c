/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/header.h"

#include <string.h>

#include "delta/mix.h"

static const uint8_t delta_magic[4] = {0xb5, 'B', 'D', 0x0a};

void delta_header_encode(const struct delta_header *h, struct buffer *out)
{
	buffer_put(out, delta_magic, sizeof(delta_magic));
	buffer_put_u8(out, (uint8_t)h->version);
	buffer_put_u8(out, h->model_bits);
	buffer_put_varint(out, h->memory_bytes >> 16);
	buffer_put_varint(out, h->output_bytes);
	buffer_put_varint(out, h->n_references);
	buffer_put_varint(out, h->n_files);
	buffer_put_varint(out, h->meta_bytes);
	buffer_put(out, h->check, sizeof(h->check));
}

int delta_header_decode(const void *data, size_t len, struct delta_header *ret, size_t *ret_used,
			struct error *reterr)
{
	struct reader r = reader_of(data, len);
	struct delta_header h = {0};
	const uint8_t *p = reader_take(&r, sizeof(delta_magic));

	if (!p || memcmp(p, delta_magic, sizeof(delta_magic)) != 0)
		return error_set(reterr, -BSI_E_FORMAT, "this is no delta");
	h.version = reader_u8(&r);
	if (!r.err && h.version != DELTA_VERSION)
		return error_set(reterr, -BSI_E_VERSION,
				 "the delta has format version %u, known here is %u",
				 (unsigned)h.version, DELTA_VERSION);
	h.model_bits = reader_u8(&r);
	h.memory_bytes = reader_count(&r, UINT32_MAX) << 16;
	h.output_bytes = reader_count(&r, DELTA_OUTPUT_BYTES_MAX);
	h.n_references = reader_count(&r, DELTA_REFERENCES_MAX);
	h.n_files = reader_count(&r, DELTA_FILES_MAX);
	h.meta_bytes = reader_count(&r, DELTA_META_BYTES_MAX);
	p = reader_take(&r, sizeof(h.check));
	if (r.err)
		return error_set(reterr, r.err, "the header of the delta is %s",
				 r.err == -BSI_E_LIMIT ? "beyond the limits" : "cut short or malformed");
	memcpy(h.check, p, sizeof(h.check));
	if (h.model_bits < MIX_TABLE_BITS_MIN || h.model_bits > MIX_TABLE_BITS_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "the delta asks for a model of 2^%u contexts",
				 h.model_bits);
	*ret = h;
	*ret_used = len - reader_left(&r);
	return 0;
}
