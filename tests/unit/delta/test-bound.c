/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What decoding costs at most: no more memory than the header states, that within 16 MiB and 2.6
 * times the longest file, and no more work than a constant times what is named and made.
 */
#include "fixture.h"

#include <malloc.h>
#include <stdio.h>

#include "delta/encode.h"
#include "delta/header.h"

#define BOUND_FIXED (16U << 20)
#define SHARED_BYTES 200000U
#define SHARING_FILES 100U
#define PIECE_BYTES 40U
#define LIES 20U

/* Memory is asked for through these (see meson.build): what is out, and the most that ever was. */
static size_t out_bytes, most_bytes;
static uint64_t loaded_bytes;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__wrap_aligned_alloc(size_t alignment, size_t n);

static void *count_in(void *p)
{
	out_bytes += p ? malloc_usable_size(p) : 0;
	if (out_bytes > most_bytes)
		most_bytes = out_bytes;
	return p;
}

void *__wrap_malloc(size_t n)
{
	return count_in(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return count_in(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
	return count_in(__real_aligned_alloc(alignment, n));
}

void *__wrap_realloc(void *p, size_t n)
{
	size_t before = p ? malloc_usable_size(p) : 0;
	void *q = __real_realloc(p, n);

	if (q)
		out_bytes -= before;
	return q ? count_in(q) : q;
}

void __wrap_free(void *p)
{
	out_bytes -= p ? malloc_usable_size(p) : 0;
	__real_free(p);
}

static void encode_one(const struct buffer *old, const struct buffer *new, struct buffer *out)
{
	const struct delta_input reference = {"", old->data, old->len};
	const struct delta_input_file file = {
		.data = new->data, .len = new->len, .n_references = old->len ? 1 : 0};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = &file,
				      .n_files = 1, .meta = (const uint8_t *)""};
	struct error e = {0};

	if (delta_encode(&set, NULL, out, &e) < 0)
		fail_msg("%s", e.text);
}

/* The contents go nowhere: only what the decoder itself asks for counts. */
static int drop(void *ctx, uint64_t offset, const void *data, size_t len)
{
	(void)ctx;
	(void)offset;
	return data || !len ? 0 : -BSI_E_FORMAT;
}

struct lender {
	const struct buffer *old, *delta;
	size_t at;
};

static int64_t lend_delta(void *ctx, void *into, size_t len)
{
	struct lender *l = ctx;

	if (len > l->delta->len - l->at)
		len = l->delta->len - l->at;
	if (len)
		memcpy(into, l->delta->data + l->at, len);
	l->at += len;
	return (int64_t)len;
}

static int lend_old(void *ctx, uint32_t index, const struct delta_reference *reference,
		    uint8_t *into, struct error *reterr)
{
	const struct lender *l = ctx;

	(void)index;
	(void)reterr;
	assert_int_equal(reference->bytes, l->old->len);
	memcpy(into, l->old->data, l->old->len);
	loaded_bytes += l->old->len;
	return 0;
}

static void check_memory(const char *name, const struct buffer *old, const struct buffer *new)
{
	AUTO_DONE(buffer) struct buffer delta = buffer_of(64U << 20);
	struct lender lender = {.old = old, .delta = &delta};
	const struct delta_source source = {&lender, lend_delta};
	const struct delta_io io = {.ctx = &lender, .load = lend_old, .write = drop};
	size_t longest = old->len > new->len ? old->len : new->len, before;
	struct delta_header h;
	size_t used;
	struct error e = {0};

	encode_one(old, new, &delta);
	assert_int_equal(delta_header_decode(delta.data, delta.len, &h, &used, NULL), 0);
	before = most_bytes = out_bytes;
	if (delta_decode(&source, h.memory_bytes, &io, &e) < 0)
		fail_msg("%s: %s", name, e.text);
	print_message("# %s: %zu KiB of %llu KiB\n", name, (most_bytes - before) >> 10,
		      (unsigned long long)(h.memory_bytes >> 10));
	/* all is given back; a text that libc copied was never counted */
	assert_true(out_bytes <= before);
	assert_in_range(most_bytes - before, 1, h.memory_bytes);
	assert_in_range(h.memory_bytes, 1, BOUND_FIXED + longest * 26 / 10);
	/* a device that allows less is told so before anything is read */
	lender.at = 0;
	assert_int_equal(delta_decode(&source, h.memory_bytes - 1, &io, &e), -BSI_E_LIMIT);
}

/* A header that states less than the stream takes: refused before more than that is taken. */
static void check_lies(const struct buffer *old, const struct buffer *new)
{
	AUTO_DONE(buffer) struct buffer delta = buffer_of(64U << 20);
	struct delta_header h;
	uint64_t memory;
	size_t used;

	encode_one(old, new, &delta);
	assert_int_equal(delta_header_decode(delta.data, delta.len, &h, &used, NULL), 0);
	memory = h.memory_bytes;
	for (unsigned i = 1; i <= LIES; i++) {
		AUTO_DONE(buffer) struct buffer lie = buffer_of(64U << 20);
		struct lender lender = {.old = old, .delta = &lie};
		const struct delta_source source = {&lender, lend_delta};
		const struct delta_io io = {.ctx = &lender, .load = lend_old, .write = drop};
		size_t before;

		h.memory_bytes = (memory - memory * i / LIES) & ~UINT64_C(0xffff);
		delta_header_encode(&h, &lie);
		buffer_put(&lie, delta.data + used, delta.len - used);
		before = most_bytes = out_bytes;
		assert_true(delta_decode(&source, UINT64_MAX, &io, NULL) < 0);
		/* before the header is read there is a decoder and its buffer */
		assert_in_range(most_bytes - before, 0, h.memory_bytes + (1U << 16));
		assert_true(out_bytes <= before);
	}
}

/* Pieces of a file in another order: as many operations. */
static struct buffer shuffled(struct random *r, const struct buffer *of)
{
	struct buffer b = buffer_of(of->len);
	size_t n = of->len / PIECE_BYTES;

	for (size_t i = 0; i < n; i++)
		buffer_put(&b, of->data + random_below(r, n) * PIECE_BYTES, PIECE_BYTES);
	return b;
}

static void test_bound_memory(void **state)
{
	struct random r = {11};
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer other = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer none = buffer_of(0);
	AUTO_DONE(buffer) struct buffer noise = random_bytes(&r, 3000000);
	AUTO_DONE(buffer) struct buffer edited = random_edits(&r, &noise, 5);
	AUTO_DONE(buffer) struct buffer fresh = random_bytes(&r, 150000);
	AUTO_DONE(buffer) struct buffer pieces = shuffled(&r, &noise);
	AUTO_DONE(buffer) struct buffer text = buffer_of(8U << 20);
	char line[64];

	(void)state;
	for (unsigned i = 0; text.len < 4000000; i++) {
		int n = snprintf(line, sizeof(line), "line %u of some text\n", i);

		buffer_put(&text, line, (size_t)n);
	}
	check_memory("programs", &elf, &other);
	check_memory("nothing old", &none, &elf);
	check_memory("noise", &noise, &edited);
	check_memory("noise anew", &noise, &fresh);
	check_memory("text", &noise, &text);
	check_memory("pieces", &noise, &pieces);
	check_lies(&noise, &pieces);
	check_lies(&elf, &other);
}

/* A delta of many small files, all of which name the same large old file. */
static void make_sharing(const struct buffer *old, size_t n, struct buffer *out, int *ret)
{
	const struct delta_input references[2] = {{"a", old->data, old->len},
						  {"b", old->data, old->len}};
	AUTO_FREE struct delta_input_file *files = calloc(n, sizeof(*files));
	struct delta_set set = {.references = references, .n_references = 2, .files = files,
				.n_files = n, .meta = (const uint8_t *)""};

	assert_non_null(files);
	/* by turns, so that nothing can be kept from one to the next */
	for (size_t i = 0; i < n; i++)
		files[i] = (struct delta_input_file){.data = old->data + i * 10, .len = 100,
						     .n_references = 1, .references = {i & 1}};
	*ret = delta_encode(&set, NULL, out, NULL);
}

static void test_bound_work(void **state)
{
	struct random r = {13};
	AUTO_DONE(buffer) struct buffer old = random_bytes(&r, SHARED_BYTES);
	AUTO_DONE(buffer) struct buffer fits = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer many = buffer_of(1U << 20);
	struct lender lender = {.old = &old, .delta = &fits};
	const struct delta_source source = {&lender, lend_delta};
	const struct delta_io io = {.ctx = &lender, .load = lend_old, .write = drop};
	struct error e = {0};
	int made;

	(void)state;
	/* each is read and looked through: two old files, eight times what they and the output are */
	make_sharing(&old, 8, &fits, &made);
	assert_int_equal(made, 0);
	assert_int_equal(delta_decode(&source, UINT64_MAX, &io, &e), 0);
	/* the encoder's own proof meets the same limit: what it cannot prove it does not give */
	make_sharing(&old, SHARING_FILES, &many, &made);
	assert_int_equal(made, -BSI_E_STATE);
	/* the stream is whole: the device stops in time, however many files there are */
	lender = (struct lender){.old = &old, .delta = &many};
	loaded_bytes = 0;
	assert_int_equal(delta_decode(&source, UINT64_MAX, &io, &e), -BSI_E_LIMIT);
	assert_in_range(loaded_bytes, 1, 8 * (2 * SHARED_BYTES + 100 * SHARING_FILES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound_memory),
		cmocka_unit_test(test_bound_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
