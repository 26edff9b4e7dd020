/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>

#include <zstd.h>

#include "base/digest.h"
#include "base/hex.h"
#include "image/frame.h"

#define MAX_BYTES (1U << 20)
#define ENOUGH (64ULL << 20)

static int decode(const uint8_t *data, size_t len, size_t piece, uint64_t memory_max,
	uint64_t image_max, struct memory *to, struct image_seal *seal, struct error *e)
{
	AUTO(payload_decoder) struct payload_decoder *d = NULL;
	const struct image_sink sink = memory_sink(to);
	int r;

	assert_int_equal(payload_decoder_new(memory_max, image_max, fixture_salt, &sink, &d), 0);
	for (size_t at = 0; at < len; at += piece) {
		r = payload_decoder_feed(d, data + at, len - at < piece ? len - at : piece, e);
		if (r < 0) {
			/* it sticks, with its words */
			struct error again = {0};

			assert_int_equal(payload_decoder_finish(d, seal, &again), r);
			assert_string_equal(again.text, e->text);
			return r;
		}
	}
	r = payload_decoder_finish(d, seal, e);
	if (r == 0)
		assert_int_equal(payload_decoder_feed(d, "x", 1, e), -BSI_E_FORMAT);
	return r;
}

static void test_payload_round_trip(void **state)
{
	static const size_t pieces[] = {1, 2, 7, 100, 4096, MAX_BYTES};
	AUTO_DONE(memory) struct memory image = {0};
	AUTO_DONE(memory) struct memory payload = {0};
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	const struct image_seal seal = fixture_image(&image);

	(void)state;
	fixture_payload(&payload, 1);
	assert_true(payload.len < image.len / 20);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		AUTO_DONE(memory) struct memory got = memory_of(MAX_BYTES);
		struct image_seal got_seal;
		struct error e = {0};

		/* exactly what the encoder says is enough */
		assert_int_equal(decode(payload.data, payload.len, pieces[i],
					 payload_memory_bytes(&r), image.len, &got, &got_seal, &e),
			0);
		assert_int_equal(got.len, image.len);
		assert_memory_equal(got.data, image.data, image.len);
		assert_memory_equal(&got_seal.root, &seal.root, sizeof(seal.root));
	}
}

/* docs/formats/payload.md, "Example": what one libzstd wrote, every other one reads. */
static void test_documented_example(void **state)
{
	static const char payload_hex[] =
		"28b52ffd60241fad0400f2461820904d07eba28878dc6d1d5de4cea868d94040"
		"fbbd325c3360a39d0b0c5852ca14c124f59324c9f746713ec135a3becbfd6fdc"
		"9bbfc7cf9cfff78a357e5157bd46038df472c8f7f9f5c2ff5eb35c42541cbfff"
		"f0ffffdfff00fcdfaac22264b2a01100e7801fac2b63d073e0f445b39542d005"
		"3f0000a3fcf5f178bc01dca3b10de1bbaec2338d93402eb061c00bfeaf401e";
	static const char salt_hex[] =
		"761771ffa386804c415b885388e3eb5dee0e7795e1921cbc792a703fe04f3411";
	uint8_t payload[(sizeof(payload_hex) - 1) / 2], salt[IMAGE_SALT_BYTES];
	AUTO_DONE(memory) struct memory m = memory_of(20480);
	const struct image_sink sink = memory_sink(&m);
	AUTO(payload_decoder) struct payload_decoder *d = NULL;
	struct image_seal seal;
	struct digest got;

	(void)state;
	assert_int_equal(hex_parse(payload_hex, payload, sizeof(payload)), 0);
	assert_int_equal(hex_parse(salt_hex, salt, sizeof(salt)), 0);
	assert_int_equal(payload_decoder_new(ENOUGH, 20480, salt, &sink, &d), 0);
	assert_int_equal(payload_decoder_feed(d, payload, sizeof(payload), NULL), 0);
	assert_int_equal(payload_decoder_finish(d, &seal, NULL), 0);
	assert_int_equal(digest_of(m.data, m.len, &got), 0);
	assert_string_equal(digest_format(&got).text,
		"3f14d11ec1922e4c95f5bd868e3bf1e647c5ff3bd2561230f4e4dbf04eb94231");
}

static void test_payload_does_not_depend_on_workers_or_pieces(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory one = {0};
	AUTO_DONE(memory) struct memory two = {0};
	AUTO_DONE(memory) struct memory bytewise = memory_of(MAX_BYTES);
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	const struct byte_sink sink = memory_byte_sink(&bytewise);
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	(void)state;
	fixture_payload(&one, 1);
	fixture_payload(&two, 3);
	assert_int_equal(payload_encoder_new(&r, PAYLOAD_LEVEL, 1, &sink, &e), 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(payload_encoder_feed(e, content + i, 1), 0);
	assert_int_equal(payload_encoder_finish(e, NULL), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	assert_int_equal(one.len, bytewise.len);
	assert_memory_equal(one.data, bytewise.data, one.len);
}

static void test_encoder_refuses(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	AUTO(payload_encoder) struct payload_encoder *f = NULL;
	const struct byte_sink sink = memory_byte_sink(&m);
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	(void)state;
	assert_int_equal(payload_encoder_new(&r, 0, 1, &sink, &e), -EINVAL);
	assert_int_equal(payload_encoder_new(&r, PAYLOAD_LEVEL_MAX + 1, 1, &sink, &e), -EINVAL);
	assert_int_equal(payload_encoder_new(&r, 1, 0, &sink, &e), -EINVAL);
	assert_int_equal(payload_encoder_new(&r, 1, 1, &sink, &e), 0);
	assert_int_equal(payload_encoder_feed(e, content, len - 1), 0);
	assert_int_equal(payload_encoder_feed(e, content, 2), -BSI_E_LIMIT);
	assert_int_equal(payload_encoder_finish(e, NULL), -BSI_E_LIMIT);
	assert_int_equal(payload_encoder_new(&r, 1, 1, &sink, &f), 0);
	assert_int_equal(payload_encoder_feed(f, content, len - 1), 0);
	assert_int_equal(payload_encoder_finish(f, NULL), -BSI_E_FORMAT);
	r.data_bytes += 4096;
	assert_int_equal(payload_encoder_new(&r, 1, 1, &sink, &e), -BSI_E_FORMAT);
}

static void test_encoder_passes_errors_of_the_sink_up(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	const struct byte_sink sink = memory_byte_sink(&m);
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);
	struct error why = {0};
	int result;

	(void)state;
	m.fail_at = 0;
	m.fail_with = -ENOSPC;
	assert_int_equal(payload_encoder_new(&r, 1, 1, &sink, &e), 0);
	result = payload_encoder_feed(e, content, len);
	assert_true(result == 0 || result == -ENOSPC);
	assert_int_equal(payload_encoder_finish(e, &why), -ENOSPC);
	assert_int_equal(why.code, -ENOSPC);
}

static void test_decoder_passes_errors_of_the_sink_up(void **state)
{
	AUTO_DONE(memory) struct memory payload = {0};
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	struct image_seal seal;
	struct error e = {0};
	size_t n_writes;

	(void)state;
	fixture_payload(&payload, 1);
	assert_int_equal(
		decode(payload.data, payload.len, 99, ENOUGH, MAX_BYTES, &m, &seal, &e), 0);
	n_writes = m.n_writes;
	for (size_t i = 0; i < n_writes; i++) {
		m.n_writes = 0;
		m.fail_at = i;
		m.fail_with = -EIO;
		assert_int_equal(
			decode(payload.data, payload.len, 99, ENOUGH, MAX_BYTES, &m, &seal, &e),
			-EIO);
	}
}

static void test_decoder_rejects_truncation(void **state)
{
	AUTO_DONE(memory) struct memory payload = {0};
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);

	(void)state;
	fixture_payload(&payload, 1);
	for (size_t n = 0; n < payload.len; n++) {
		AUTO_FREE uint8_t *exact = malloc(n + 1);
		struct image_seal seal;
		struct error e = {0};

		memcpy(exact + 1, payload.data, n);
		assert_int_equal(decode(exact + 1, n, n + 1, ENOUGH, MAX_BYTES, &m, &seal, &e),
			-BSI_E_FORMAT);
	}
}

/*
 * A frame has no checksum: the whole payload's digest is checked before it is decoded. Here it may
 * decode to something else, but then to another root, and never beyond a bound.
 */
static void test_decoder_survives_bit_flips(void **state)
{
	AUTO_DONE(memory) struct memory image = {0};
	AUTO_DONE(memory) struct memory payload = {0};
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	const struct image_seal seal = fixture_image(&image);
	size_t n_refused = 0;

	(void)state;
	fixture_payload(&payload, 1);
	for (size_t bit = 0; bit < 8 * payload.len; bit++) {
		struct image_seal got;
		struct error e = {0};
		int r;

		/* all of the headers, then one of each byte */
		if (bit > 8 * 64 && bit % 8 != bit / 8 % 8)
			continue;
		payload.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		r = decode(payload.data, payload.len, payload.len, ENOUGH, MAX_BYTES, &m, &got, &e);
		payload.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		if (r == 0)
			assert_int_equal(memcmp(&got.root, &seal.root, sizeof(seal.root)) == 0,
				memcmp(m.data, image.data, image.len) == 0);
		else if (r != -BSI_E_FORMAT && r != -BSI_E_LIMIT && r != -BSI_E_VERSION)
			fail_msg("bit %zu: %d %s", bit, r, e.text);
		n_refused += r != 0;
	}
	assert_true(n_refused > payload.len / 4);
}

/* The bytes of a payload before compression, to be spoiled. */
static void plain_payload(struct buffer *b)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(buffer) struct buffer recipe = buffer_of(MAX_BYTES);
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	*b = buffer_of(MAX_BYTES);
	assert_int_equal(image_recipe_encode(&r, &recipe), 0);
	buffer_put(b, PAYLOAD_MAGIC, PAYLOAD_MAGIC_BYTES);
	buffer_put_u32le(b, PAYLOAD_FULL_VERSION);
	buffer_put_u32le(b, (uint32_t)recipe.len);
	buffer_put_u64le(b, len);
	buffer_put(b, recipe.data, recipe.len);
	buffer_put(b, content, len);
	assert_int_equal(b->err, 0);
}

struct frame_options {
	int checksum, content_size, window_log;
};

static void compress(const struct buffer *plain, struct frame_options o, struct buffer *out)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(plain->len), n;
	uint8_t *to;

	*out = buffer_of(2 * MAX_BYTES);
	to = buffer_grow(out, bound);
	assert_non_null(to);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, o.checksum);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, o.content_size);
	if (o.window_log)
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, o.window_log);
	n = ZSTD_compress2(zstd, to, bound, plain->data, plain->len);
	assert_false(ZSTD_isError(n));
	out->len = n;
	ZSTD_freeCCtx(zstd);
}

static int decode_plain(const struct buffer *plain, struct frame_options o)
{
	AUTO_DONE(buffer) struct buffer frame = buffer_of(0);
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	struct image_seal seal;
	struct error e = {0};

	compress(plain, o, &frame);
	return decode(frame.data, frame.len, 1000, ENOUGH, MAX_BYTES, &m, &seal, &e);
}

static void test_decoder_refuses_spoiled_heads(void **state)
{
	static const struct {
		const char *why;
		size_t at;
		uint8_t flip;
		int code;
	} rows[] = {
		{"nothing", 0, 0, 0},
		{"the magic", 0, 1, -BSI_E_FORMAT},
		{"the magic's end", 7, 1, -BSI_E_FORMAT},
		{"version 0", 8, 1, -BSI_E_VERSION},
		{"version 257", 9, 1, -BSI_E_VERSION},
		{"the recipe's size", 12, 1, -BSI_E_FORMAT},
		{"a huge recipe", 15, 0x80, -BSI_E_LIMIT},
		{"the contents' size", 16, 1, -BSI_E_FORMAT},
		{"huge contents", 23, 1, -BSI_E_LIMIT},
		{"the metadata's size", 24 + 1, 0x10, -BSI_E_FORMAT},
		{"part of a block", 24, 1, -BSI_E_FORMAT},
		{"huge metadata", 24 + 3, 1, -BSI_E_LIMIT},
		{"fewer extents", 28, 1, -BSI_E_FORMAT},
		{"many extents", 31, 1, -BSI_E_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_DONE(buffer) struct buffer plain = buffer_of(0);

		plain_payload(&plain);
		plain.data[rows[i].at] ^= rows[i].flip;
		if (decode_plain(&plain, (struct frame_options){0, 1, 0}) != rows[i].code)
			fail_msg("%s: not refused as it should be", rows[i].why);
	}
}

static void test_decoder_refuses_other_frames(void **state)
{
	static const struct {
		const char *why;
		struct frame_options options;
		int code;
	} rows[] = {
		{"a checksum", {1, 1, 0}, -BSI_E_FORMAT},
		{"no content size", {0, 0, 0}, -BSI_E_FORMAT},
		{"a window of 8 MiB", {0, 1, 23}, 0},
	};
	AUTO_DONE(buffer) struct buffer plain = buffer_of(0);

	(void)state;
	plain_payload(&plain);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (decode_plain(&plain, rows[i].options) != rows[i].code)
			fail_msg("%s: not as it should be", rows[i].why);
	/* a byte that belongs to nothing */
	buffer_put_u8(&plain, 0);
	assert_int_equal(decode_plain(&plain, rows[2].options), -BSI_E_FORMAT);
}

static void test_decoder_keeps_to_what_was_announced(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory payload = {0};
	AUTO_DONE(memory) struct memory m = memory_of(MAX_BYTES);
	uint64_t needed = payload_memory_bytes(&r), image = image_recipe_image_bytes(&r);
	struct image_seal seal;
	struct error e = {0};

	(void)state;
	fixture_payload(&payload, 1);
	assert_int_equal(decode(payload.data, payload.len, 9, needed - 1, image, &m, &seal, &e),
		-BSI_E_LIMIT);
	assert_non_null(strstr(e.text, "memory"));
	assert_int_equal(decode(payload.data, payload.len, 9, needed, image - 1, &m, &seal, &e),
		-BSI_E_LIMIT);
	assert_int_equal(m.n_writes, 0);
	payload.data[payload.len] = 0;
	assert_int_equal(decode(payload.data, payload.len + 1, 9, needed, image, &m, &seal, &e),
		-BSI_E_FORMAT);
	assert_non_null(strstr(e.text, "follow the end"));
}

static void test_frame_headers(void **state)
{
	static const struct {
		const char *why;
		uint8_t bytes[FRAME_HEADER_MAX_BYTES];
		size_t len;
		int code;
		uint64_t window, content;
	} rows[] = {
		{"one segment, one byte", {0x28, 0xb5, 0x2f, 0xfd, 0x20, 77}, 6, 6, 77, 77},
		{"one segment, two bytes", {0x28, 0xb5, 0x2f, 0xfd, 0x60, 1, 2}, 7, 7, 769, 769},
		{"one segment, four bytes", {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 1}, 9, 9,
			1U << 24, 1U << 24},
		{"a window of 8 MiB", {0x28, 0xb5, 0x2f, 0xfd, 0x80, 13 << 3, 5, 0, 0, 0}, 10, 10,
			8U << 20, 5},
		{"a window of 9 MiB", {0x28, 0xb5, 0x2f, 0xfd, 0x80, 13 << 3 | 1, 5, 0, 0, 0}, 10,
			10, 9U << 20, 5},
		{"eight bytes", {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0, 0, 0, 0, 0, 1}, 14, 14, 1024,
			1ULL << 32},
		{"the largest window", {0x28, 0xb5, 0x2f, 0xfd, 0x80, 0xff, 5, 0, 0, 0}, 10, 10,
			15ULL << 38, 5},
		{"no content size", {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0}, 6, -BSI_E_FORMAT, 0, 0},
		{"a checksum", {0x28, 0xb5, 0x2f, 0xfd, 0x24, 0}, 6, -BSI_E_FORMAT, 0, 0},
		{"a dictionary", {0x28, 0xb5, 0x2f, 0xfd, 0x21, 0, 1}, 7, -BSI_E_FORMAT, 0, 0},
		{"the reserved bit", {0x28, 0xb5, 0x2f, 0xfd, 0x28, 0}, 6, -BSI_E_FORMAT, 0, 0},
		{"a skippable frame", {0x50, 0x2a, 0x4d, 0x18, 0x20, 0}, 6, -BSI_E_FORMAT, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct frame_header h = {0};

		if (frame_header_decode(rows[i].bytes, rows[i].len, &h) != rows[i].code)
			fail_msg("%s: not as it should be", rows[i].why);
		assert_int_equal(h.window_bytes, rows[i].window);
		assert_int_equal(h.content_bytes, rows[i].content);
		for (size_t n = 0; rows[i].code > 0 && n < rows[i].len; n++)
			assert_int_equal(frame_header_decode(rows[i].bytes, n, &h), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payload_round_trip),
		cmocka_unit_test(test_documented_example),
		cmocka_unit_test(test_payload_does_not_depend_on_workers_or_pieces),
		cmocka_unit_test(test_encoder_refuses),
		cmocka_unit_test(test_encoder_passes_errors_of_the_sink_up),
		cmocka_unit_test(test_decoder_passes_errors_of_the_sink_up),
		cmocka_unit_test(test_decoder_rejects_truncation),
		cmocka_unit_test(test_decoder_survives_bit_flips),
		cmocka_unit_test(test_decoder_refuses_spoiled_heads),
		cmocka_unit_test(test_decoder_refuses_other_frames),
		cmocka_unit_test(test_decoder_keeps_to_what_was_announced),
		cmocka_unit_test(test_frame_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
