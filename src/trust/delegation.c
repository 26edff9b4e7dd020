/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/delegation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/hex.h"
#include "base/json.h"
#include "trust/bounds.h"
#include "trust/name.h"
#include "trust/pattern.h"

#define BIN_BITS_MAX 32

static bool is_hash_prefix(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= DIGEST_HEX_LEN && strspn(text, "0123456789abcdef") == len;
}

/* A list of texts, each as it must be. */
static int check_texts(const json_t *list, const char *key, bool hex, struct error *reterr)
{
	const char *text;

	for (size_t i = 0; i < json_array_size(list); i++) {
		text = json_string_value(json_array_get(list, i));
		if (!text || (hex && !is_hash_prefix(text)))
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" holds something else than %s",
				key, hex ? "lower-case hex digits" : "strings");
		if (strlen(text) > TRUST_ROLE_NAME_MAX_BYTES)
			return error_set(reterr, -BSI_E_LIMIT, "\"%s\" holds an overlong pattern",
				key);
	}
	return 0;
}

static int decode_paths(const json_t *object, struct trust_delegation *d, struct error *reterr)
{
	bool has_paths = json_object_get(object, "paths") != NULL;
	bool has_prefixes = json_object_get(object, "path_hash_prefixes") != NULL;
	const char *key = has_paths ? "paths" : "path_hash_prefixes";
	json_t *list;
	int r;

	if (has_paths == has_prefixes)
		return error_set(reterr, -BSI_E_FORMAT,
			"exactly one of \"paths\" and \"path_hash_prefixes\" is due");
	r = json_get_array(object, key, TRUST_VALUES_MAX, &list, reterr);
	if (r < 0)
		return r;
	r = check_texts(list, key, has_prefixes, reterr);
	if (r < 0)
		return r;
	*(has_paths ? &d->paths : &d->hash_prefixes) = list;
	return 0;
}

static int decode_delegation(const json_t *object, struct trust_delegation *d,
	struct error *reterr)
{
	const char *name;
	int r;

	if (!json_is_object(object))
		return error_set(reterr, -BSI_E_FORMAT, "a delegated role is not an object");
	r = json_get_text(object, "name", &name, reterr);
	if (r < 0)
		return r;
	r = trust_role_name_check(name);
	if (r < 0)
		return error_set(reterr, r, "no role may be delegated under the name \"%.80s\"",
			name);
	r = trust_role_decode(object, name, &d->role, reterr);
	if (r < 0)
		return r;
	r = json_get_bool(object, "terminating", &d->terminating, reterr);
	if (r == 0)
		r = decode_paths(object, d, reterr);
	if (r < 0)
		error_prefix(reterr, "role \"%.80s\"", name);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names_differ(const struct trust_delegations *d, struct error *reterr)
{
	AUTO_FREE const char **names = calloc(d->n_list + 1, sizeof *names);

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_list; i++)
		names[i] = d->list[i].role.name;
	qsort(names, d->n_list, sizeof *names, compare_names);
	for (size_t i = 1; i < d->n_list; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return error_set(reterr, -BSI_E_FORMAT,
				"role \"%.80s\" is delegated to twice", names[i]);
	return 0;
}

static int decode_list(const json_t *object, struct trust_delegations *d, struct error *reterr)
{
	json_t *roles;
	int r;

	r = json_get_array(object, "roles", TRUST_ROLES_MAX, &roles, reterr);
	if (r < 0)
		return r;
	d->list = calloc(json_array_size(roles) + 1, sizeof *d->list);
	if (!d->list)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(roles); i++) {
		/* counted first, so that what is half decoded is freed too */
		d->n_list++;
		r = decode_delegation(json_array_get(roles, i), &d->list[i], reterr);
		if (r < 0)
			return r;
	}
	return check_names_differ(d, reterr);
}

static int decode_bins(const json_t *object, struct trust_bins *bins, struct error *reterr)
{
	const char *prefix;
	uint64_t bits;
	json_t *o;
	int r;

	r = json_get_object(object, "succinct_roles", &o, reterr);
	if (r < 0)
		return r;
	r = json_get_text(o, "name_prefix", &prefix, reterr);
	if (r < 0)
		return r;
	r = trust_role_name_check(prefix);
	if (r < 0)
		return error_set(reterr, r, "bins cannot be called \"%.80s\"", prefix);
	r = json_get_u64(o, "bit_length", BIN_BITS_MAX, &bits, reterr);
	if (r < 0)
		return r;
	if (bits == 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"bit_length\" is 0");
	r = trust_role_decode(o, prefix, &bins->role, reterr);
	if (r < 0)
		return r;
	bins->bits = (unsigned)bits;
	return 0;
}

int trust_delegations_decode(const json_t *object, struct trust_delegations *ret,
	struct error *reterr)
{
	AUTO_DONE(trust_delegations) struct trust_delegations d = {};
	bool has_bins = json_object_get(object, "succinct_roles") != NULL;
	json_t *keys;
	int r;

	if (has_bins == (json_object_get(object, "roles") != NULL))
		return error_set(reterr, -BSI_E_FORMAT,
			"exactly one of \"roles\" and \"succinct_roles\" is due");
	r = json_get_object(object, "keys", &keys, reterr);
	if (r < 0)
		return r;
	r = trust_keyring_decode(keys, &d.keyring, reterr);
	if (r < 0)
		return r;
	r = has_bins ? decode_bins(object, &d.bins, reterr) : decode_list(object, &d, reterr);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct trust_delegations){};
	return 0;
}

void trust_delegations_done(struct trust_delegations *d)
{
	trust_keyring_done(&d->keyring);
	for (size_t i = 0; i < d->n_list; i++)
		trust_role_done(&d->list[i].role);
	free(d->list);
	trust_role_done(&d->bins.role);
	*d = (struct trust_delegations){};
}

bool trust_delegation_covers(const struct trust_delegation *d, const char *path)
{
	struct digest_hex hex;
	struct digest digest;
	const char *text;

	for (size_t i = 0; i < json_array_size(d->paths); i++)
		if (trust_pattern_match(json_string_value(json_array_get(d->paths, i)), path))
			return true;
	if (!d->hash_prefixes || digest_of(path, strlen(path), &digest) < 0)
		return false;
	hex = digest_format(&digest);
	for (size_t i = 0; i < json_array_size(d->hash_prefixes); i++) {
		text = json_string_value(json_array_get(d->hash_prefixes, i));
		if (strncmp(hex.text, text, strlen(text)) == 0)
			return true;
	}
	return false;
}

static int bin_name(const struct trust_bins *bins, uint64_t number, char **ret)
{
	int width = (int)(bins->bits + 3) / 4;

	if (asprintf(ret, "%s-%0*" PRIx64, bins->role.name, width, number) < 0)
		return -ENOMEM;
	return 0;
}

int trust_bins_name(const struct trust_bins *bins, const char *path, char **ret)
{
	struct digest d;
	uint32_t top;
	int r;

	r = digest_of(path, strlen(path), &d);
	if (r < 0)
		return r;
	top = (uint32_t)d.bytes[0] << 24 | (uint32_t)d.bytes[1] << 16 | (uint32_t)d.bytes[2] << 8 |
	      d.bytes[3];
	return bin_name(bins, top >> (BIN_BITS_MAX - bins->bits), ret);
}

/* Whether name is that of one of the bins: prefix, '-', and a number of fixed width. */
static bool is_bin(const struct trust_bins *bins, const char *name)
{
	size_t prefix_len = strlen(bins->role.name);
	size_t width = (bins->bits + 3) / 4;
	uint64_t number = 0;
	uint8_t digit;

	if (strncmp(name, bins->role.name, prefix_len) != 0 || name[prefix_len] != '-' ||
		strlen(name + prefix_len + 1) != width)
		return false;
	for (const char *c = name + prefix_len + 1; *c; c++) {
		char pair[3] = {'0', *c, '\0'};

		if (hex_parse(pair, &digit, 1) < 0)
			return false;
		number = number << 4 | digit;
	}
	return number >> bins->bits == 0;
}

const struct trust_role *trust_delegations_role(const struct trust_delegations *d,
	const char *name)
{
	if (d->bins.bits > 0)
		return is_bin(&d->bins, name) ? &d->bins.role : NULL;
	for (size_t i = 0; i < d->n_list; i++)
		if (strcmp(d->list[i].role.name, name) == 0)
			return &d->list[i].role;
	return NULL;
}
