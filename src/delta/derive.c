/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/derive.h"

#include <string.h>

#include "base/error.h"
#include "delta/elf.h"
#include "delta/frame.h"
#include "delta/go.h"

#define FRAME_HEADER_BYTES 12U
#define FRAME_ENTRY_BYTES 8U
#define HASH_HEADER_BYTES 16U
#define DEBUGLINK_CRC_BYTES 4U
#define NOTE_HEADER_BYTES 16U
#define WORK_FACTOR_MAX 8U

static bool derive_range_of(const struct elf_section *s, struct derive_range *ret)
{
	uint64_t head = 0, tail = 0;

	switch (s->kind) {
	case ELF_SECTION_EH_FRAME_HDR:
		head = FRAME_HEADER_BYTES;
		break;
	case ELF_SECTION_GNU_HASH:
		head = HASH_HEADER_BYTES;
		break;
	case ELF_SECTION_DEBUGLINK:
		tail = DEBUGLINK_CRC_BYTES;
		break;
	default:
		return false;
	}
	if (s->bytes <= head + tail)
		return false;
	ret->at = (size_t)(s->offset + head);
	ret->len = (size_t)(s->bytes - head - tail);
	return true;
}

/* Put a range in its place among n; the ranges are few. */
static void derive_insert(struct derive_range *ranges, unsigned n, struct derive_range r)
{
	while (n && ranges[n - 1].at > r.at) {
		ranges[n] = ranges[n - 1];
		n--;
	}
	ranges[n] = r;
}

unsigned derive_ranges(const uint8_t *data, size_t len, struct derive_range *ret)
{
	struct go_module go;
	struct elf e;
	unsigned n = 0;

	if (!elf_parse(&e, data, len))
		return 0;
	for (unsigned i = 0; i < e.n_sections && n < DERIVE_RANGES_MAX; i++) {
		struct derive_range r;

		if (derive_range_of(&e.sections[i], &r))
			derive_insert(ret, n++, r);
	}
	go_parse(&go, &e, data, len);
	if (go.is_known && go.buckets.bytes && n < DERIVE_RANGES_MAX)
		derive_insert(ret, n++, (struct derive_range){go.buckets.at, (size_t)go.buckets.bytes});
	/* ranges that overlap are no ranges */
	for (unsigned i = 1; i < n; i++)
		if (ret[i - 1].at + ret[i - 1].len > ret[i].at)
			return 0;
	return n;
}

/* Entries of the table are sorted where they lie: no memory is needed beside the file. */
static bool entry_before(const uint8_t *a, const uint8_t *b)
{
	int32_t x = (int32_t)elf_u32(a), y = (int32_t)elf_u32(b);

	if (x != y)
		return x < y;
	return (int32_t)elf_u32(a + 4) < (int32_t)elf_u32(b + 4);
}

static void entry_swap(uint8_t *a, uint8_t *b)
{
	uint64_t x = elf_u64(a);

	elf_put_u64(a, elf_u64(b));
	elf_put_u64(b, x);
}

static void entry_sift(uint8_t *table, size_t root, size_t n)
{
	for (size_t child; (child = 2 * root + 1) < n; root = child) {
		uint8_t *at = table + child * FRAME_ENTRY_BYTES;

		if (child + 1 < n && entry_before(at, at + FRAME_ENTRY_BYTES)) {
			child++;
			at += FRAME_ENTRY_BYTES;
		}
		if (!entry_before(table + root * FRAME_ENTRY_BYTES, at))
			return;
		entry_swap(table + root * FRAME_ENTRY_BYTES, at);
	}
}

static void entries_sort(uint8_t *table, size_t n)
{
	size_t sorted = 1;

	while (sorted < n && !entry_before(table + sorted * FRAME_ENTRY_BYTES,
					   table + (sorted - 1) * FRAME_ENTRY_BYTES))
		sorted++;
	if (sorted >= n)
		return;
	for (size_t i = n / 2; i--;)
		entry_sift(table, i, n);
	for (size_t end = n; --end;) {
		entry_swap(table, table + end * FRAME_ENTRY_BYTES);
		entry_sift(table, 0, end);
	}
}

static int derive_frame_header(uint8_t *data, const struct elf *e, const struct elf_section *hdr)
{
	const struct elf_section *frames = elf_find(e, ELF_SECTION_EH_FRAME);
	size_t n = (size_t)(hdr->bytes - FRAME_HEADER_BYTES) / FRAME_ENTRY_BYTES, found = 0;
	uint8_t *out = data + hdr->offset + FRAME_HEADER_BYTES;
	struct frame_record r;
	struct frame_walk walk;

	if (!frames)
		return -BSI_E_FORMAT;
	frame_walk_init(&walk, data, frames, e->shape->word);
	while (found < n && frame_walk_next(&walk, &r)) {
		uint64_t begin, record;

		if (r.is_common || !r.begin)
			continue;
		begin = frames->addr + (r.begin - frames->offset) +
			(uint64_t)(int64_t)(int32_t)elf_u32(data + r.begin);
		record = frames->addr + (r.at - frames->offset);
		elf_put_u32(out + found * FRAME_ENTRY_BYTES, (uint32_t)(begin - hdr->addr));
		elf_put_u32(out + found * FRAME_ENTRY_BYTES + 4, (uint32_t)(record - hdr->addr));
		found++;
	}
	entries_sort(out, found);
	return 0;
}

/* The hash of glibc's .gnu.hash (DJB). The name ends inside the table, or with it. */
static uint32_t derive_name_hash(const uint8_t *names, uint64_t bytes, uint32_t at, uint64_t *work)
{
	uint32_t h = 5381;

	for (; at < bytes && names[at] && *work; --*work)
		h = h * 33 + names[at++];
	return h;
}

/* A bit of the filter, whose words are as long as an address: little-endian, so a byte will do. */
static void derive_filter(uint8_t *word, uint32_t bit)
{
	word[bit / 8] |= (uint8_t)(1U << bit % 8);
}

static int derive_gnu_hash(uint8_t *data, const struct elf *e, const struct elf_section *s)
{
	const struct elf_section *symbols = elf_find(e, ELF_SECTION_DYNSYM);
	const struct elf_section *names = elf_find(e, ELF_SECTION_DYNSTR);
	uint8_t *head = data + s->offset, *filter, *buckets, *chains;
	uint64_t n_buckets = elf_u32(head), first = elf_u32(head + 4);
	uint64_t n_words = elf_u32(head + 8), shift = elf_u32(head + 12), n;
	unsigned word_bytes = e->shape->word, bits = 8 * word_bytes;
	/* names may overlap, but not so that reading them takes for ever */
	uint64_t previous = UINT64_MAX, fixed, work = WORK_FACTOR_MAX * e->file_bytes;

	if (!symbols || !names || !n_buckets || !n_words || shift > 31)
		return -BSI_E_FORMAT;
	n = symbols->bytes / e->shape->symbol;
	fixed = HASH_HEADER_BYTES + word_bytes * n_words + 4 * n_buckets;
	if (first > n || fixed > s->bytes || (s->bytes - fixed) / 4 != n - first)
		return -BSI_E_FORMAT;
	memset(head + HASH_HEADER_BYTES, 0, (size_t)s->bytes - HASH_HEADER_BYTES);
	filter = head + HASH_HEADER_BYTES;
	buckets = filter + word_bytes * n_words;
	chains = buckets + 4 * n_buckets;
	for (uint64_t i = first; i < n; i++) {
		const uint8_t *symbol = data + symbols->offset + i * e->shape->symbol;
		uint32_t h = derive_name_hash(data + names->offset, names->bytes, elf_u32(symbol),
					      &work);
		uint8_t *word = filter + word_bytes * (h / bits % n_words);

		derive_filter(word, h % bits);
		derive_filter(word, (h >> shift) % bits);
		if (!elf_u32(buckets + 4 * (h % n_buckets)))
			elf_put_u32(buckets + 4 * (h % n_buckets), (uint32_t)i);
		elf_put_u32(chains + 4 * (i - first), h & ~1U);
		if (previous != UINT64_MAX && previous != h % n_buckets)
			chains[4 * (i - first - 1)] |= 1;
		previous = h % n_buckets;
	}
	if (!work)
		return -BSI_E_FORMAT;
	if (n > first)
		chains[4 * (n - first - 1)] |= 1;
	return 0;
}

/* Debian and Fedora name the debug file by the build-id, without its first byte. */
static int derive_debuglink(uint8_t *data, const struct elf *e, const struct derive_range *range)
{
	static const char digits[] = "0123456789abcdef", tail[] = ".debug";
	const struct elf_section *id = elf_find(e, ELF_SECTION_BUILD_ID);
	size_t n, at = range->at, end = range->at + range->len;

	if (!id || id->bytes <= NOTE_HEADER_BYTES + 1)
		return -BSI_E_FORMAT;
	n = (size_t)id->bytes - NOTE_HEADER_BYTES;
	memset(data + at, 0, range->len);
	for (size_t i = 1; i < n && end - at >= 2; i++) {
		uint8_t byte = data[id->offset + NOTE_HEADER_BYTES + i];

		data[at++] = (uint8_t)digits[byte >> 4];
		data[at++] = (uint8_t)digits[byte & 15];
	}
	if (end - at >= sizeof(tail) - 1)
		memcpy(data + at, tail, sizeof(tail) - 1);
	return 0;
}

int derive_fill(uint8_t *data, size_t len, const struct derive_range *range)
{
	struct go_module go;
	struct elf e;

	if (!elf_parse(&e, data, len))
		return -BSI_E_FORMAT;
	for (unsigned i = 0; i < e.n_sections; i++) {
		const struct elf_section *s = &e.sections[i];
		struct derive_range r;

		if (!derive_range_of(s, &r) || r.at != range->at || r.len != range->len)
			continue;
		if (s->kind == ELF_SECTION_EH_FRAME_HDR)
			return derive_frame_header(data, &e, s);
		if (s->kind == ELF_SECTION_GNU_HASH)
			return derive_gnu_hash(data, &e, s);
		return derive_debuglink(data, &e, range);
	}
	go_parse(&go, &e, data, len);
	if (go.is_known && go.buckets.at == range->at && go.buckets.bytes == range->len &&
	    go_fill_buckets(&go, data))
		return 0;
	return -BSI_E_FORMAT;
}
