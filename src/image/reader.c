/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/path.h"
#include "image/crc32c.h"
#include "image/erofs.h"
#include "image/names.h"
#include "image/recipe.h"
#include "image/xattr.h"

/* One name as it is found. What entry points to is the node's own. */
struct node {
	struct image_entry entry;
	char *path, *target;
	struct image_xattr *xattrs;
	uint64_t nid, offset; /* offset: of content, target or directory; 0 for none */
	uint64_t data_len;    /* of a directory */
	uint32_t nlink;
	size_t parent;
};

struct image_reader {
	struct image_source source;
	uint64_t data_bytes;
	uint64_t root_nid, n_inodes;
	uint64_t budget; /* bytes of directories, targets, xattrs and paths that may still come */
	struct node *nodes;
	size_t n_nodes, allocated;
	struct image_entry *entries;
	uint64_t *offsets;
};

static void node_done(struct node *n)
{
	free(n->path);
	free(n->target);
	free(n->xattrs);
}

void image_reader_free(struct image_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_nodes; i++)
		node_done(&r->nodes[i]);
	free(r->nodes);
	free(r->entries);
	free(r->offsets);
	free(r);
}

/*
 * An honest image holds each thing once, and all of them within the metadata's limit. So this sum
 * bounds memory and time, whatever an image points to how often.
 */
static int budget_take(struct image_reader *r, uint64_t bytes)
{
	if (!checked_sub(r->budget, bytes, &r->budget))
		return -BSI_E_LIMIT;
	return 0;
}

static int bytes_read(struct image_reader *r, uint64_t offset, void *to, uint64_t len)
{
	uint64_t end;

	if (!checked_add(offset, len, &end) || end > r->data_bytes)
		return -BSI_E_FORMAT;
	return r->source.read(r->source.ctx, offset, to, (size_t)len);
}

static uint64_t le_at(const uint8_t *data, size_t at, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = bytes; i-- > 0;)
		v = v << 8 | data[at + i];
	return v;
}

/* Only what is named here may differ from zero: no feature that is not ours. */
static bool is_super_byte_used(size_t at)
{
	return at < EROFS_SUPER_AT_BLOCK_BITS + 1 ||
	       (at >= EROFS_SUPER_AT_ROOT_NID && at < EROFS_SUPER_AT_INODES + 8) ||
	       (at >= EROFS_SUPER_AT_BLOCKS && at < EROFS_SUPER_AT_BLOCKS + 4) ||
	       (at >= EROFS_SUPER_AT_UUID && at < EROFS_SUPER_AT_UUID + 16);
}

static int super_read(struct image_reader *r, struct error *reterr)
{
	uint8_t block[IMAGE_BLOCK_BYTES];
	uint8_t *super = block + EROFS_SUPER_OFFSET;
	uint64_t checksum, compat = EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME;
	int e = bytes_read(r, 0, block, sizeof(block));

	if (e < 0)
		return error_set(reterr, e, "the image cannot be read: %s", error_text(e));
	if (le_at(super, EROFS_SUPER_AT_MAGIC, 4) != EROFS_MAGIC)
		return error_set(reterr, -BSI_E_FORMAT, "this is no EROFS image");
	checksum = le_at(super, EROFS_SUPER_AT_CHECKSUM, 4);
	put_le32(super + EROFS_SUPER_AT_CHECKSUM, 0);
	if (crc32c(super, IMAGE_BLOCK_BYTES - EROFS_SUPER_OFFSET) != checksum)
		return error_set(reterr, -BSI_E_FORMAT, "the superblock's checksum is wrong");
	for (size_t i = 0; i < EROFS_SUPER_BYTES; i++)
		if (super[i] != 0 && !is_super_byte_used(i))
			return error_set(reterr, -BSI_E_FORMAT,
				"the superblock's byte %zu is not as images have it", i);
	if (le_at(super, EROFS_SUPER_AT_COMPAT, 4) != compat ||
		super[EROFS_SUPER_AT_BLOCK_BITS] != EROFS_BLOCK_BITS)
		return error_set(reterr, -BSI_E_FORMAT, "not the kind of EROFS that images are");
	if (le_at(super, EROFS_SUPER_AT_BLOCKS, 4) * IMAGE_BLOCK_BYTES != r->data_bytes)
		return error_set(
			reterr, -BSI_E_FORMAT, "the image's size and its superblock differ");
	r->root_nid = le_at(super, EROFS_SUPER_AT_ROOT_NID, 2);
	r->n_inodes = le_at(super, EROFS_SUPER_AT_INODES, 8);
	if (r->n_inodes > IMAGE_ENTRIES_MAX + 1U)
		return error_set(reterr, -BSI_E_LIMIT, "more than %u inodes", IMAGE_ENTRIES_MAX);
	return 0;
}

static int xattrs_read(struct image_reader *r, struct node *n, uint64_t offset, uint16_t count)
{
	size_t len = xattrs_bytes_of(count);
	AUTO_FREE uint8_t *raw = NULL;
	int e;

	if (count == 0)
		return 0;
	if (len > IMAGE_XATTRS_MAX_BYTES)
		return -BSI_E_LIMIT;
	/* decoded names are a prefix and a NUL longer, and each entry has a header of this size */
	e = budget_take(r, len + IMAGE_XATTRS_MAX);
	if (e < 0)
		return e;
	raw = malloc(len);
	if (!raw)
		return -ENOMEM;
	e = bytes_read(r, offset, raw, len);
	if (e < 0)
		return e;
	e = xattrs_decode(raw, len, &n->xattrs, &n->entry.n_xattrs);
	n->entry.xattrs = n->xattrs;
	return e;
}

static int target_read(struct image_reader *r, struct node *n, uint64_t size)
{
	int e;

	if (size == 0 || size > IMAGE_SYMLINK_MAX_BYTES)
		return -BSI_E_FORMAT;
	e = budget_take(r, size);
	if (e < 0)
		return e;
	n->target = calloc(1, (size_t)size + 1);
	if (!n->target)
		return -ENOMEM;
	e = bytes_read(r, n->offset, n->target, size);
	if (e < 0)
		return e;
	n->entry.symlink_target = n->target;
	return strlen(n->target) == size ? 0 : -BSI_E_FORMAT;
}

static int inode_read(struct image_reader *r, struct node *n)
{
	uint8_t raw[EROFS_INODE_BYTES];
	uint64_t at, size, end;
	int e;

	if (!checked_mul(n->nid, EROFS_SLOT_BYTES, &at))
		return -BSI_E_FORMAT;
	e = bytes_read(r, at, raw, sizeof(raw));
	if (e < 0)
		return e;
	if (le_at(raw, EROFS_INODE_AT_FORMAT, 2) != EROFS_FORMAT_EXTENDED_PLAIN)
		return -BSI_E_FORMAT;
	n->entry.mode = (uint32_t)le_at(raw, EROFS_INODE_AT_MODE, 2);
	n->entry.uid = (uint32_t)le_at(raw, EROFS_INODE_AT_UID, 4);
	n->entry.gid = (uint32_t)le_at(raw, EROFS_INODE_AT_GID, 4);
	n->nlink = (uint32_t)le_at(raw, EROFS_INODE_AT_NLINK, 4);
	n->offset = le_at(raw, EROFS_INODE_AT_BLOCK, 4) * IMAGE_BLOCK_BYTES;
	size = le_at(raw, EROFS_INODE_AT_SIZE, 8);
	if (!checked_add(n->offset, size, &end) || end > r->data_bytes)
		return -BSI_E_FORMAT;
	e = xattrs_read(
		r, n, at + EROFS_INODE_BYTES, (uint16_t)le_at(raw, EROFS_INODE_AT_XATTR_COUNT, 2));
	if (e < 0)
		return e;
	if (image_is_symlink(n->entry.mode))
		return target_read(r, n, size);
	if (image_is_regular(n->entry.mode))
		n->entry.size = size;
	else if (image_is_directory(n->entry.mode))
		n->data_len = size;
	else
		return -BSI_E_FORMAT;
	return 0;
}

static int node_add(struct image_reader *r, struct node *n)
{
	if (r->n_nodes == IMAGE_ENTRIES_MAX + 1U)
		return -BSI_E_LIMIT;
	if (r->n_nodes == r->allocated) {
		size_t more = r->allocated ? 2 * r->allocated : 64;
		struct node *nodes = realloc(r->nodes, more * sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		r->nodes = nodes;
		r->allocated = more;
	}
	r->nodes[r->n_nodes++] = *n;
	*n = (struct node){0};
	return 0;
}

static int child_path(
	struct image_reader *r, const struct node *parent, const char *name, size_t len, char **ret)
{
	size_t parent_len = strlen(parent->path);
	size_t from = parent_len ? parent_len + 1 : 0;
	AUTO_FREE char *path = NULL;
	int e;

	if (memchr(name, '/', len) || memchr(name, '\0', len))
		return -BSI_E_PATH;
	e = budget_take(r, from + len + 1);
	if (e < 0)
		return e;
	path = malloc(from + len + 1);
	if (!path)
		return -ENOMEM;
	memcpy(path, parent->path, parent_len);
	if (parent_len)
		path[parent_len] = '/';
	memcpy(path + from, name, len);
	path[from + len] = '\0';
	e = path_check(path);
	if (e < 0)
		return e;
	*ret = take_ptr(path);
	return 0;
}

/* One name of directory i. */
static int dirent_take(
	struct image_reader *r, size_t i, const uint8_t *dirent, const char *name, size_t len)
{
	const struct node *parent = &r->nodes[i];
	struct node n = {.nid = le_at(dirent, EROFS_DIRENT_AT_NID, 8), .parent = i};
	int e;

	if (len == 1 && name[0] == '.')
		return n.nid == parent->nid ? 0 : -BSI_E_FORMAT;
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return n.nid == r->nodes[parent->parent].nid ? 0 : -BSI_E_FORMAT;
	e = child_path(r, parent, name, len, &n.path);
	if (e == 0) {
		n.entry.path = n.path;
		e = inode_read(r, &n);
	}
	if (e == 0 && dirent[EROFS_DIRENT_AT_TYPE] != erofs_file_type_of(n.entry.mode))
		e = -BSI_E_FORMAT;
	if (e == 0)
		e = node_add(r, &n);
	node_done(&n);
	return e;
}

static int dir_block_read(struct image_reader *r, size_t i, const uint8_t *block, size_t len)
{
	size_t first, n, end;

	if (len < EROFS_DIRENT_BYTES)
		return -BSI_E_FORMAT;
	first = (size_t)le_at(block, EROFS_DIRENT_AT_NAME, 2);
	n = first / EROFS_DIRENT_BYTES;
	if (n == 0 || first % EROFS_DIRENT_BYTES != 0 || first > len)
		return -BSI_E_FORMAT;
	for (size_t k = 0; k < n; k++) {
		const uint8_t *dirent = block + k * EROFS_DIRENT_BYTES;
		size_t start = (size_t)le_at(dirent, EROFS_DIRENT_AT_NAME, 2);
		int e;

		if (k + 1 < n)
			end = (size_t)le_at(dirent, EROFS_DIRENT_BYTES + EROFS_DIRENT_AT_NAME, 2);
		else
			end = len;
		if (start < first || start >= end || end > len)
			return -BSI_E_FORMAT;
		if (k + 1 == n) /* what is left of the block is zero */
			end = start + strnlen((const char *)block + start, end - start);
		e = dirent_take(r, i, dirent, (const char *)block + start, end - start);
		if (e < 0)
			return e;
	}
	return 0;
}

static int directory_read(struct image_reader *r, size_t i)
{
	uint8_t block[IMAGE_BLOCK_BYTES];
	uint64_t at = r->nodes[i].offset, left = r->nodes[i].data_len;
	int e = budget_take(r, left);

	while (e == 0 && left > 0) {
		size_t len = left < IMAGE_BLOCK_BYTES ? (size_t)left : IMAGE_BLOCK_BYTES;

		e = bytes_read(r, at, block, len);
		if (e == 0)
			e = dir_block_read(r, i, block, len);
		at += len;
		left -= len;
	}
	return e;
}

/* nodes grows while it is walked: it is its own queue. A loop ends at a limit. */
static int walk(struct image_reader *r, struct error *reterr)
{
	struct node root = {.nid = r->root_nid};
	int e;

	root.path = calloc(1, 1);
	if (!root.path)
		return error_set(reterr, -ENOMEM, "out of memory");
	root.entry.path = root.path;
	e = inode_read(r, &root);
	if (e == 0 && !image_is_directory(root.entry.mode))
		e = -BSI_E_FORMAT;
	if (e == 0)
		e = node_add(r, &root);
	node_done(&root);
	if (e < 0)
		return error_set(reterr, e, "the root directory: %s", error_text(e));
	for (size_t i = 0; i < r->n_nodes; i++) {
		if (!image_is_directory(r->nodes[i].entry.mode))
			continue;
		e = directory_read(r, i);
		if (e < 0)
			return error_set(
				reterr, e, "directory \"%s\": %s", r->nodes[i].path, error_text(e));
	}
	return 0;
}

static int node_path_order(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	const struct name p = {.path = x->path, .len = strlen(x->path)};
	const struct name q = {.path = y->path, .len = strlen(y->path)};

	return name_order(&p, &q);
}

static int node_inode_order(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	if ((*x)->nid != (*y)->nid)
		return (*x)->nid < (*y)->nid ? -1 : 1;
	/* nodes are sorted by path, so this is the order of their paths */
	return *x < *y ? -1 : *x > *y;
}

/* Names of one inode: a regular file may have several, and has as many as it counts. */
static int links_join(struct node **same, size_t n)
{
	if (image_is_directory(same[0]->entry.mode))
		return n == 1 ? 0 : -BSI_E_FORMAT;
	if (same[0]->nlink != n || (n > 1 && !image_is_regular(same[0]->entry.mode)))
		return -BSI_E_FORMAT;
	for (size_t i = 1; i < n; i++)
		same[i]->entry.hardlink_to = same[0]->path;
	return 0;
}

static int links_find(struct image_reader *r, struct error *reterr)
{
	AUTO_FREE struct node **by_inode = calloc(r->n_nodes, sizeof(*by_inode));
	uint64_t n_inodes = 0;
	size_t n;

	if (!by_inode)
		return error_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < r->n_nodes; i++)
		by_inode[i] = &r->nodes[i];
	qsort(by_inode, r->n_nodes, sizeof(struct node *), node_inode_order);
	for (size_t i = 0; i < r->n_nodes; i += n) {
		n = 1;
		while (i + n < r->n_nodes && by_inode[i + n]->nid == by_inode[i]->nid)
			n++;
		if (links_join(by_inode + i, n) < 0)
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\": its links are miscounted",
				by_inode[i]->path);
		n_inodes++;
	}
	if (n_inodes != r->n_inodes)
		return error_set(reterr, -BSI_E_FORMAT,
			"the superblock counts %llu inodes, there are %llu",
			(unsigned long long)r->n_inodes, (unsigned long long)n_inodes);
	return 0;
}

static int entries_list(struct image_reader *r, struct error *reterr)
{
	int e;

	qsort(r->nodes, r->n_nodes, sizeof(*r->nodes), node_path_order);
	for (size_t i = 1; i < r->n_nodes; i++)
		if (node_path_order(&r->nodes[i - 1], &r->nodes[i]) == 0)
			return error_set(
				reterr, -BSI_E_FORMAT, "\"%s\" is there twice", r->nodes[i].path);
	e = links_find(r, reterr);
	if (e < 0)
		return e;
	r->entries = calloc(r->n_nodes, sizeof(*r->entries));
	r->offsets = calloc(r->n_nodes, sizeof(*r->offsets));
	if (!r->entries || !r->offsets)
		return error_set(reterr, -ENOMEM, "out of memory");
	/* node 0 is the root, which is no entry */
	for (size_t i = 1; i < r->n_nodes; i++) {
		r->entries[i - 1] = r->nodes[i].entry;
		if (image_is_regular(r->nodes[i].entry.mode) && r->nodes[i].entry.size > 0)
			r->offsets[i - 1] = r->nodes[i].offset;
	}
	return 0;
}

int image_reader_new(const struct image_source *source, uint64_t data_bytes,
	struct image_reader **ret, struct error *reterr)
{
	AUTO(image_reader) struct image_reader *r = NULL;
	int e;

	if (data_bytes == 0 || data_bytes % IMAGE_BLOCK_BYTES != 0 ||
		data_bytes > IMAGE_DATA_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "%llu bytes are no size for an image",
			(unsigned long long)data_bytes);
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(reterr, -ENOMEM, "out of memory");
	r->source = *source;
	r->data_bytes = data_bytes;
	/* the metadata itself, and a whole path for each name where it holds the last component */
	r->budget = IMAGE_META_MAX_BYTES + (uint64_t)IMAGE_ENTRIES_MAX * (PATH_MAX_BYTES + 1);
	e = super_read(r, reterr);
	if (e == 0)
		e = walk(r, reterr);
	if (e == 0)
		e = entries_list(r, reterr);
	if (e < 0)
		return e;
	*ret = take_ptr(r);
	return 0;
}

const struct image_entry *image_reader_entries(const struct image_reader *r, size_t *ret_n)
{
	*ret_n = r->n_nodes - 1;
	return r->entries;
}

uint64_t image_reader_offset(const struct image_reader *r, size_t i)
{
	return r->offsets[i];
}

const struct image_entry *image_reader_find(const struct image_reader *r, const char *path)
{
	const struct name key = {.path = path, .len = strlen(path)};
	size_t low = 0, high = r->n_nodes - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *at = r->entries[middle].path;
		const struct name n = {.path = at, .len = strlen(at)};
		int order = name_order(&key, &n);

		if (order == 0)
			return &r->entries[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static int meta_compare(const struct image_reader *r, const struct image_recipe *recipe)
{
	uint8_t block[IMAGE_BLOCK_BYTES];

	for (size_t at = 0; at < recipe->meta_len; at += sizeof(block)) {
		int e = r->source.read(r->source.ctx, at, block, sizeof(block));

		if (e < 0)
			return e;
		if (memcmp(block, recipe->meta + at, sizeof(block)) != 0)
			return -BSI_E_FORMAT;
	}
	return 0;
}

static int padding_check(const struct image_reader *r, const struct image_extent *x)
{
	uint8_t block[IMAGE_BLOCK_BYTES];
	size_t used = (size_t)(x->length % IMAGE_BLOCK_BYTES);
	int e;

	if (used == 0)
		return 0;
	e = r->source.read(r->source.ctx, x->offset + x->length - used, block, sizeof(block));
	if (e < 0)
		return e;
	for (size_t i = used; i < sizeof(block); i++)
		if (block[i] != 0)
			return -BSI_E_FORMAT;
	return 0;
}

int image_reader_check_canonical(const struct image_reader *r, struct error *reterr)
{
	AUTO_DONE(image_recipe) struct image_recipe recipe = {0};
	int e;

	e = image_recipe_plan(r->entries, r->n_nodes - 1, &recipe, reterr);
	if (e < 0) {
		error_prefix(reterr, "the image's entries");
		return e;
	}
	e = recipe.data_bytes == r->data_bytes ? meta_compare(r, &recipe) : -BSI_E_FORMAT;
	for (size_t i = 0; e == 0 && i < recipe.n_extents; i++)
		e = padding_check(r, &recipe.extents[i]);
	if (e == -BSI_E_FORMAT)
		return error_set(reterr, e, "the image is not laid out as images are");
	if (e < 0)
		return error_set(reterr, e, "the image cannot be read: %s", error_text(e));
	return 0;
}
