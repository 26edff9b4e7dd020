/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/issue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "delta/header.h"
#include "image/payload.h"
#include "improvement/base_id.h"
#include "improvement/letter.h"
#include "publish/commit.h"
#include "publish/delta_payload.h"
#include "publish/draft.h"
#include "publish/record.h"
#include "publish/succession.h"

/* One payload is written at a time, under the lock; a killed run's is overwritten. */
#define DRAFT ".payload.new"

static char *copy(const char *text, int *r)
{
	char *copied = strdup(text);

	if (!copied)
		*r = -ENOMEM;
	return copied;
}

static int fill_packages(const struct plan_component *from, struct component *to)
{
	int r = 0;

	to->packages = calloc(from->n_packages + 1, sizeof *to->packages);
	if (!to->packages)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_packages; i++) {
		const struct plan_package *p = &from->packages[i];
		struct package_change *change = &to->packages[to->n_packages++];

		change->name = copy(p->name, &r);
		change->to = copy(p->to, &r);
		change->from = calloc(p->n_from + 1, sizeof *change->from);
		if (!change->from)
			return -ENOMEM;
		for (size_t k = 0; k < p->n_from; k++)
			change->from[change->n_from++] = copy(p->from[k], &r);
	}
	return r;
}

static int fill_files(const struct plan_component *from, struct component *to)
{
	int r = 0;

	to->files = calloc(from->n_files + 1, sizeof *to->files);
	if (!to->files)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_files; i++) {
		const struct state_file *f = from->files[i].row->to;

		to->files[to->n_files++] = (struct patched_file){
			.path = copy(from->files[i].path, &r),
			.size = f->size_bytes,
			.digest = f->digest,
			.privileged = from->files[i].is_privileged};
		if (r == 0)
			r = state_access(f, &to->files[i].access);
	}
	return r;
}

static int fill_sets(const struct plan_component *from, struct component *to)
{
	int r = 0;

	to->sets = calloc(from->n_sets + 1, sizeof *to->sets);
	if (!to->sets)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_sets; i++) {
		struct base_set *set = &to->sets[to->n_sets++];

		set->name = copy(from->sets[i].name, &r);
		set->files = calloc(from->n_files + 1, sizeof *set->files);
		if (!set->files)
			return -ENOMEM;
		memcpy(set->files, from->sets[i].files, from->n_files * sizeof *set->files);
	}
	return r;
}

static int fill_cves(const struct plan_component *from, struct component *to)
{
	int r = 0;

	to->cves = calloc(from->n_fixes + 1, sizeof *to->cves);
	if (!to->cves)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_fixes; i++)
		if (from->fixes[i].is_confirmed)
			to->cves[to->n_cves++] = copy(from->fixes[i].id, &r);
	return r;
}

static int open_draft(const struct issue *issue, char *path, size_t path_len,
	struct error *reterr)
{
	int fd;

	(void)snprintf(path, path_len, REPOSITORY_TARGETS "/%s/" DRAFT, issue->base->name);
	fd = file_open_beneath(issue->repository->fd, path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return error_set(reterr, fd, "%s/%s: %s", issue->repository->path, path,
			error_text(fd));
	return fd;
}

/* Make the payload under its draft's name, then give it the name of its content. */
static int write_payload(const struct issue *issue, const struct issue_letter *letter,
	const struct plan_component *c, const char *target, struct payload *payload,
	struct error *reterr)
{
	AUTO_FREE char *file = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct build_payload built;
	char draft[400];
	int r, repository_fd = issue->repository->fd;

	fd = open_draft(issue, draft, sizeof draft, reterr);
	if (fd < 0)
		return fd;
	r = build_payload(letter->to, c, fd, letter->progress, &built, reterr);
	if (r == 0)
		r = repository_target_file(target, &built.digest, &file);
	if (r == 0 && (fsync(fd) < 0 || fchmod(fd, 0644) < 0 ||
			      renameat(repository_fd, draft, repository_fd, file) < 0))
		r = -errno;
	if (r == 0)
		r = file_sync_parent(repository_fd, file);
	if (r < 0) {
		(void)unlinkat(repository_fd, draft, 0);
		return reterr && reterr->code == r
			? r
			: error_set(reterr, r, "payload of component %s: %s", c->name,
				  error_text(r));
	}
	payload->size = built.size_bytes;
	payload->digest = built.digest;
	payload->memory_bytes = built.memory_bytes;
	return repository_list_target(issue->base, target, built.size_bytes, &built.digest);
}

/* The same image in another letter has the same payload: it is there already. */
static int reuse_payload(const struct issue_letter *letter, const struct plan_component *c,
	const struct repository_target *there, struct payload *payload, struct error *reterr)
{
	payload->size = there->length;
	payload->digest = there->digest;
	return build_memory(letter->to, c, &payload->memory_bytes, reterr);
}

static int fill_payload(const struct issue *issue, const struct issue_letter *letter,
	const struct plan_component *from, struct component *to, struct error *reterr)
{
	const struct repository_target *there;
	AUTO_FREE char *target = NULL;
	struct payload *payload;
	char name[128];
	int r = 0;

	to->payloads = calloc(from->n_sets + 1, sizeof *to->payloads);
	if (!to->payloads)
		return -ENOMEM;
	payload = &to->payloads[to->n_payloads++];
	(void)snprintf(name, sizeof name, "%s.full.zst", digest_format(&to->image.digest).text);
	payload->kind = copy(PAYLOAD_FULL_KIND, &r);
	payload->version = PAYLOAD_FULL_VERSION;
	payload->target = copy(name, &r);
	if (r == 0)
		r = base_id_target(issue->base->name, name, &target);
	if (r < 0)
		return r;
	there = repository_target(issue->base, target);
	return there ? reuse_payload(letter, from, there, payload, reterr)
		     : write_payload(issue, letter, from, target, payload, reterr);
}

/* One delta is of use only where it is smaller than the full payload. */
static int add_delta(const struct issue *issue, const struct issue_letter *letter,
	const struct plan_component *from, size_t set, struct component *to, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of((size_t)to->payloads[0].size - 1);
	AUTO_FREE char *target = NULL;
	struct error unused;
	struct payload payload = {.version = DELTA_VERSION, .size = 0};
	struct digest_hex hex;
	char name[160];
	int r;

	r = delta_payload_make(letter->plan, letter->to, from, set, letter->delta_progress, &bytes,
		&payload.memory_bytes, &unused);
	if (r == -BSI_E_LIMIT || r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set(reterr, r, "delta of component %s: %s", from->name, unused.text);
	r = digest_of(bytes.data, bytes.len, &payload.digest);
	if (r < 0)
		return r;
	payload.size = bytes.len;
	/* two base sets may give two deltas for one image */
	hex = digest_format(&payload.digest);
	(void)snprintf(name, sizeof name, "%s.%.16s.delta", digest_format(&to->image.digest).text,
		hex.text);
	payload.kind = copy(PAYLOAD_KIND_DELTA, &r);
	payload.target = copy(name, &r);
	payload.set = copy(to->sets[set].name, &r);
	to->payloads[to->n_payloads++] = payload;
	if (r == 0)
		r = base_id_target(issue->base->name, name, &target);
	return r < 0 ? r
		     : repository_write_target(issue->repository, issue->base, target, bytes.data,
			       bytes.len, reterr);
}

static int fill_component(const struct issue *issue, const struct issue_letter *letter,
	const struct plan_component *from, struct component *to, struct error *reterr)
{
	int r = 0;

	to->name = copy(from->name, &r);
	to->activation = from->activation;
	if (r == 0)
		r = fill_packages(from, to);
	if (r == 0)
		r = fill_files(from, to);
	if (r == 0)
		r = fill_sets(from, to);
	if (r == 0)
		r = fill_cves(from, to);
	if (r == 0)
		r = build_image(letter->to, from, -1, &to->image, reterr);
	if (r == 0)
		r = fill_payload(issue, letter, from, to, reterr);
	for (size_t i = 0; r == 0 && i < from->n_sets && !(letter->flags & ISSUE_NO_DELTAS); i++)
		r = add_delta(issue, letter, from, i, to, reterr);
	return r;
}

static bool is_dropped(const struct issue_letter *letter, const char *name)
{
	for (size_t i = 0; i < letter->n_dropped; i++)
		if (strcmp(letter->dropped[i], name) == 0)
			return true;
	return false;
}

/* A component that lives on beside the new ones may not share a file with them. */
static int check_apart(const struct plan *p, const struct component *old, struct error *reterr)
{
	for (size_t i = 0; i < p->n_components; i++)
		for (size_t f = 0; f < p->components[i].n_files; f++)
			for (size_t k = 0; k < old->n_files; k++)
				if (strcmp(p->components[i].files[f].path, old->files[k].path) == 0)
					return error_set(reterr, -BSI_E_REFUSED,
						"%s belongs to component %s of the letter before "
						"and to %s now: name them alike, or --drop %s",
						old->files[k].path, old->name,
						p->components[i].name, old->name);
	return 0;
}

/*
 * Letters are cumulative: what the letter before had is taken over, except for components that are
 * planned anew. Each is built against plain bases, so nothing is chained.
 */
static int carry_components(const struct issue_letter *letter, struct manifest *before,
	struct manifest *m, struct error *reterr)
{
	for (size_t i = 0; before && i < before->n_components; i++) {
		struct component *old = &before->components[i];
		int r;

		if (plan_component(letter->plan, old->name) || is_dropped(letter, old->name))
			continue;
		/* what the letter before changed was changed back: to carry it on would be wrong */
		if (plan_is_all_equivalent(letter->plan, old->name))
			return error_set(reterr, -BSI_E_REFUSED,
				"component %s of the letter before: the patched state is equivalent "
				"to the base now; --drop %s goes back to the base's files, "
				"--keep-equivalent publishes the rebuilt ones",
				old->name, old->name);
		r = check_apart(letter->plan, old, reterr);
		if (r < 0)
			return r;
		m->components[m->n_components++] = *old;
		*old = (struct component){};
	}
	return 0;
}

static int check_dropped(const struct issue_letter *letter, const struct manifest *before,
	struct error *reterr)
{
	for (size_t i = 0; i < letter->n_dropped; i++)
		if (!before || !manifest_component(before, letter->dropped[i]))
			return error_set(reterr, -BSI_E_USAGE,
				"--drop %s: the letter before has no component of that name",
				letter->dropped[i]);
	return 0;
}

static int start_manifest(const struct issue *issue, const struct issue_letter *letter,
	const struct index *index, struct manifest *m, struct error *reterr)
{
	const struct index_entry *entry =
		index->n_entries > 0 ? &index->entries[index->n_entries - 1] : NULL;
	const char *last = entry ? entry->letter : NULL;
	uint64_t build = entry ? entry->build : 0;
	struct letter_text next;
	int r;

	/* letters that were lost with a newer copy of the repository may be on devices */
	if (issue->repository->record) {
		uint64_t recorded;
		const char *lost = record_letter(issue->repository->record, issue->base->name,
			&recorded);

		if (recorded > build) {
			last = lost;
			build = recorded;
		}
	}
	r = letter_next(last, &next);
	if (r < 0)
		return error_set(reterr, r, "%s: no letter follows (%s)", issue->base->name,
			last ? last : "");
	m->base = copy(index->base, &r);
	m->name = copy(index->name, &r);
	m->letter = copy(next.text, &r);
	m->build = build + 1;
	m->issued_utc_s = issue->now_utc_s;
	if (letter->severity)
		m->severity = copy(letter->severity, &r);
	m->text = copy(letter->text ? letter->text : "", &r);
	return r;
}

static int make_manifest(const struct issue *issue, const struct issue_letter *letter,
	const struct index *index, struct manifest **ret, struct error *reterr)
{
	const struct index_entry *current = index_current(index);
	AUTO(manifest) struct manifest *m = calloc(1, sizeof *m);
	AUTO(manifest) struct manifest *before = NULL;
	const struct plan *p = letter->plan;
	int r = 0;

	if (!m)
		return -ENOMEM;
	if (current)
		r = repository_load_manifest(issue->repository, issue->base, current, &before,
			reterr);
	if (r == 0)
		r = start_manifest(issue, letter, index, m, reterr);
	if (r < 0)
		return r;
	m->components = calloc(p->n_components + MANIFEST_COMPONENTS_MAX, sizeof *m->components);
	if (!m->components)
		return -ENOMEM;
	r = check_dropped(letter, before, reterr);
	if (r == 0)
		r = carry_components(letter, before, m, reterr);
	for (size_t i = 0; r == 0 && i < p->n_components; i++)
		r = fill_component(issue, letter, &p->components[i],
			&m->components[m->n_components++], reterr);
	if (r == 0 && m->n_components == 0)
		r = error_set(reterr, -BSI_E_REFUSED,
			"nothing would be left: 'withdraw --action remove' takes (%s) back",
			before ? before->letter : "");
	if (r < 0)
		return r;
	*ret = take_ptr(m);
	return 0;
}

/* Everything after the index has changed in memory: index, role, snapshot, timestamp. */
static int publish_index(const struct issue *issue, struct index *index, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	AUTO_FREE char *path = NULL;
	int r;

	index->issued_utc_s = issue->now_utc_s;
	r = index_encode(index, &bytes, reterr);
	if (r == 0)
		r = base_id_target(issue->base->name, "index.json", &path);
	if (r == 0)
		r = repository_write_target(issue->repository, issue->base, path, bytes.data,
			bytes.len, reterr);
	if (r == 0 && issue->draft) {
		r = commit_begin_base(issue->repository, issue->base, issue->base_keys,
			issue->now_utc_s, reterr);
		return r < 0 ? r
			     : draft_save(issue->draft, issue->base->bytes, issue->base->n_bytes,
				       reterr);
	}
	if (r == 0)
		r = commit_base(issue->repository, issue->base, issue->base_keys, issue->now_utc_s,
			reterr);
	return r < 0 ? r
		     : commit_online(issue->repository, issue->snapshot_keys,
			       issue->timestamp_keys, issue->now_utc_s, reterr);
}

static int write_manifest(const struct issue *issue, const struct manifest *m,
	struct index *index, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	struct index_entry *grown;
	AUTO_FREE char *path = NULL;
	char name[64];
	int r;

	(void)snprintf(name, sizeof name, "manifest-%llu.json", (unsigned long long)m->build);
	r = manifest_encode(m, &bytes, reterr);
	if (r == 0)
		r = base_id_target(issue->base->name, name, &path);
	if (r == 0)
		r = repository_write_target(issue->repository, issue->base, path, bytes.data,
			bytes.len, reterr);
	if (r < 0)
		return r;
	grown = reallocarray(index->entries, index->n_entries + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	index->entries = grown;
	grown[index->n_entries++] = (struct index_entry){.letter = copy(m->letter, &r),
		.build = m->build,
		.manifest = copy(name, &r),
		.issued_utc_s = m->issued_utc_s};
	return r;
}

/* Whether the current letter says it already; *before is its manifest then. */
static int is_news(const struct issue *issue, const struct issue_letter *letter,
	const struct index *index, const struct manifest *m, struct manifest **before,
	struct error *reterr)
{
	const struct index_entry *current = index_current(index);
	bool is_same = false;
	int r = 0;

	if (!current)
		return 1;
	r = repository_load_manifest(issue->repository, issue->base, current, before, reterr);
	if (r < 0)
		return r;
	if (letter->severity || letter->text) {
		r = succession_is_same(m, *before, &is_same, reterr);
	} else {
		/* nobody asked for other words */
		struct manifest asked = *m;

		asked.severity = (*before)->severity;
		asked.text = (*before)->text;
		r = succession_is_same(&asked, *before, &is_same, reterr);
	}
	return r < 0 ? r : !is_same;
}

int issue_add(const struct issue *issue, const struct issue_letter *letter, struct manifest **ret,
	struct error *reterr)
{
	AUTO(manifest) struct manifest *m = NULL, *before = NULL;
	AUTO(index) struct index *index = NULL;
	int r;

	r = repository_load_index(issue->repository, issue->base, &index, reterr);
	if (r == 0)
		r = make_manifest(issue, letter, index, &m, reterr);
	if (r == 0) {
		r = is_news(issue, letter, index, m, &before, reterr);
		if (r == 0) {
			*ret = take_ptr(before);
			return ISSUE_ALREADY;
		}
	}
	if (r >= 0)
		r = write_manifest(issue, m, index, reterr);
	if (r == 0)
		r = publish_index(issue, index, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(m);
	return 0;
}

static int find_entry(const struct issue *issue, const struct index *index, const char *letter,
	struct index_entry **ret, struct error *reterr)
{
	for (size_t i = 0; i < index->n_entries; i++)
		if (strcmp(index->entries[i].letter, letter) == 0) {
			*ret = &index->entries[i];
			return 0;
		}
	return error_set(reterr, -BSI_E_MISSING, "%s has no letter (%s)", issue->base->name, letter);
}

static int move_minimum(struct index *index)
{
	const struct index_entry *heir = NULL;
	int r = 0;

	for (size_t i = 0; index->minimum && !heir && i < index->n_entries; i++)
		if (letter_compare(index->entries[i].letter, index->minimum) >= 0 &&
			index->entries[i].withdrawn != WITHDRAW_REMOVE)
			heir = &index->entries[i];
	if (!index->minimum || (heir && strcmp(heir->letter, index->minimum) == 0))
		return 0;
	free(index->minimum);
	index->minimum = heir ? copy(heir->letter, &r) : NULL;
	return r;
}

int issue_withdraw(const struct issue *issue, const char *letter, enum withdraw_action action,
	const char *reason, struct error *reterr)
{
	AUTO(index) struct index *index = NULL;
	struct index_entry *entry;
	int r;

	r = repository_load_index(issue->repository, issue->base, &index, reterr);
	if (r == 0)
		r = find_entry(issue, index, letter, &entry, reterr);
	if (r < 0)
		return r;
	if (entry->withdrawn == WITHDRAW_REMOVE && action == WITHDRAW_STOP)
		return error_set(reterr, -BSI_E_USAGE,
			"(%s) was withdrawn with remove, which devices have obeyed", letter);
	free(entry->reason);
	entry->reason = copy(reason, &r);
	entry->withdrawn = action;
	entry->withdrawn_utc_s = issue->now_utc_s;
	if (r == 0)
		r = move_minimum(index);
	return r < 0 ? r : publish_index(issue, index, reterr);
}

int issue_minimum(const struct issue *issue, const char *letter, struct error *reterr)
{
	AUTO(index) struct index *index = NULL;
	struct index_entry *entry;
	int r;

	r = repository_load_index(issue->repository, issue->base, &index, reterr);
	if (r == 0 && letter)
		r = find_entry(issue, index, letter, &entry, reterr);
	if (r == 0 && letter && entry->withdrawn == WITHDRAW_REMOVE)
		r = error_set(reterr, -BSI_E_REFUSED,
			"(%s) was withdrawn with remove: no device may keep it, so it can be no "
			"minimum",
			letter);
	if (r < 0)
		return r;
	free(index->minimum);
	index->minimum = letter ? copy(letter, &r) : NULL;
	return r < 0 ? r : publish_index(issue, index, reterr);
}
