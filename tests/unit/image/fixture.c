/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#define FIXTURE_MAX_BYTES (1U << 20)

struct memory memory_of(size_t max)
{
	struct memory m = {.max = max, .fail_at = SIZE_MAX};

	m.data = calloc(1, max);
	m.times = calloc(1, max);
	assert_non_null(m.data);
	assert_non_null(m.times);
	return m;
}

void memory_done(struct memory *m)
{
	free(m->data);
	free(m->times);
	*m = (struct memory){0};
}

int memory_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct memory *m = ctx;

	if (m->n_writes++ == m->fail_at)
		return m->fail_with;
	assert_true(offset <= m->max && len <= m->max - offset);
	memcpy(m->data + offset, data, len);
	for (size_t i = 0; i < len; i++)
		m->times[offset + i]++;
	if (offset + len > m->len)
		m->len = (size_t)offset + len;
	return 0;
}

int memory_append(void *ctx, const void *data, size_t len)
{
	struct memory *m = ctx;

	return memory_write(m, m->len, data, len);
}

int memory_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	const struct memory *m = ctx;

	if (offset > m->len || len > m->len - offset)
		return -BSI_E_FORMAT;
	memcpy(data, m->data + offset, len);
	return 0;
}

struct image_sink memory_sink(struct memory *m)
{
	return (struct image_sink){m, memory_write};
}

struct byte_sink memory_byte_sink(struct memory *m)
{
	return (struct byte_sink){m, memory_append};
}

struct image_source memory_source(struct memory *m)
{
	return (struct image_source){m, memory_read};
}

/* VFS_CAP_REVISION_2, effective: cap_net_raw. */
static const uint8_t capability[] = {1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static const struct image_xattr ping_xattrs[] = {
	{"user.b", (const uint8_t *)"bee", 3},
	{"security.capability", capability, sizeof(capability)},
	{"user.a", NULL, 0},
};

static const struct image_xattr lib_xattrs[] = {
	{"trusted.overlay.opaque", (const uint8_t *)"y", 1},
};

#define REGULAR(p, m, s)                                                                           \
	{                                                                                          \
		.path = (p), .mode = IMAGE_TYPE_REGULAR | (m), .size = (s)                         \
	}

const struct image_entry fixture_entries[FIXTURE_ENTRIES] = {
	REGULAR("usr/lib/libx.so.1", 0644, 10000),
	{.path = "usr/bin/ping",
		.mode = IMAGE_TYPE_REGULAR | 0755,
		.size = 4096,
		.xattrs = ping_xattrs,
		.n_xattrs = ARRAY_SIZE(ping_xattrs)},
	{.path = "usr/bin/su",
		.mode = IMAGE_TYPE_REGULAR | 04755,
		.uid = 1,
		.gid = 70000,
		.size = 1},
	{.path = "usr/lib",
		.mode = IMAGE_TYPE_DIRECTORY | 0711,
		.uid = 5,
		.xattrs = lib_xattrs,
		.n_xattrs = ARRAY_SIZE(lib_xattrs)},
	{.path = "usr/lib/libx.so",
		.mode = IMAGE_TYPE_SYMLINK | 0777,
		.symlink_target = "libx.so.1"},
	{.path = "usr/bin/ping6", .hardlink_to = "usr/bin/ping"},
	{.path = "usr/sbin/ping", .hardlink_to = "usr/bin/ping"},
	REGULAR("usr/lib/empty", 0600, 0),
	REGULAR("usr/lib/!early", 0644, 4095),
	REGULAR("usr/lib/-dash", 0644, 4097),
	REGULAR("usr/lib/a/b/c/deep", 0644, 8192),
	REGULAR("usr/lib/a.b", 0644, 5),
	REGULAR("opt/x", 0, 131072 + 3),
	{.path = "usr/lib/void", .mode = IMAGE_TYPE_DIRECTORY | 01777},
};

const uint8_t fixture_salt[IMAGE_SALT_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

uint8_t fixture_byte(const struct image_entry *e, uint64_t i)
{
	return (uint8_t)((uint8_t)e->path[strlen(e->path) - 1] + (i >> 9) + (i % 97 == 0));
}

uint8_t *fixture_content(
	const struct image_recipe *r, const struct image_entry *entries, size_t *ret_len)
{
	size_t len = (size_t)image_recipe_content_bytes(r);
	uint8_t *content = malloc(len + 1);
	size_t at = 0;

	assert_non_null(content);
	for (size_t i = 0; i < r->n_extents; i++)
		for (uint64_t k = 0; k < r->extents[i].length; k++)
			content[at++] = fixture_byte(&entries[r->extents[i].entry], k);
	*ret_len = len;
	return content;
}

struct image_recipe fixture_recipe(void)
{
	struct image_recipe r = {0};
	struct error e = {0};

	assert_int_equal(image_recipe_plan(fixture_entries, FIXTURE_ENTRIES, &r, &e), 0);
	return r;
}

struct image_seal fixture_image(struct memory *to)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO(image_writer) struct image_writer *w = NULL;
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);
	struct image_seal seal;

	*to = memory_of(FIXTURE_MAX_BYTES);
	const struct image_sink sink = memory_sink(to);

	assert_int_equal(image_writer_new(&r, fixture_salt, &sink, &w), 0);
	assert_int_equal(image_writer_feed(w, content, len), 0);
	assert_int_equal(image_writer_finish(w, &seal, NULL), 0);
	return seal;
}

void fixture_payload(struct memory *to, unsigned int n_workers)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	*to = memory_of(FIXTURE_MAX_BYTES);
	const struct byte_sink sink = memory_byte_sink(to);

	assert_int_equal(payload_encoder_new(&r, PAYLOAD_LEVEL, n_workers, &sink, &e), 0);
	assert_int_equal(payload_encoder_feed(e, content, len), 0);
	assert_int_equal(payload_encoder_finish(e, NULL), 0);
}
