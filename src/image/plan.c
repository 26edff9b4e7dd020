/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layout of an image: superblock and inodes, then directories, then symlinks, then the files'
 * contents. Nothing of it depends on a clock, a locale or the order of the input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "image/crc32c.h"
#include "image/erofs.h"
#include "image/names.h"
#include "image/recipe.h"
#include "image/xattr.h"

#define UUID_BYTES 16

/* Where an inode's parts go. */
struct place {
	uint64_t offset; /* of the inode */
	uint64_t data;   /* of its directory, target or content; 0 if it has none */
	uint64_t size;
	size_t xattrs, xattrs_len; /* in the layout's xattrs */
};

/* One directory entry before it has an offset in its block. */
struct dirent_name {
	const char *text;
	size_t len;
	size_t inode;
};

struct layout {
	const struct image_entry *entries;
	struct names names;
	struct place *places; /* one for each inode */
	struct buffer xattrs;
	struct dirent_name *dirents; /* scratch, large enough for any directory */
	uint64_t meta_bytes, data_bytes;
	size_t n_extents;
};

static void layout_done(struct layout *l)
{
	names_done(&l->names);
	free(l->places);
	free(l->dirents);
	buffer_done(&l->xattrs);
}

static uint32_t inode_mode(const struct layout *l, size_t inode)
{
	size_t entry = l->names.inodes[inode].entry;

	return entry == NAMES_NONE ? IMAGE_TYPE_DIRECTORY | 0755 : l->entries[entry].mode;
}

static int dirent_order(const void *a, const void *b)
{
	const struct dirent_name *x = a, *y = b;
	int r = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	if (r != 0)
		return r;
	return x->len < y->len ? -1 : x->len > y->len;
}

/* "." and ".." have their place in the byte order like any other name. */
static size_t dirents_list(const struct layout *l, size_t directory)
{
	const struct name *names = l->names.names;
	size_t n = 0;

	l->dirents[n++] = (struct dirent_name){".", 1, names[directory].inode};
	l->dirents[n++] = (struct dirent_name){"..", 2, names[names[directory].parent].inode};
	for (size_t i = names[directory].first_child; i != NAMES_NONE; i = names[i].next_sibling) {
		struct dirent_name *d = &l->dirents[n++];

		d->text = name_last(&names[i], &d->len);
		d->inode = names[i].inode;
	}
	qsort(l->dirents, n, sizeof(*l->dirents), dirent_order);
	return n;
}

/* How many entries from the first one fit into one block, and the bytes they take. */
static size_t dirents_fit(const struct dirent_name *d, size_t n, size_t *ret_bytes)
{
	size_t bytes = 0;
	size_t fit;

	for (fit = 0; fit < n; fit++) {
		size_t more = EROFS_DIRENT_BYTES + d[fit].len;

		if (bytes + more > IMAGE_BLOCK_BYTES)
			break;
		bytes += more;
	}
	*ret_bytes = bytes;
	return fit;
}

static void dirents_write(
	const struct layout *l, const struct dirent_name *d, size_t n, uint8_t *block)
{
	size_t text = n * EROFS_DIRENT_BYTES;

	for (size_t i = 0; i < n; i++) {
		uint8_t *at = block + i * EROFS_DIRENT_BYTES;

		put_le64(at + EROFS_DIRENT_AT_NID, l->places[d[i].inode].offset / EROFS_SLOT_BYTES);
		put_le16(at + EROFS_DIRENT_AT_NAME, (uint16_t)text);
		at[EROFS_DIRENT_AT_TYPE] = erofs_file_type_of(inode_mode(l, d[i].inode));
		memcpy(block + text, d[i].text, d[i].len);
		text += d[i].len;
	}
}

/* Pack a directory; to is NULL when only the size is wanted. The last block counts as it is used.
 */
static uint64_t directory_pack(const struct layout *l, size_t directory, uint8_t *to)
{
	size_t n = dirents_list(l, directory);
	uint64_t size = 0;

	for (size_t done = 0; done < n;) {
		size_t bytes;
		size_t fit = dirents_fit(l->dirents + done, n - done, &bytes);

		if (to)
			dirents_write(l, l->dirents + done, fit, to + size);
		done += fit;
		size += done < n ? IMAGE_BLOCK_BYTES : bytes;
	}
	return size;
}

/*
 * An inode begins a new block if it and its xattrs would not end in this one, so that no reader has
 * to join two blocks, except for xattrs larger than a block.
 */
static int inodes_place(struct layout *l, struct error *reterr)
{
	uint64_t at = EROFS_SUPER_OFFSET + EROFS_SUPER_BYTES;

	for (size_t i = 0; i < l->names.n_inodes; i++) {
		size_t entry = l->names.inodes[i].entry;
		struct place *p = &l->places[i];
		uint64_t len;
		int r;

		p->xattrs = l->xattrs.len;
		if (entry != NAMES_NONE) {
			const struct image_entry *e = &l->entries[entry];

			r = xattrs_encode(e->xattrs, e->n_xattrs, e->path, &l->xattrs, reterr);
			if (r < 0)
				return r;
		}
		p->xattrs_len = l->xattrs.len - p->xattrs;
		len = EROFS_INODE_BYTES + p->xattrs_len;
		at = (at + EROFS_SLOT_BYTES - 1) / EROFS_SLOT_BYTES * EROFS_SLOT_BYTES;
		if (at % IMAGE_BLOCK_BYTES + len > IMAGE_BLOCK_BYTES)
			at = (at + IMAGE_BLOCK_BYTES - 1) / IMAGE_BLOCK_BYTES * IMAGE_BLOCK_BYTES;
		p->offset = at;
		at += len;
	}
	l->meta_bytes = at;
	return 0;
}

/* Give size bytes whole blocks from *at on. */
static int data_place(struct place *p, uint64_t size, uint64_t *at)
{
	uint64_t end;

	p->size = size;
	if (size == 0)
		return 0;
	if (!checked_align(*at, IMAGE_BLOCK_BYTES, &p->data) || !checked_add(p->data, size, &end) ||
		!checked_align(end, IMAGE_BLOCK_BYTES, at) || *at > IMAGE_DATA_MAX_BYTES)
		return -BSI_E_LIMIT;
	return 0;
}

static int kind_place(struct layout *l, uint32_t type, uint64_t *at)
{
	for (size_t i = 0; i < l->names.n_inodes; i++) {
		const struct inode *inode = &l->names.inodes[i];
		uint64_t size;
		int r;

		if ((inode_mode(l, i) & IMAGE_TYPE_MASK) != type)
			continue;
		if (type == IMAGE_TYPE_DIRECTORY)
			size = directory_pack(l, inode->name, NULL);
		else if (type == IMAGE_TYPE_SYMLINK)
			size = strlen(l->entries[inode->entry].symlink_target);
		else
			size = l->entries[inode->entry].size;
		r = data_place(&l->places[i], size, at);
		if (r < 0)
			return r;
		if (type == IMAGE_TYPE_REGULAR && size > 0)
			l->n_extents++;
	}
	return 0;
}

static int layout_plan(struct layout *l, struct error *reterr)
{
	uint64_t at;
	int r;

	l->places = calloc(l->names.n_inodes, sizeof(*l->places));
	l->dirents = calloc(l->names.n_names + 2, sizeof(*l->dirents));
	if (!l->places || !l->dirents)
		return error_set(
			reterr, -ENOMEM, "out of memory for %zu inodes", l->names.n_inodes);
	r = inodes_place(l, reterr);
	if (r < 0)
		return r;
	at = l->meta_bytes;
	r = kind_place(l, IMAGE_TYPE_DIRECTORY, &at);
	if (r == 0)
		r = kind_place(l, IMAGE_TYPE_SYMLINK, &at);
	l->meta_bytes = at;
	if (r < 0 || at > IMAGE_META_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT,
			"the image's metadata would have more than %u bytes", IMAGE_META_MAX_BYTES);
	r = kind_place(l, IMAGE_TYPE_REGULAR, &at);
	if (r < 0)
		return error_set(reterr, r, "the image would be larger than %llu bytes",
			(unsigned long long)IMAGE_DATA_MAX_BYTES);
	l->data_bytes = at;
	return 0;
}

static void inode_write(const struct layout *l, size_t i, uint8_t *meta)
{
	const struct inode *inode = &l->names.inodes[i];
	const struct place *p = &l->places[i];
	uint8_t *at = meta + p->offset;

	put_le16(at + EROFS_INODE_AT_FORMAT, EROFS_FORMAT_EXTENDED_PLAIN);
	put_le16(at + EROFS_INODE_AT_XATTR_COUNT, xattrs_count_of(p->xattrs_len));
	put_le16(at + EROFS_INODE_AT_MODE, (uint16_t)inode_mode(l, i));
	put_le64(at + EROFS_INODE_AT_SIZE, p->size);
	put_le32(at + EROFS_INODE_AT_BLOCK, (uint32_t)(p->data / IMAGE_BLOCK_BYTES));
	put_le32(at + EROFS_INODE_AT_NUMBER, (uint32_t)(i + 1));
	if (inode->entry != NAMES_NONE) {
		put_le32(at + EROFS_INODE_AT_UID, l->entries[inode->entry].uid);
		put_le32(at + EROFS_INODE_AT_GID, l->entries[inode->entry].gid);
	}
	put_le32(at + EROFS_INODE_AT_NLINK, inode->nlink);
	if (p->xattrs_len > 0)
		memcpy(at + EROFS_INODE_BYTES, l->xattrs.data + p->xattrs, p->xattrs_len);
	if (image_is_directory(inode_mode(l, i)))
		(void)directory_pack(l, inode->name, meta + p->data);
	else if (image_is_symlink(inode_mode(l, i)))
		memcpy(meta + p->data, l->entries[inode->entry].symlink_target, p->size);
}

/* The UUID is a digest of all the rest of the metadata, the checksum comes last. */
static int super_write(const struct layout *l, uint8_t *meta)
{
	uint8_t *at = meta + EROFS_SUPER_OFFSET;
	struct digest id;
	int r;

	put_le32(at + EROFS_SUPER_AT_MAGIC, EROFS_MAGIC);
	put_le32(at + EROFS_SUPER_AT_COMPAT, EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME);
	at[EROFS_SUPER_AT_BLOCK_BITS] = EROFS_BLOCK_BITS;
	put_le16(at + EROFS_SUPER_AT_ROOT_NID, (uint16_t)(l->places[0].offset / EROFS_SLOT_BYTES));
	put_le64(at + EROFS_SUPER_AT_INODES, l->names.n_inodes);
	put_le32(at + EROFS_SUPER_AT_BLOCKS, (uint32_t)(l->data_bytes / IMAGE_BLOCK_BYTES));
	r = digest_of(meta, l->meta_bytes, &id);
	if (r < 0)
		return r;
	memcpy(at + EROFS_SUPER_AT_UUID, id.bytes, UUID_BYTES);
	/* the bits that RFC 9562 wants of an id of one's own making, version 8 */
	at[EROFS_SUPER_AT_UUID + 6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80);
	at[EROFS_SUPER_AT_UUID + 8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
	put_le32(at + EROFS_SUPER_AT_CHECKSUM, crc32c(at, IMAGE_BLOCK_BYTES - EROFS_SUPER_OFFSET));
	return 0;
}

static int layout_write(const struct layout *l, struct image_recipe *recipe)
{
	size_t n = 0;

	recipe->meta_len = (size_t)l->meta_bytes;
	recipe->meta = calloc(1, recipe->meta_len);
	recipe->extents = calloc(l->n_extents + 1, sizeof(*recipe->extents));
	if (!recipe->meta || !recipe->extents)
		return -ENOMEM;
	recipe->n_extents = l->n_extents;
	recipe->data_bytes = l->data_bytes;
	for (size_t i = 0; i < l->names.n_inodes; i++) {
		const struct place *p = &l->places[i];

		inode_write(l, i, recipe->meta);
		if (image_is_regular(inode_mode(l, i)) && p->size > 0)
			recipe->extents[n++] =
				(struct image_extent){p->data, p->size, l->names.inodes[i].entry};
	}
	return super_write(l, recipe->meta);
}

int image_recipe_plan(
	const struct image_entry *entries, size_t n, struct image_recipe *ret, struct error *reterr)
{
	AUTO_DONE(image_recipe) struct image_recipe recipe = {0};
	AUTO_DONE(layout) struct layout l = {.entries = entries};
	int r;

	l.xattrs = buffer_of(IMAGE_META_MAX_BYTES);
	r = names_plan(entries, n, &l.names, reterr);
	if (r < 0)
		return r;
	r = layout_plan(&l, reterr);
	if (r < 0)
		return r;
	r = layout_write(&l, &recipe);
	if (r == 0)
		r = image_recipe_check(&recipe);
	if (r < 0)
		return error_set(reterr, r, "the image cannot be planned: %s", error_text(r));
	*ret = recipe;
	recipe = (struct image_recipe){0};
	return 0;
}
