/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which roles are asked for a target, in which order, and by whose keys they are believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "base/json.h"
#include "repository.h"
#include "trust/bounds.h"
#include "trust/delegation.h"

static size_t role_named(const struct repository *r, const char *name)
{
	size_t i;

	for (i = TARGETS; i < r->n_roles; i++)
		if (strcmp(r->roles[i].name, name) == 0)
			break;
	assert_true(i < r->n_roles);
	return i;
}

/* The roles fetched for the search, after the four of the refresh. */
static void assert_visited(const struct repository *r, const char *expected)
{
	char all[1024] = "", name[64];

	for (size_t i = 4; i < r->n_requests; i++) {
		(void)snprintf(name, sizeof name, "%s%s", i > 4 ? " " : "",
			strchr(r->requests[i], '.') + 1);
		*strrchr(name, '.') = '\0';
		(void)strncat(all, name, sizeof all - strlen(all) - 1);
	}
	assert_string_equal(all, expected);
}

struct edge {
	const char *from, *to, *pattern;
	bool terminating;
};

static const struct graph {
	struct edge edges[8];
	const char *path;
	const char *lister; /* the role that lists it, or NULL */
	const char *visited;
} graphs[] = {
	{{{"targets", "A", "*", 0}}, "x", NULL, "A"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}}, "x", NULL, "A B"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}}, "x", "A", "A"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}}, "x", "targets", ""},
	/* depth first, in the order listed */
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0},
		 {"A", "D", "*", 0}},
		"x", NULL, "A C D B"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0},
		 {"C", "D", "*", 0}},
		"x", "B", "A C D B"},
	/* a terminating delegation drops its siblings and those of its ancestors, not its own */
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 1},
		 {"A", "D", "*", 0}},
		"x", "B", "A C"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 1},
		 {"C", "D", "*", 0}},
		"x", "D", "A C D"},
	/* one that comes before it is still asked */
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 1}, {"targets", "C", "*", 0}}, "x", NULL,
		"A B"},
	/* only where it speaks for the path */
	{{{"targets", "A", "*.py", 1}, {"targets", "B", "*", 0}}, "x", "B", "B"},
	{{{"targets", "A", "*.py", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0}}, "x", NULL,
		"B"},
	/* a target must lie within the paths of every role of the chain */
	{{{"targets", "A", "rel/*", 0}, {"A", "B", "*/*", 0}}, "other/x", "B", ""},
	{{{"targets", "A", "rel/*", 0}, {"A", "B", "*/*", 0}}, "rel/x", "B", "A B"},
	/* a role that lists what it may not speak for is not asked */
	{{{"targets", "A", "a/*", 1}, {"targets", "B", "b/*", 1}}, "b/x", "A", "B"},
	/* circles and shared roles: each once */
	{{{"targets", "B", "*", 0}, {"B", "C", "*", 0}, {"C", "D", "*", 0}, {"D", "B", "*", 0}},
		"x", NULL, "B C D"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0},
		 {"A", "C", "*", 0}},
		"x", NULL, "A C B"},
	{{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0},
		 {"A", "C", "*.py", 0}},
		"x", NULL, "A B C"},
	/* one base of many: a device reads its own list alone */
	{{{"targets", "debian:11:amd64", "debian:11:amd64/*", 1},
		 {"targets", "debian:12:amd64", "debian:12:amd64/*", 1}},
		"debian:12:amd64/index.json", "debian:12:amd64", "debian%3A12%3Aamd64"},
};

static void build_graph(struct repository *r, const struct graph *g)
{
	for (const struct edge *e = g->edges; e->from; e++)
		repository_delegate(r, role_named(r, e->from), e->to, e->pattern, e->terminating);
	if (g->lister)
		repository_add_target(r, role_named(r, g->lister), g->path, "content");
	repository_bump(r, TARGETS);
	repository_release(r);
}

/* Whether a search that meets the lister at all may believe it. */
static bool is_visited(const struct graph *g)
{
	char encoded[64];

	if (!g->lister)
		return false;
	if (strcmp(g->lister, "targets") == 0)
		return true;
	(void)snprintf(encoded, sizeof encoded, "%s",
		strchr(g->lister, ':') ? "debian%3A12%3Aamd64" : g->lister);
	return strstr(g->visited, encoded) != NULL;
}

static void test_search_visits_roles_in_order(void **state)
{
	struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(graphs); i++) {
		AUTO_DONE(trust_target) struct trust_target target = {};
		const struct graph *g = &graphs[i];

		repository_done(r);
		repository_init(r);
		build_graph(r, g);
		assert_int_equal(repository_find(r, g->path, &target),
			is_visited(g) ? 0 : -BSI_E_MISSING);
		assert_visited(r, g->visited);
		if (is_visited(g))
			assert_int_equal(target.length, strlen("content"));
	}
}

static void test_search_gives_length_digest_and_url(void **state)
{
	AUTO_DONE(trust_target) struct trust_target target = {};
	struct repository *r = *state;
	struct digest expected;
	char url[256];
	size_t base = repository_delegate(r, TARGETS, "debian:12:amd64", "debian:12:amd64/*", true);

	repository_add_target(r, base, "debian:12:amd64/index.json", "{}");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "debian:12:amd64/index.json", &target), 0);
	assert_int_equal(digest_of("{}", 2, &expected), 0);
	assert_true(digest_equal(&expected, &target.digest));
	assert_int_equal(target.length, 2);
	(void)snprintf(url, sizeof url, "debian%%3A12%%3Aamd64/%s.index.json",
		digest_format(&expected).text);
	assert_string_equal(target.url_path, url);
}

static void test_search_uses_stored_roles(void **state)
{
	struct repository *r = *state;
	size_t base = repository_delegate(r, TARGETS, "b", "b/*", true);
	struct trust_target target = {};

	repository_add_target(r, base, "b/x", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	for (int run = 0; run < 2; run++) {
		assert_int_equal(repository_find(r, "b/x", &target), 0);
		trust_target_done(&target);
	}
	repository_assert_requests(r, "2.root.json timestamp.json");
}

/* The delegated path has no shortcut: each check of the top level holds there too. */
static void test_delegated_role_is_checked_like_any_other(void **state)
{
	enum attack { FOREIGN, EXPIRED, OTHER_VERSION, OTHER_BYTES, OTHER_TYPE, UNLISTED, GONE, LONG };
	static const int codes[] = {[FOREIGN] = -BSI_E_THRESHOLD, [EXPIRED] = -BSI_E_EXPIRED,
		[OTHER_VERSION] = -BSI_E_ROLLBACK, [OTHER_BYTES] = -BSI_E_DIGEST,
		[OTHER_TYPE] = -BSI_E_FORMAT, [UNLISTED] = -BSI_E_FORMAT,
		[GONE] = -BSI_E_TRANSFER, [LONG] = -BSI_E_LIMIT};
	struct repository *r = *state;

	for (size_t attack = FOREIGN; attack <= LONG; attack++) {
		struct trust_target target = {};
		struct trust_signer *signer;
		size_t a, b;
		json_t *md;

		repository_done(r);
		repository_init(r);
		r->bare = attack != OTHER_BYTES;
		a = repository_delegate(r, TARGETS, "A", "*", false);
		b = repository_delegate(r, TARGETS, "B", "*", false);
		/* what stands behind a role that fails is never reached instead */
		repository_add_target(r, b, "x", "content");
		repository_add_target(r, a, "x", "content");
		repository_bump(r, TARGETS);
		md = r->roles[a].md;
		signer = r->roles[a].signers[0];
		if (attack == EXPIRED)
			repository_expire(r, a);
		repository_release(r);
		if (attack == FOREIGN)
			signer = r->roles[b].signers[0];
		if (attack == OTHER_VERSION)
			json_object_set_new(md, "version", json_integer(2));
		if (attack == OTHER_BYTES)
			json_object_set_new(md, "spec_version", json_string("1.0.35"));
		if (attack == OTHER_TYPE)
			md = r->roles[SNAPSHOT].md;
		repository_put(r, "1.A.json", md, &signer, 1);
		if (attack == GONE)
			folder_drop(&r->server, "1.A.json");
		if (attack == LONG)
			json_object_set_new(json_object_get(json_object_get(r->roles[SNAPSHOT].md,
								    "meta"),
						    "A.json"),
				"length", json_integer(TRUST_TARGETS_MAX_BYTES + 1));
		if (attack == UNLISTED)
			json_object_del(json_object_get(r->roles[SNAPSHOT].md, "meta"), "A.json");
		if (attack == UNLISTED || attack == LONG)
			repository_publish(r, SNAPSHOT);
		assert_int_equal(repository_find(r, "x", &target), codes[attack]);
		assert_false(folder_has(&r->device, "A.json"));
		assert_false(folder_has(&r->device, "B.json"));
		if (attack == UNLISTED || attack == LONG)
			assert_visited(r, "");
	}
}

static void test_delegated_role_counts_keys_not_names(void **state)
{
	struct repository *r = *state;
	struct trust_target target = {};
	size_t a = repository_delegate(r, TARGETS, "A", "*", true);
	json_t *roles = json_object_get(json_object_get(r->roles[TARGETS].md, "delegations"), "roles");
	json_t *role = json_array_get(roles, 0);

	/* the same key twice in the list is one key */
	json_array_append(json_object_get(role, "keyids"),
		json_array_get(json_object_get(role, "keyids"), 0));
	json_object_set_new(role, "threshold", json_integer(2));
	repository_add_target(r, a, "x", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "x", &target), -BSI_E_THRESHOLD);
	/* and a key of the root's ring is no key of the delegation's */
	json_object_set_new(role, "threshold", json_integer(1));
	json_object_set_new(role, "keyids",
		json_pack("[s]", trust_signer_keyid(r->roles[TARGETS].signers[0])));
	repository_bump(r, TARGETS);
	r->roles[a].signers[0] = r->roles[TARGETS].signers[0];
	repository_release(r);
	assert_int_equal(repository_find(r, "x", &target), -BSI_E_THRESHOLD);
}

/* D below B and C, each with keys of its own for it: verified anew for each delegator. */
static void test_search_verifies_a_shared_role_for_each_delegator(void **state)
{
	struct repository *r = *state;
	AUTO_DONE(trust_target) struct trust_target target = {};
	struct trust_updater *u = NULL;
	struct error e = {};
	size_t b = repository_delegate(r, TARGETS, "B", "b?", false);
	size_t c = repository_delegate(r, TARGETS, "C", "c?", false);
	size_t d = repository_delegate(r, b, "D", "*", false);
	struct trust_signer *for_b = r->roles[d].signers[0], *for_c = repository_signer(r);

	r->roles[d].signers[0] = for_c;
	repository_delegate(r, c, "D", "*", false);
	repository_add_target(r, d, "bx", "content");
	repository_add_target(r, d, "cx", "content");
	repository_bump(r, TARGETS);
	/* signed for C alone: the search by way of B must not find in a cache what C's keys said */
	repository_release(r);
	assert_int_equal(repository_updater(r, &u, &e), 0);
	assert_int_equal(trust_updater_refresh(u, &e), 0);
	assert_int_equal(trust_updater_target(u, "cx", &target, &e), 0);
	trust_target_done(&target);
	assert_int_equal(trust_updater_target(u, "bx", &target, &e), -BSI_E_THRESHOLD);
	trust_updater_free(u);
	/* signed for both */
	r->roles[d].signers[1] = for_b;
	r->roles[d].n_signers = 2;
	repository_release(r);
	assert_int_equal(repository_updater(r, &u, &e), 0);
	assert_int_equal(trust_updater_refresh(u, &e), 0);
	assert_int_equal(trust_updater_target(u, "cx", &target, &e), 0);
	trust_target_done(&target);
	assert_int_equal(trust_updater_target(u, "bx", &target, &e), 0);
	trust_updater_free(u);
}

static void test_search_asks_a_bounded_number_of_roles(void **state)
{
	struct repository *r = *state;
	struct trust_target target = {};
	char name[8];

	for (int i = 0; i < TRUST_VISITS_MAX + 3; i++) {
		(void)snprintf(name, sizeof name, "r%d", i);
		repository_delegate(r, TARGETS, name, "*", false);
	}
	repository_add_target(r, r->n_roles - 1, "x", "content");
	repository_add_target(r, FIRST_DELEGATED + TRUST_VISITS_MAX - 1, "y", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "x", &target), -BSI_E_LIMIT);
	assert_int_equal(r->n_requests, 4 + TRUST_VISITS_MAX);
	assert_int_equal(repository_find(r, "y", &target), 0);
	trust_target_done(&target);
}

static void test_search_takes_hostile_role_names(void **state)
{
	static const struct {
		const char *role, *url, *file;
	} rows[] = {
		{"?", "1.%3F.json", "%3F.json"},
		{"#", "1.%23.json", "%23.json"},
		{"/delegatedrole", "1.%2Fdelegatedrole.json", "%2Fdelegatedrole.json"},
		{"../delegatedrole", "1...%2Fdelegatedrole.json", "%2E.%2Fdelegatedrole.json"},
		{"..", "1....json", "%2E..json"},
		{"root.json", "1.root.json.json", "root.json.json"},
		{"ROOT", "1.ROOT.json", "ROOT.json"},
		{"%2e%2e/", "1.%252e%252e%2F.json", "%252e%252e%2F.json"},
		{"a b\n\x01", "1.a%20b%0A%01.json", "a%20b%0A%01.json"},
		{"\xc3\xa9\xf0\x9f\x98\x80", "1.%C3%A9%F0%9F%98%80.json", "%C3%A9%F0%9F%98%80.json"},
	};
	struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct trust_target target = {};
		size_t role;

		repository_done(r);
		repository_init(r);
		role = repository_delegate(r, TARGETS, rows[i].role, "*", true);
		repository_add_target(r, role, "x", "content");
		repository_bump(r, TARGETS);
		repository_release(r);
		assert_int_equal(repository_find(r, "x", &target), 0);
		assert_string_equal(r->requests[r->n_requests - 1], rows[i].url);
		assert_true(folder_has(&r->device, rows[i].file));
		assert_int_equal(r->device.n_files, 5);
		trust_target_done(&target);
	}
}

static void test_search_refuses_paths_that_are_none(void **state)
{
	static const char *const paths[] = {"", "/x", "../x", "a/../b", "a//b", "a/.", "a\nb"};
	struct repository *r = *state;
	struct trust_updater *u = NULL;
	struct trust_target target;
	struct error e = {};

	assert_int_equal(repository_updater(r, &u, &e), 0);
	assert_int_equal(trust_updater_target(u, "x", &target, &e), -EINVAL);
	assert_int_equal(trust_updater_refresh(u, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(trust_updater_target(u, paths[i], &target, &e), -BSI_E_PATH);
	trust_updater_free(u);
}

static void test_search_takes_hash_prefixes(void **state)
{
	struct repository *r = *state;
	struct trust_target target = {};
	size_t a = repository_delegate(r, TARGETS, "A", "unused", true);
	json_t *role = json_array_get(
		json_object_get(json_object_get(r->roles[TARGETS].md, "delegations"), "roles"), 0);
	struct digest digest;
	char prefix[3] = {};

	assert_int_equal(digest_of("dir/x", 5, &digest), 0);
	memcpy(prefix, digest_format(&digest).text, 2);
	json_object_del(role, "paths");
	json_object_set_new(role, "path_hash_prefixes", json_pack("[s]", prefix));
	repository_add_target(r, a, "dir/x", "content");
	repository_add_target(r, a, "dir/y", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "dir/x", &target), 0);
	trust_target_done(&target);
	/* SHA-256 of "dir/y" begins otherwise */
	assert_int_equal(repository_find(r, "dir/y", &target), -BSI_E_MISSING);
}

static void test_search_takes_hash_bins(void **state)
{
	struct repository *r = *state;
	struct trust_target target = {};
	struct trust_signer *signer = repository_signer(r);
	struct digest digest;
	char name[16];
	json_t *md;
	size_t bin;

	assert_int_equal(digest_of("dir/x", 5, &digest), 0);
	(void)snprintf(name, sizeof name, "bin-%02x", digest.bytes[0] >> 3);
	/* made as an ordinary role, then delegated to as one of 2^5 bins */
	bin = repository_delegate(r, TARGETS, name, "unused", true);
	r->roles[bin].signers[0] = signer;
	md = r->roles[TARGETS].md;
	json_object_set_new(md, "delegations",
		json_pack("{s:{s:o}, s:{s:[s], s:i, s:i, s:s}}", "keys", trust_signer_keyid(signer),
			trust_signer_public(signer), "succinct_roles", "keyids",
			trust_signer_keyid(signer), "threshold", 1, "bit_length", 5, "name_prefix",
			"bin"));
	repository_add_target(r, bin, "dir/x", "content");
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_find(r, "dir/x", &target), 0);
	assert_visited(r, name);
	trust_target_done(&target);
}

/* --- decoding alone --- */

static void test_delegations_refuse_what_is_malformed(void **state)
{
	static const struct {
		const char *json;
		int code;
	} rows[] = {
		{"{'keys':{},'roles':[]}", 0},
		{"{'keys':{},'roles':null}", -BSI_E_FORMAT},
		{"{'keys':null,'roles':[]}", -BSI_E_FORMAT},
		{"{'keys':[],'roles':[]}", -BSI_E_FORMAT},
		{"{'keys':{}}", -BSI_E_FORMAT},
		{"{'roles':[]}", -BSI_E_FORMAT},
		{"{'keys':{},'roles':[null]}", -BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[]}]}",
			0},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':0,"
		 "'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':true,"
		 "'terminating':false,'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':0,'terminating':false,"
		 "'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':{},'threshold':1,'terminating':false,"
		 "'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[1],'threshold':1,"
		 "'terminating':false,'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'snapshot','keyids':[],'threshold':1,"
		 "'terminating':false,'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,"
		 "'terminating':false}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[],'path_hash_prefixes':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':null}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[1]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'path_hash_prefixes':['AB']}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'path_hash_prefixes':['']}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'roles':[{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[]},{'name':'a','keyids':[],'threshold':1,'terminating':false,"
		 "'paths':[]}]}",
			-BSI_E_FORMAT},
		{"{'keys':{},'succinct_roles':{'name_prefix':'b','bit_length':8,'keyids':[],"
		 "'threshold':1}}",
			0},
		{"{'keys':{},'succinct_roles':{'name_prefix':'b','bit_length':0,'keyids':[],"
		 "'threshold':1}}",
			-BSI_E_FORMAT},
		{"{'keys':{},'succinct_roles':{'name_prefix':'b','bit_length':33,'keyids':[],"
		 "'threshold':1}}",
			-BSI_E_LIMIT},
		{"{'keys':{},'roles':[],'succinct_roles':{'name_prefix':'b','bit_length':8,"
		 "'keyids':[],'threshold':1}}",
			-BSI_E_FORMAT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct trust_delegations d = {};
		AUTO_FREE char *text = strdup(rows[i].json);
		AUTO_JSON json_t *object = NULL;

		for (char *c = text; *c; c++)
			if (*c == '\'')
				*c = '"';
		object = json_loads(text, 0, NULL);
		assert_non_null(object);
		assert_int_equal(trust_delegations_decode(object, &d, NULL), rows[i].code);
		trust_delegations_done(&d);
	}
}

static void test_bins_have_names_of_fixed_width(void **state)
{
	static const struct {
		unsigned bits;
		const char *name;
		bool is_bin;
	} rows[] = {
		{8, "b-00", true}, {8, "b-ff", true}, {8, "b-0", false}, {8, "b-000", false},
		{8, "b-FF", false}, {8, "c-00", false}, {8, "b00", false}, {8, "b-0g", false},
		{5, "b-1f", true}, {5, "b-20", false}, {1, "b-1", true}, {1, "b-2", false},
		{32, "b-ffffffff", true}, {32, "b-fffffffff", false}, {8, "b-", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct trust_delegations d = {.bins = {.role.name = "b", .bits = rows[i].bits}};

		assert_int_equal(trust_delegations_role(&d, rows[i].name) != NULL, rows[i].is_bin);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, repository_set_up, repository_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_search_visits_roles_in_order),
		TEST(test_search_gives_length_digest_and_url),
		TEST(test_search_uses_stored_roles),
		TEST(test_delegated_role_is_checked_like_any_other),
		TEST(test_delegated_role_counts_keys_not_names),
		TEST(test_search_verifies_a_shared_role_for_each_delegator),
		TEST(test_search_asks_a_bounded_number_of_roles),
		TEST(test_search_takes_hostile_role_names),
		TEST(test_search_refuses_paths_that_are_none),
		TEST(test_search_takes_hash_prefixes),
		TEST(test_search_takes_hash_bins),
		cmocka_unit_test(test_delegations_refuse_what_is_malformed),
		cmocka_unit_test(test_bins_have_names_of_fixed_width),
	};

	return cmocka_run_group_tests_name("delegation", tests, NULL, NULL);
}
