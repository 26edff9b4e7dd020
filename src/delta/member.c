/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/elf.h"

/* ar(5): name, date, owner, group, mode, size as text, and two bytes that end the header. */
#define AR_MAGIC_BYTES 8U
#define AR_HEADER_BYTES 60U
#define AR_NAME_BYTES 16U
#define AR_SIZE_AT 48U
#define AR_SIZE_BYTES 10U
/* APPNOTE.TXT 4.3: end of central directory, its entries, the header of a member. */
#define ZIP_END_BYTES 22U
#define ZIP_END_COMMENT_MAX 65535U
#define ZIP_ENTRY_BYTES 46U
#define ZIP_LOCAL_BYTES 30U
#define ZIP_STORED 0

struct members {
	struct member *list;
	size_t n, allocated;
	uint64_t packed_bytes; /* of those that are left out */
};

static int members_add(struct members *m, struct member add)
{
	if (m->n == MEMBERS_MAX)
		return 0;
	if (m->n == m->allocated) {
		size_t more = m->allocated ? m->allocated * 2 : 64;
		struct member *list = reallocarray(m->list, more, sizeof(*list));

		if (!list)
			return -ENOMEM;
		m->list = list;
		m->allocated = more;
	}
	m->list[m->n++] = add;
	return 0;
}

static int ar_find(const uint8_t *data, size_t len, struct members *m)
{
	size_t at = AR_MAGIC_BYTES;

	while (len - at >= AR_HEADER_BYTES) {
		uint64_t size = 0;
		int r;

		for (unsigned i = 0; i < AR_SIZE_BYTES; i++) {
			uint8_t c = data[at + AR_SIZE_AT + i];

			if (c >= '0' && c <= '9')
				size = size * 10 + (c - '0');
			else if (c != ' ')
				return 0;
		}
		if (data[at + 58] != '`' || data[at + 59] != '\n' || size > len - at - AR_HEADER_BYTES)
			return 0;
		r = members_add(m, (struct member){at + AR_HEADER_BYTES, (size_t)size, data + at,
						   AR_NAME_BYTES});
		if (r < 0)
			return r;
		at += AR_HEADER_BYTES + (size_t)size;
		at += at & 1 && at < len;
	}
	return 0;
}

/* The end record lies at the end, with a comment behind it at most. */
static const uint8_t *zip_end(const uint8_t *data, size_t len)
{
	static const uint8_t magic[4] = {'P', 'K', 5, 6};
	size_t least = len > ZIP_END_BYTES + ZIP_END_COMMENT_MAX ?
			       len - ZIP_END_BYTES - ZIP_END_COMMENT_MAX : 0;

	if (len < ZIP_END_BYTES)
		return NULL;
	for (size_t at = len - ZIP_END_BYTES + 1; at-- > least;)
		if (memcmp(data + at, magic, sizeof(magic)) == 0)
			return data + at;
	return NULL;
}

static int zip_add(const uint8_t *data, size_t len, const uint8_t *entry, size_t name_len,
		   struct members *m)
{
	static const uint8_t magic[4] = {'P', 'K', 3, 4};
	uint64_t size = elf_u32(entry + 24), packed = elf_u32(entry + 20), at = elf_u32(entry + 42);

	if (elf_u16(entry + 10) != ZIP_STORED && packed <= len - m->packed_bytes)
		m->packed_bytes += packed;
	/* encrypted, or not stored */
	if (elf_u16(entry + 10) != ZIP_STORED || elf_u16(entry + 8) & 1)
		return 0;
	if (at > len || len - at < ZIP_LOCAL_BYTES || memcmp(data + at, magic, sizeof(magic)) != 0)
		return 0;
	at += ZIP_LOCAL_BYTES + elf_u16(data + at + 26) + (uint64_t)elf_u16(data + at + 28);
	if (at > len || size > len - at)
		return 0;
	return members_add(m, (struct member){(size_t)at, (size_t)size, entry + ZIP_ENTRY_BYTES,
					      name_len});
}

static int zip_find(const uint8_t *data, size_t len, struct members *m)
{
	static const uint8_t magic[4] = {'P', 'K', 1, 2};
	const uint8_t *end = zip_end(data, len);
	size_t at, n;

	if (!end)
		return 0;
	at = elf_u32(end + 16);
	n = elf_u16(end + 10);
	for (size_t i = 0; i < n; i++) {
		size_t name_len, all;
		int r;

		if (at > len || len - at < ZIP_ENTRY_BYTES ||
		    memcmp(data + at, magic, sizeof(magic)) != 0)
			return 0;
		name_len = elf_u16(data + at + 28);
		all = ZIP_ENTRY_BYTES + name_len + elf_u16(data + at + 30) +
		      (size_t)elf_u16(data + at + 32);
		if (all > len - at)
			return 0;
		r = zip_add(data, len, data + at, name_len, m);
		if (r < 0)
			return r;
		at += all;
	}
	return 0;
}

static int member_by_place(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

int member_find(const uint8_t *data, size_t len, struct member **ret, size_t *ret_n)
{
	struct members m = {0};
	size_t kept = 0;
	int r = 0;

	if (len > AR_MAGIC_BYTES && memcmp(data, "!<arch>\n", AR_MAGIC_BYTES) == 0)
		r = ar_find(data, len, &m);
	else if (len > 4 && memcmp(data, "PK", 2) == 0)
		r = zip_find(data, len, &m);
	if (r < 0) {
		free(m.list);
		return r;
	}
	if (m.n)
		qsort(m.list, m.n, sizeof(m.list[0]), member_by_place);
	/* a directory that lies may name the same bytes twice */
	for (size_t i = 0; i < m.n; i++)
		if (!kept || m.list[i].at >= m.list[kept - 1].at + m.list[kept - 1].len)
			m.list[kept++] = m.list[i];
	*ret = m.list;
	*ret_n = kept;
	return 0;
}

uint64_t member_packed_bytes(const uint8_t *data, size_t len)
{
	struct members m = {0};

	if (len > 4 && memcmp(data, "PK", 2) == 0 && zip_find(data, len, &m) < 0)
		m.packed_bytes = 0;
	free(m.list);
	return m.packed_bytes;
}

bool member_same_name(const struct member *a, const struct member *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}
