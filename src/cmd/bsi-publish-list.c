/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish list: bases, letters, and when metadata expires. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "publish/rotation.h"

static json_t *index_json(const struct repository_role *base, const struct index *index)
{
	const struct index_entry *current = index_current(index);
	json_t *letters = json_array();

	for (size_t i = 0; i < index->n_entries; i++) {
		const struct index_entry *e = &index->entries[i];

		(void)json_array_append_new(letters,
			json_pack("{s:s, s:I, s:s, s:s, s:s?}", "letter", e->letter, "build",
				(json_int_t)e->build, "issued", utc_format(e->issued_utc_s).text,
				"withdrawn", withdraw_text(e->withdrawn), "reason", e->reason));
	}
	return json_pack("{s:s, s:s, s:I, s:s, s:s?, s:s?, s:o}", "base", index->base, "name",
		index->name, "version", (json_int_t)base->file.version, "expires",
		utc_format(base->metadata->expires_utc_s).text, "current",
		current ? current->letter : NULL, "minimum", index->minimum, "letters", letters);
}

void publish_show_index(const struct repository_role *base, const struct index *index)
{
	const struct index_entry *current = index_current(index);

	printf("%s: %s%s%s%s, role expires %s\n", index->base, index->name, current ? " (" : "",
		current ? current->letter : ", no improvement", current ? ")" : "",
		utc_format(base->metadata->expires_utc_s).text);
	if (index->minimum)
		printf("  minimum (%s)\n", index->minimum);
	for (size_t i = 0; i < index->n_entries; i++) {
		const struct index_entry *e = &index->entries[i];

		printf("  (%s) build %" PRIu64 ", issued %s%s%s%s%s\n", e->letter, e->build,
			utc_format(e->issued_utc_s).text,
			e->withdrawn != WITHDRAW_NONE ? ", withdrawn (" : "",
			e->withdrawn != WITHDRAW_NONE ? withdraw_text(e->withdrawn) : "",
			e->withdrawn != WITHDRAW_NONE ? "): " : "", e->reason ? e->reason : "");
	}
}

static int list_bases(struct verb_call *call, const struct repository *repository,
	json_t *bases, struct error *reterr)
{
	const char *only = call_value(call, "base");
	int r = 0;

	for (size_t i = 1; r == 0 && i < repository->n_roles; i++) {
		const struct repository_role *base = &repository->roles[i];
		AUTO(index) struct index *index = NULL;

		if (only && strcmp(base->name, only) != 0)
			continue;
		r = repository_load_index(repository, base, &index, reterr);
		if (r == 0 && bases)
			r = json_array_append_new(bases, index_json(base, index)) < 0 ? -ENOMEM : 0;
		else if (r == 0)
			publish_show_index(base, index);
	}
	return r;
}

/* Keys of a role, by the digits that are enough to name one. */
static void show_keys(const struct repository *r, const char *name, json_t *roles)
{
	const struct trust_role *role = rotation_find(r, name);
	json_t *ids = roles ? json_array() : NULL;

	if (!roles)
		printf("keys of %s, %" PRIu64 " of which must sign:", name, role->threshold);
	for (size_t i = 0; i < role->n_key_ids; i++)
		if (roles)
			(void)json_array_append_new(ids, json_string(role->key_ids[i]));
		else
			printf(" %.16s", role->key_ids[i]);
	if (roles)
		(void)json_array_append_new(roles,
			json_pack("{s:s, s:I, s:o}", "role", name, "threshold",
				(json_int_t)role->threshold, "keys", ids));
	else
		printf("\n");
}

static void show_all_keys(const struct repository *r, json_t *roles)
{
	for (int type = 0; type < TRUST_TYPE_MAX; type++)
		show_keys(r, trust_type_format((enum trust_type)type), roles);
	for (size_t i = 1; i < r->n_roles; i++)
		show_keys(r, r->roles[i].name, roles);
}

int publish_list(struct verb_call *call, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	AUTO_JSON json_t *bases = NULL, *document = NULL, *roles = json_array();
	struct repository_role *base;
	int r;

	r = repository_open(call_argument(call, 0), 0, &repository, reterr);
	if (r == 0 && call_has(call, "base"))
		r = repository_base(repository, call_value(call, "base"), &base, reterr);
	if (r < 0)
		return r;
	if (call_has(call, "json"))
		bases = json_array();
	r = list_bases(call, repository, bases, reterr);
	if (r < 0)
		return r;
	if (!bases) {
		printf("root expires %s, snapshot %s, timestamp %s\n",
			utc_format(repository->root->expires_utc_s).text,
			utc_format(repository->snapshot->expires_utc_s).text,
			utc_format(repository->timestamp->expires_utc_s).text);
		show_all_keys(repository, NULL);
		return 0;
	}
	show_all_keys(repository, roles);
	document = json_pack("{s:I, s:s, s:s, s:s, s:O, s:O}", "root_version",
		(json_int_t)repository->root->version, "root_expires",
		utc_format(repository->root->expires_utc_s).text, "snapshot_expires",
		utc_format(repository->snapshot->expires_utc_s).text, "timestamp_expires",
		utc_format(repository->timestamp->expires_utc_s).text, "bases", bases, "roles", roles);
	call_print_json(document);
	return 0;
}
