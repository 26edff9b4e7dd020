/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/match.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "improvement/debversion.h"

static const char *const verdicts[] = {
	[MATCH_SET] = "match",
	[MATCH_ABSENT] = "absent",
	[MATCH_MISMATCH] = "mismatch",
	[MATCH_SUPERSEDED] = "superseded",
};
_Static_assert(ARRAY_SIZE(verdicts) == MATCH_MAX, "a word for each verdict");

const char *match_verdict_text(enum match_verdict verdict)
{
	return (unsigned)verdict < MATCH_MAX ? verdicts[verdict] : "unknown";
}

/* By its content, whoever may do what with it. */
static bool is_content_of(const struct set_file *wanted, const struct base_fact *fact)
{
	if (wanted->present != fact->present)
		return false;
	return !wanted->present || digest_equal(&wanted->digest, &fact->digest);
}

static bool is_in_state(const struct set_file *wanted, const struct base_fact *fact)
{
	return is_content_of(wanted, fact) &&
	       (!wanted->present || access_equal(&wanted->access, &fact->access));
}

static bool is_patched(const struct patched_file *file, const struct base_fact *fact)
{
	return fact->present && digest_equal(&file->digest, &fact->digest);
}

/* How many files of the component are as this set has them. */
static size_t count_in_state(const struct component *c, const struct base_set *set,
	const struct base_fact *facts)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n += is_in_state(&set->files[i], &facts[i]);
	return n;
}

static size_t count_content(const struct component *c, const struct base_set *set,
	const struct base_fact *facts)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n += is_content_of(&set->files[i], &facts[i]);
	return n;
}

static size_t count_present(const struct component *c, const struct base_fact *facts)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n += facts[i].present;
	return n;
}

static size_t count_patched(const struct component *c, const struct base_fact *facts)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n += is_patched(&c->files[i], &facts[i]);
	return n;
}

/* Order of proof: a package that is older than the fix, or changed, speaks against the whole. */
enum package_proof {
	PROOF_NONE,    /* no package of the component is installed */
	PROOF_NEWER,   /* all that are installed hold the fix, and their files are theirs */
	PROOF_ALTERED, /* all hold the fix by their versions, but files are not theirs */
	PROOF_OLDER,
};

static bool is_older(const char *version, const char *fixed)
{
	/* an order of texts that are no versions would prove nothing */
	if (debversion_check(version) < 0 || debversion_check(fixed) < 0)
		return true;
	return debversion_compare(version, fixed) < 0;
}

static enum package_proof weigh_packages(const struct component *c,
	const struct package_fact *packages, size_t n_packages, const struct package_fact **ret)
{
	enum package_proof proof = PROOF_NONE;

	for (size_t i = 0; i < c->n_packages; i++) {
		for (size_t j = 0; j < n_packages; j++) {
			enum package_proof one = PROOF_NEWER;

			if (strcmp(packages[j].name, c->packages[i].name) != 0)
				continue;
			if (is_older(packages[j].version, c->packages[i].to))
				one = PROOF_OLDER;
			else if (!packages[j].files_intact)
				one = PROOF_ALTERED;
			if (one > proof) {
				proof = one;
				*ret = &packages[j];
			}
		}
	}
	return proof;
}

static void decide(struct match *ret, enum match_verdict verdict, const char *path,
	const char *fmt, ...) PRINTF_LIKE(4, 5);

static void decide(struct match *ret, enum match_verdict verdict, const char *path,
	const char *fmt, ...)
{
	va_list args;

	ret->verdict = verdict;
	ret->path = path;
	va_start(args, fmt);
	(void)vsnprintf(ret->reason, sizeof ret->reason, fmt, args);
	va_end(args);
}

/* The set that this one file is right for, or NULL. */
static const struct base_set *set_of_file(const struct component *c, size_t file,
	const struct base_fact *fact)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (fact->present && is_content_of(&c->sets[i].files[file], fact))
			return &c->sets[i];
	return NULL;
}

/* Paths in reasons are cut, between characters, so that what is said about them is always there. */
#define PATH_SHOWN_MAX 150

static int shown(const char *path)
{
	size_t len = strnlen(path, PATH_SHOWN_MAX);

	while (len > 0 && ((unsigned char)path[len] & 0xc0) == 0x80)
		len--;
	return (int)len;
}

/* The set that most of the files are of, by content first. */
static const struct base_set *find_nearest(const struct component *c, const struct base_fact *facts)
{
	const struct base_set *nearest = &c->sets[0];
	size_t most = 0;

	for (size_t i = 0; i < c->n_sets; i++) {
		const struct base_set *set = &c->sets[i];
		size_t n = count_content(c, set, facts) * (c->n_files + 1) +
			count_in_state(c, set, facts);

		if (n > most) {
			most = n;
			nearest = set;
		}
	}
	return nearest;
}

/* All files have the content of this set: of one, the owner of the device changed the access. */
static void explain_access(const struct component *c, const struct base_fact *facts,
	const struct base_set *set, struct match *ret)
{
	struct access_text text;
	const char *path;
	size_t file = 0;

	while (file + 1 < c->n_files && is_in_state(&set->files[file], &facts[file]))
		file++;
	path = c->files[file].path;
	text = access_explain(&facts[file].access, &set->files[file].access);
	decide(ret, MATCH_MISMATCH, path, "%.*s: %s", shown(path), path, text.text);
}

/* Against the set that comes nearest, the first file that differs is the one to speak of. */
static void explain_mismatch(const struct component *c, const struct base_fact *facts,
	const struct package_fact *altered, struct match *ret)
{
	const struct base_set *nearest = find_nearest(c, facts), *other;
	const char *path;
	size_t file = 0;

	while (file < c->n_files && is_content_of(&nearest->files[file], &facts[file]))
		file++;
	if (file == c->n_files) {
		explain_access(c, facts, nearest, ret);
		return;
	}
	path = c->files[file].path;
	other = set_of_file(c, file, &facts[file]);

	if (!facts[file].present)
		decide(ret, MATCH_MISMATCH, path, "%.*s is missing here", shown(path), path);
	else if (is_patched(&c->files[file], &facts[file]))
		decide(ret, MATCH_MISMATCH, path, "%.*s is patched already, but not all files are",
			shown(path), path);
	else if (other)
		decide(ret, MATCH_MISMATCH, path, "%.*s is of %.30s, other files are of %.30s",
			shown(path), path, other->name, nearest->name);
	else if (!nearest->files[file].present)
		decide(ret, MATCH_MISMATCH, path, "%.*s is here, and this was built for bases without it",
			shown(path), path);
	else if (altered)
		decide(ret, MATCH_MISMATCH, path, "%.*s is not the file that %.40s brought", shown(path),
			path, altered->name);
	else
		decide(ret, MATCH_MISMATCH, path,
			"%.*s is neither the file this was built for nor newer", shown(path), path);
}

void match_component(const struct component *component, const struct base_fact *facts,
	const struct package_fact *packages, size_t n_packages, struct match *ret)
{
	const struct package_fact *package = NULL;
	enum package_proof proof;

	*ret = (struct match){.verdict = MATCH_MISMATCH};
	for (size_t i = 0; i < component->n_sets; i++) {
		if (count_in_state(component, &component->sets[i], facts) != component->n_files)
			continue;
		ret->set = i;
		decide(ret, MATCH_SET, NULL, "the files are those of %.100s",
			component->sets[i].name);
		return;
	}
	if (count_patched(component, facts) == component->n_files) {
		decide(ret, MATCH_SUPERSEDED, NULL, "the base has the patched files itself");
		return;
	}
	if (count_present(component, facts) == 0) {
		decide(ret, MATCH_ABSENT, NULL, "none of its files is installed here");
		return;
	}
	proof = weigh_packages(component, packages, n_packages, &package);
	if (proof == PROOF_NEWER) {
		decide(ret, MATCH_SUPERSEDED, NULL, "%.80s %.100s contains the fix", package->name,
			package->version);
		return;
	}
	explain_mismatch(component, facts, proof == PROOF_ALTERED ? package : NULL, ret);
}
