/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/mount_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX_BYTES (256U << 20) /* fs.mount-max is 100,000 by default; a row is below 4 KiB mostly */
#define CHUNK_BYTES (64U << 10)

/* A decimal number that ends at the byte stop; NULL if there is none. */
static char *take_number(char *at, char stop, unsigned *ret)
{
	unsigned long value = 0;
	char *first = at;

	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (unsigned long)(*at - '0');
		if (value > INT_MAX)
			return NULL;
	}
	if (at == first || *at != stop)
		return NULL;
	*ret = (unsigned)value;
	return at + 1;
}

/* The next field: up to one blank, which becomes its end. An empty source is a field too. */
static char *take_field(char **at)
{
	char *field = *at, *end;

	if (!field)
		return NULL;
	end = strchr(field, ' ');
	if (end)
		*end = '\0';
	*at = end ? end + 1 : NULL;
	return field;
}

/* The kernel writes blank, tab, newline, backslash and '#' as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
			from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				(from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* Whether options, comma after comma, has that one. */
static bool has_option(const char *options, const char *option)
{
	size_t len = strlen(option);

	for (const char *at = options; *at;) {
		size_t n = strcspn(at, ",");

		if (n == len && memcmp(at, option, n) == 0)
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}

/* What make_lid() in lift.c gives to a lid; a mount that asks for no other way with atime shows "relatime". */
static bool has_lid_flags(const char *options)
{
	static const char *const lid[] = {"ro", "nodev", "nodiratime", "nosymfollow"};

	for (size_t i = 0; i < ARRAY_SIZE(lid); i++)
		if (!has_option(options, lid[i]))
			return false;
	return !has_option(options, "relatime") && !has_option(options, "noatime");
}

/* id parent major:minor root point options [tag...] - type source super-options */
static bool parse_row(char *line, struct mount_row *ret)
{
	struct mount_row row = {0};
	char *at = line, *field, *root, *point, *options, *type, *source;
	unsigned id, parent;

	at = take_number(at, ' ', &id);
	if (at)
		at = take_number(at, ' ', &parent);
	if (at)
		at = take_number(at, ':', &row.major);
	if (at)
		at = take_number(at, ' ', &row.minor);
	if (!at)
		return false;

	root = take_field(&at);
	point = take_field(&at);
	options = take_field(&at);
	if (!root || !point || !options)
		return false;
	row.has_lid_flags = has_lid_flags(options);
	while ((field = take_field(&at)) && strcmp(field, "-") != 0)
		if (strncmp(field, "shared:", 7) == 0)
			row.shared = true;
	type = take_field(&at);
	source = take_field(&at);
	if (!type || !source || !at)
		return false;

	row.id = (int)id;
	row.parent = (int)parent;
	unescape(root);
	unescape(point);
	unescape(source);
	row.root = root;
	row.point = point;
	row.type = type;
	row.source = source;
	*ret = row;
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	const struct mount_key *left = a, *right = b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return (left->row > right->row) - (left->row < right->row);
}

static int make_index(struct mount_table *table)
{
	table->by_id = calloc(table->n_rows + 1, sizeof *table->by_id);
	table->by_parent = calloc(table->n_rows + 1, sizeof *table->by_parent);
	if (!table->by_id || !table->by_parent)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_rows; i++) {
		table->by_id[i] = (struct mount_key){.number = table->rows[i].id, .row = i};
		table->by_parent[i] = (struct mount_key){.number = table->rows[i].parent, .row = i};
	}
	qsort(table->by_id, table->n_rows, sizeof *table->by_id, compare_keys);
	qsort(table->by_parent, table->n_rows, sizeof *table->by_parent, compare_keys);
	return 0;
}

/* Where the keys of that number begin, or would. */
static size_t first_key(const struct mount_table *table, const struct mount_key *keys, int number)
{
	size_t low = 0, high = table->n_rows;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (keys[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Takes text, which has room for a final NUL at len, over in any case. */
static int parse_own(char *text, size_t len, struct mount_table **ret)
{
	AUTO_FREE char *owned = text;
	AUTO(mount_table) struct mount_table *table = NULL;
	size_t n_lines = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			text[i] = '?';
		n_lines += text[i] == '\n';
	}
	text[len] = '\0';

	table = calloc(1, sizeof *table);
	if (!table)
		return -ENOMEM;
	table->rows = calloc(n_lines ? n_lines : 1, sizeof *table->rows);
	if (!table->rows)
		return -ENOMEM;
	table->text = take_ptr(owned);

	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (parse_row(line, &table->rows[table->n_rows]))
			table->n_rows++;
	}
	if (make_index(table) < 0)
		return -ENOMEM;
	*ret = take_ptr(table);
	return 0;
}

int mount_table_parse(const char *text, size_t len, struct mount_table **ret)
{
	char *copy;

	if (len > TABLE_MAX_BYTES)
		return -ENOMEM;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (len > 0)
		memcpy(copy, text, len);
	return parse_own(copy, len, ret);
}

int mount_table_load(const char *path, struct mount_table **ret)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	size_t len = 0, allocated = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (allocated - len < CHUNK_BYTES / 2) {
			size_t more = allocated + allocated / 2 + CHUNK_BYTES;
			char *grown = more > TABLE_MAX_BYTES ? NULL : realloc(text, more);

			if (!grown)
				return -ENOMEM;
			text = grown;
			allocated = more;
		}
		n = read(fd, text + len, allocated - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return parse_own(take_ptr(text), len, ret);
		len += (size_t)n;
	}
}

void mount_table_free(struct mount_table *table)
{
	if (!table)
		return;
	free(table->rows);
	free(table->by_id);
	free(table->by_parent);
	free(table->text);
	free(table);
}

static bool is_component_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-';
}

static bool is_digest(const char *text)
{
	for (size_t i = 0; i < MOUNT_DIGEST_HEX_LEN; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return text[MOUNT_DIGEST_HEX_LEN] == '\0';
}

/* The bytes of a seal's name and the '/' at the start of text; 0 for what is only measured. */
static size_t seal_len(const char *text, enum graft_seal seal)
{
	const char *name = graft_seal_text(seal);
	size_t len = strlen(name);

	return seal != GRAFT_MEASURED && strncmp(text, name, len) == 0 && text[len] == '/' ?
		len + 1 : 0;
}

enum graft_seal mount_row_seal(const struct mount_row *row)
{
	const char *text = row->source + sizeof MOUNT_SOURCE_PREFIX - 1;

	for (enum graft_seal seal = GRAFT_MEASURED; seal < GRAFT_SEAL_MAX; seal++)
		if (seal_len(text, seal) > 0)
			return seal;
	return GRAFT_MEASURED;
}

const char *mount_row_component(const struct mount_row *row, size_t *ret_component_len)
{
	const size_t prefix_len = sizeof MOUNT_SOURCE_PREFIX - 1;
	const char *name = row->source + prefix_len;
	size_t len;

	if (strcmp(row->type, "erofs") != 0 || row->root[0] != '/' ||
		strncmp(row->source, MOUNT_SOURCE_PREFIX, prefix_len) != 0)
		return NULL;
	name += seal_len(name, mount_row_seal(row));
	len = strlen(name);
	if (len < 1 + 1 + MOUNT_DIGEST_HEX_LEN)
		return NULL;
	len -= MOUNT_DIGEST_HEX_LEN + 1;
	if (name[len] != '-' || !is_digest(name + len + 1))
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!is_component_byte(name[i]))
			return NULL;
	*ret_component_len = len;
	return name;
}

bool mount_row_is_in_place(const struct mount_row *row)
{
	size_t root_len = strlen(row->root), point_len = strlen(row->point);

	return point_len >= root_len && strcmp(row->point + point_len - root_len, row->root) == 0;
}

/* Whether row has the very file that at has there, or would have if nothing lay on it. */
static bool is_same_file(const struct mount_row *at, const struct mount_row *row)
{
	size_t point_len = strcmp(at->point, "/") == 0 ? 0 : strlen(at->point);
	size_t root_len = strcmp(at->root, "/") == 0 ? 0 : strlen(at->root);

	return at->major == row->major && at->minor == row->minor &&
		strncmp(at->point, row->point, point_len) == 0 &&
		strncmp(at->root, row->root, root_len) == 0 &&
		strcmp(row->root + root_len, row->point + point_len) == 0;
}

bool mount_table_is_lid(const struct mount_table *table, const struct mount_row *row)
{
	const struct mount_row *at = row;
	size_t n_steps = 0;

	if (!row->has_lid_flags || strcmp(row->point, "/") == 0)
		return false;
	/* through the mounts on the same file, and the one that has the file */
	do {
		at = mount_table_find(table, at->parent);
		if (at && !at->has_lid_flags && is_same_file(at, row))
			return true;
	} while (at && strcmp(at->point, row->point) == 0 && n_steps++ < table->n_rows);
	return false;
}

bool mount_table_is_ours(const struct mount_table *table, const struct mount_row *row)
{
	size_t component_len;

	return mount_row_component(row, &component_len) ? mount_row_is_in_place(row) :
							  mount_table_is_lid(table, row);
}

const struct mount_row *mount_table_over(const struct mount_table *table,
	const struct mount_row *row)
{
	for (size_t i = first_key(table, table->by_parent, row->id);
		i < table->n_rows && table->by_parent[i].number == row->id; i++) {
		const struct mount_row *child = &table->rows[table->by_parent[i].row];

		if (child != row && strcmp(child->point, row->point) == 0)
			return child;
	}
	return NULL;
}

const struct mount_row *mount_table_find(const struct mount_table *table, int id)
{
	size_t i = first_key(table, table->by_id, id);

	return i < table->n_rows && table->by_id[i].number == id ? &table->rows[table->by_id[i].row] :
								   NULL;
}

/* Whether path is point or lies below it; "/" holds everything. */
static bool is_at_or_below(const char *path, const char *point)
{
	size_t len = strlen(point);

	if (len == 1)
		return true;
	return strncmp(path, point, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The mount that a walk from the mount at enters first on the way to path. */
static const struct mount_row *next_on_way(const struct mount_table *table,
	const struct mount_row *at, const char *path)
{
	const struct mount_row *first = NULL;

	for (size_t i = first_key(table, table->by_parent, at->id);
		i < table->n_rows && table->by_parent[i].number == at->id; i++) {
		const struct mount_row *row = &table->rows[table->by_parent[i].row];

		if (row != at && is_at_or_below(path, row->point) &&
			(!first || strlen(row->point) < strlen(first->point)))
			first = row;
	}
	return first;
}

const struct mount_row *mount_table_resolve(const struct mount_table *table, const char *path)
{
	const struct mount_row *at = NULL, *next;
	size_t n_steps = 0;

	for (size_t i = 0; i < table->n_rows && !at; i++)
		if (strcmp(table->rows[i].point, "/") == 0 &&
			(table->rows[i].parent == table->rows[i].id ||
				!mount_table_find(table, table->rows[i].parent)))
			at = &table->rows[i];
	/* Bounded, so that a table with a ring in it cannot hold us. */
	while (at && n_steps++ < table->n_rows && (next = next_on_way(table, at, path)))
		at = next;
	return at;
}
