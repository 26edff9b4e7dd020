/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client against a repository that misbehaves: each attack, what is refused and what is kept. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/json.h"
#include "base/utc.h"
#include "repository.h"
#include "trust/bounds.h"
#include "trust/key.h"

static void test_update_first_refresh_takes_everything(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	repository_assert_requests(r,
		"2.root.json timestamp.json 1.snapshot.json 1.targets.json");
	assert_int_equal(folder_version(&r->device, "timestamp.json"), 1);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 1);
	assert_int_equal(folder_version(&r->device, "targets.json"), 1);
	assert_int_equal(r->device.n_files, 4);
}

static void test_update_without_news_makes_two_requests(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	repository_assert_refreshed(r);
	repository_assert_requests(r, "2.root.json timestamp.json");
}

static void test_update_stores_the_bytes_as_they_came(void **state)
{
	struct repository *r = *state;
	struct folder served = {};

	repository_assert_refreshed(r);
	for (size_t i = 0; i < r->server.n_files; i++) {
		const char *name = strchr(r->server.files[i].name, '.') + 1;

		if (strcmp(r->server.files[i].name, "timestamp.json") == 0)
			name = "timestamp.json";
		folder_put(&served, name, r->server.files[i].data, r->server.files[i].len);
	}
	assert_true(folder_equal(&served, &r->device));
	folder_done(&served);
}

static void test_update_needs_a_root(void **state)
{
	struct repository *r = *state;
	struct error e = {};

	folder_drop(&r->device, "root.json");
	assert_int_equal(repository_refresh(r, &e), -ENOENT);
	repository_assert_requests(r, "");
}

static void test_update_refuses_a_root_that_does_not_sign_itself(void **state)
{
	struct repository *r = *state;
	struct trust_signer *other = repository_signer(r);
	struct error e = {};

	repository_put(r, "root.json", r->roles[ROOT].md, &other, 1);
	for (size_t i = 0; i < r->server.n_files; i++)
		if (strcmp(r->server.files[i].name, "root.json") == 0)
			folder_put(&r->device, "root.json", r->server.files[i].data,
				r->server.files[i].len);
	assert_int_equal(repository_refresh(r, &e), -BSI_E_THRESHOLD);
	repository_assert_requests(r, "");
}

/* --- signatures, for each role in the same way --- */

static const char *const served_names[] = {
	"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"};

static void prepare(struct repository *r, size_t role)
{
	/* a root is looked at only when it is the next one */
	if (role == ROOT)
		repository_bump(r, ROOT);
	/* what stands in a list must not be what stops the attack */
	r->bare = true;
	json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(0));
	json_object_set_new(r->roles[TIMESTAMP].md, "version", json_integer(0));
	repository_release(r);
}

static void test_update_refuses_foreign_signatures(void **state)
{
	struct repository *r = *state;

	for (size_t role = ROOT; role <= TARGETS; role++) {
		struct trust_signer *other;
		struct error e = {};

		repository_done(r);
		repository_init(r);
		prepare(r, role);
		other = repository_signer(r);
		repository_put(r, served_names[role], r->roles[role].md, &other, 1);
		assert_int_equal(repository_refresh(r, &e), -BSI_E_THRESHOLD);
		assert_non_null(strstr(e.text, "0 valid signatures"));
		assert_false(role == TARGETS && folder_has(&r->device, "targets.json"));
	}
}

static void test_update_refuses_changed_bytes(void **state)
{
	struct repository *r = *state;

	for (size_t role = ROOT; role <= TARGETS; role++) {
		struct error e = {};
		json_t *changed;
		AUTO_JSON json_t *document = NULL;
		AUTO_FREE char *text = NULL;

		repository_done(r);
		repository_init(r);
		prepare(r, role);
		repository_publish(r, role);
		for (size_t i = 0; i < r->server.n_files; i++)
			if (strcmp(r->server.files[i].name, served_names[role]) == 0)
				document = json_loadb((const char *)r->server.files[i].data,
					r->server.files[i].len, 0, NULL);
		assert_non_null(document);
		changed = json_object_get(document, "signed");
		json_object_set_new(changed, "unknown", json_string("member"));
		text = json_dumps(document, 0);
		folder_put(&r->server, served_names[role], text, strlen(text));
		assert_int_equal(repository_refresh(r, &e), -BSI_E_THRESHOLD);
	}
}

static void test_update_takes_unknown_members_that_are_signed(void **state)
{
	struct repository *r = *state;

	json_object_set_new(r->roles[TARGETS].md, "x-note", json_pack("{s:[i,n,b]}", "a", 1, 1));
	json_object_set_new(json_object_get(json_object_get(r->roles[ROOT].md, "roles"), "targets"),
		"x-owner", json_string("line\nfeed \"and\" \xc3\xa9"));
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), 2);
	assert_int_equal(folder_version(&r->device, "targets.json"), 2);
}

static void test_update_refuses_another_type(void **state)
{
	struct repository *r = *state;
	struct trust_signer *all[4];

	/* one key for all roles, so that only the type stands between them */
	for (size_t i = 0; i < 4; i++)
		all[i] = r->roles[ROOT].signers[0];
	for (size_t i = TIMESTAMP; i <= TARGETS; i++)
		repository_set_keys(r, i, all, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	r->bare = true;
	repository_release(r);
	repository_assert_refreshed(r);
	repository_put(r, "timestamp.json", r->roles[SNAPSHOT].md, all, 1);
	repository_assert_refused(r, -BSI_E_FORMAT);
	repository_put(r, "timestamp.json", r->roles[ROOT].md, all, 1);
	repository_assert_refused(r, -BSI_E_FORMAT);
}

static void test_update_counts_keys_not_signatures(void **state)
{
	struct repository *r = *state;
	struct trust_signer *two[2] = {repository_signer(r), repository_signer(r)};
	const struct trust_signer *dup[2];

	repository_set_keys(r, TIMESTAMP, two, 2, 2);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	/* one of two */
	repository_put(r, "timestamp.json", r->roles[TIMESTAMP].md, two, 1);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_THRESHOLD);
	/* one of two, twice: the file itself is malformed */
	dup[0] = dup[1] = two[0];
	repository_put(r, "timestamp.json", r->roles[TIMESTAMP].md,
		(struct trust_signer *const *)(uintptr_t)dup, 2);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_FORMAT);
	repository_put(r, "timestamp.json", r->roles[TIMESTAMP].md, two, 2);
	repository_assert_refreshed(r);
}

/* A key object with one more member is another keyid and still the same key. */
static void test_update_counts_one_key_under_two_names_once(void **state)
{
	struct repository *r = *state;
	struct trust_signer *signer = repository_signer(r);
	AUTO_JSON json_t *object = trust_signer_public(signer);
	AUTO_JSON json_t *document = NULL;
	AUTO_FREE char *text = NULL;
	struct digest_hex other_id;
	json_t *role, *list;

	json_object_set_new(object, "x", json_string("alias"));
	assert_int_equal(trust_key_object_id(object, &other_id), 0);
	repository_set_keys(r, TIMESTAMP, &signer, 1, 2);
	json_object_set(json_object_get(r->roles[ROOT].md, "keys"), other_id.text, object);
	role = json_object_get(json_object_get(r->roles[ROOT].md, "roles"), "timestamp");
	json_array_append_new(json_object_get(role, "keyids"), json_string(other_id.text));
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_publish(r, TIMESTAMP);
	for (size_t i = 0; i < r->server.n_files; i++)
		if (strcmp(r->server.files[i].name, "timestamp.json") == 0)
			document = json_loadb((const char *)r->server.files[i].data,
				r->server.files[i].len, 0, NULL);
	list = json_object_get(document, "signatures");
	json_array_append_new(list,
		json_pack("{s:s, s:O}", "keyid", other_id.text, "sig",
			json_object_get(json_array_get(list, 0), "sig")));
	text = json_dumps(document, 0);
	folder_put(&r->server, "timestamp.json", text, strlen(text));
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_THRESHOLD);

	/* with a threshold of one the same file is good */
	json_object_set_new(role, "threshold", json_integer(1));
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_assert_refreshed(r);
}

static void test_update_refuses_a_threshold_below_one(void **state)
{
	static const int thresholds[] = {0, -1};
	struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(thresholds); i++) {
		json_t *roles = json_object_get(r->roles[ROOT].md, "roles");

		json_object_set_new(r->roles[ROOT].md, "version", json_integer(2));
		json_object_set_new(json_object_get(roles, "targets"), "threshold",
			json_integer(thresholds[i]));
		repository_publish(r, ROOT);
		repository_assert_refused(r, -BSI_E_FORMAT);
	}
}

static void test_update_passes_over_bad_signatures(void **state)
{
	static const char *const sigs[] = {"", "0", "zz", "00", "ABCDEF", "00112233445566778899"};
	struct repository *r = *state;
	AUTO_JSON json_t *document = NULL;
	AUTO_FREE char *text = NULL;
	json_t *list;
	char keyid[65];

	for (size_t i = 0; i < r->server.n_files; i++)
		if (strcmp(r->server.files[i].name, "timestamp.json") == 0)
			document = json_loadb((const char *)r->server.files[i].data,
				r->server.files[i].len, 0, NULL);
	list = json_object_get(document, "signatures");
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
		(void)snprintf(keyid, sizeof keyid, "%064zu", i);
		json_array_insert_new(list, 0,
			json_pack("{s:s, s:s}", "keyid", keyid, "sig", sigs[i]));
	}
	text = json_dumps(document, 0);
	folder_put(&r->server, "timestamp.json", text, strlen(text));
	repository_assert_refreshed(r);
}

static void test_update_refuses_ten_thousand_signatures(void **state)
{
	struct repository *r = *state;
	AUTO_DONE(buffer) struct buffer text = buffer_of(1U << 24);
	struct error e = {};

	/* a root may be large enough to hold them */
	buffer_put_text(&text, "{\"signed\":{},\"signatures\":[");
	for (int i = 0; i < 10000; i++)
		buffer_printf(&text, "%s{\"keyid\":\"%d\",\"sig\":\"\"}", i > 0 ? "," : "", i);
	buffer_put_text(&text, "]}");
	assert_true(text.len < TRUST_ROOT_MAX_BYTES);
	folder_put(&r->server, "2.root.json", text.data, text.len);
	assert_int_equal(repository_refresh(r, &e), -BSI_E_LIMIT);
	assert_non_null(strstr(e.text, "signatures"));
}

static void test_update_refuses_deep_nesting(void **state)
{
	struct repository *r = *state;
	char text[TRUST_TIMESTAMP_MAX_BYTES];
	struct error e = {};

	memset(text, '[', sizeof text);
	memcpy(text, "{\"a\":", 5);
	folder_put(&r->server, "timestamp.json", text, sizeof text);
	assert_int_equal(repository_refresh(r, &e), -BSI_E_LIMIT);
	assert_non_null(strstr(e.text, "nested"));
}

static void test_update_refuses_files_above_their_limit(void **state)
{
	struct repository *r = *state;
	AUTO_FREE char *text = calloc(1, TRUST_ROOT_MAX_BYTES + 1);

	assert_non_null(text);
	memset(text, ' ', TRUST_ROOT_MAX_BYTES + 1);
	folder_put(&r->server, "timestamp.json", text, TRUST_TIMESTAMP_MAX_BYTES + 1);
	repository_assert_refused(r, -BSI_E_LIMIT);
	folder_put(&r->server, "2.root.json", text, TRUST_ROOT_MAX_BYTES + 1);
	repository_assert_refused(r, -BSI_E_LIMIT);
}

/* --- time --- */

static void test_update_refuses_an_expired_role(void **state)
{
	struct repository *r = *state;

	for (size_t role = ROOT; role <= TARGETS; role++) {
		struct error e = {};

		repository_done(r);
		repository_init(r);
		prepare(r, role);
		repository_expire(r, role);
		if (role == ROOT)
			repository_publish(r, ROOT);
		json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(0));
		json_object_set_new(r->roles[TIMESTAMP].md, "version", json_integer(0));
		repository_release(r);
		assert_int_equal(repository_refresh(r, &e), -BSI_E_EXPIRED);
		assert_non_null(strstr(e.text, "2023-11-14T22:13:20Z"));
		/* the expired root stays, being a link of the chain; of the others nothing does */
		assert_int_equal(folder_version(&r->device, "root.json"), role == ROOT ? 2 : 1);
		assert_false(role <= TIMESTAMP && folder_has(&r->device, "timestamp.json"));
		assert_false(role <= SNAPSHOT && folder_has(&r->device, "snapshot.json"));
		assert_false(folder_has(&r->device, "targets.json"));
	}
}

static void test_update_goes_through_an_expired_root_between(void **state)
{
	struct repository *r = *state;
	AUTO_JSON json_t *later = json_deep_copy(json_object_get(r->roles[ROOT].md, "expires"));

	repository_bump(r, ROOT);
	repository_expire(r, ROOT);
	repository_publish(r, ROOT);
	repository_bump(r, ROOT);
	json_object_set(r->roles[ROOT].md, "expires", later);
	repository_publish(r, ROOT);
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "root.json"), 3);
}

/* A frozen mirror: all that it serves was good once. */
static void test_update_notices_a_freeze(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	r->now_utc_s = NOW_UTC_S + 7 * 86400 - 1;
	repository_assert_refreshed(r);
	r->now_utc_s = NOW_UTC_S + 7 * 86400;
	repository_assert_refused(r, -BSI_E_EXPIRED);
}

static void test_update_holds_the_clock_to_the_floor(void **state)
{
	struct repository *r = *state;
	struct trust_updater *u = NULL;
	struct error e = {};

	/* a device without a clock, and a mirror that serves what expired before the root was made */
	r->now_utc_s = 0;
	json_object_set_new(r->roles[TIMESTAMP].md, "expires", json_string("2023-11-01T00:00:00Z"));
	repository_release(r);
	assert_int_equal(repository_refresh(r, &e), -BSI_E_EXPIRED);
	assert_int_equal(repository_updater(r, &u, &e), 0);
	assert_int_equal(trust_updater_floor_utc_s(u), NOW_UTC_S - 86400);
	trust_updater_free(u);
}

static void test_update_tells_floor_and_expiry(void **state)
{
	struct repository *r = *state;
	struct trust_updater *u = NULL;
	struct error e = {};

	json_object_set_new(r->roles[TARGETS].md, "issued",
		json_string(utc_format(NOW_UTC_S - 100).text));
	/* what an online key says about the time of issue counts for nothing */
	json_object_set_new(r->roles[TIMESTAMP].md, "issued",
		json_string(utc_format(NOW_UTC_S + 86400).text));
	json_object_set_new(r->roles[TARGETS].md, "expires",
		json_string(utc_format(NOW_UTC_S + 5 * 86400).text));
	repository_bump(r, TARGETS);
	repository_release(r);
	assert_int_equal(repository_updater(r, &u, &e), 0);
	assert_true(trust_updater_expires_utc_s(u) == INT64_MAX);
	assert_int_equal(trust_updater_refresh(u, &e), 0);
	assert_int_equal(trust_updater_floor_utc_s(u), NOW_UTC_S - 100);
	assert_int_equal(trust_updater_expires_utc_s(u), NOW_UTC_S + 5 * 86400);
	assert_int_equal(trust_updater_root_version(u), 1);
	assert_int_equal(trust_updater_refresh(u, &e), -EINVAL);
	trust_updater_free(u);
}

/* --- versions --- */

static void test_update_refuses_an_older_timestamp(void **state)
{
	struct repository *r = *state;

	repository_release(r);
	repository_assert_refreshed(r);
	json_object_set_new(r->roles[TIMESTAMP].md, "version", json_integer(1));
	repository_publish(r, TIMESTAMP);
	repository_assert_refused(r, -BSI_E_ROLLBACK);
}

static void test_update_keeps_the_timestamp_of_the_same_version(void **state)
{
	struct repository *r = *state;
	struct folder before = {};

	repository_assert_refreshed(r);
	folder_copy(&before, &r->device);
	json_object_set_new(json_object_get(json_object_get(r->roles[TIMESTAMP].md, "meta"),
				    "snapshot.json"),
		"version", json_integer(100));
	repository_publish(r, TIMESTAMP);
	repository_assert_refreshed(r);
	repository_assert_requests(r, "2.root.json timestamp.json");
	assert_true(folder_equal(&before, &r->device));
	folder_done(&before);
}

/* The same version is no reason to stop: the run before may have failed on the snapshot. */
static void test_update_goes_on_after_a_snapshot_that_failed(void **state)
{
	struct repository *r = *state;

	r->broken_url = "1.snapshot.json";
	r->broken_code = -BSI_E_TRANSFER;
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_TRANSFER);
	assert_true(folder_has(&r->device, "timestamp.json"));
	assert_false(folder_has(&r->device, "snapshot.json"));
	r->broken_url = NULL;
	repository_assert_refreshed(r);
	assert_int_equal(folder_version(&r->device, "targets.json"), 1);
}

static void test_update_refuses_a_timestamp_with_an_older_snapshot(void **state)
{
	struct repository *r = *state;

	repository_release(r);
	repository_assert_refreshed(r);
	json_object_set_new(json_object_get(json_object_get(r->roles[TIMESTAMP].md, "meta"),
				    "snapshot.json"),
		"version", json_integer(1));
	repository_bump(r, TIMESTAMP);
	repository_publish(r, TIMESTAMP);
	repository_assert_refused(r, -BSI_E_ROLLBACK);
}

/* Publish a snapshot as it stands, and a timestamp for it. */
static void publish_snapshot(struct repository *r)
{
	repository_bump(r, SNAPSHOT);
	repository_publish(r, SNAPSHOT);
	json_object_set_new(json_object_get(r->roles[TIMESTAMP].md, "meta"), "snapshot.json",
		json_pack("{s:O}", "version", json_object_get(r->roles[SNAPSHOT].md, "version")));
	repository_bump(r, TIMESTAMP);
	repository_publish(r, TIMESTAMP);
}

static void test_update_refuses_a_snapshot_with_older_targets(void **state)
{
	struct repository *r = *state;
	json_t *meta = json_object_get(r->roles[SNAPSHOT].md, "meta");

	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	json_object_set_new(meta, "targets.json", json_pack("{s:i}", "version", 1));
	publish_snapshot(r);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 2);
	assert_int_equal(folder_version(&r->device, "targets.json"), 2);
}

static void test_update_refuses_a_snapshot_without_a_role(void **state)
{
	struct repository *r = *state;
	json_t *meta = json_object_get(r->roles[SNAPSHOT].md, "meta");

	repository_delegate(r, TARGETS, "debian:12:amd64", "debian:12:amd64/*", true);
	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	json_object_del(meta, "debian:12:amd64.json");
	publish_snapshot(r);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 2);
}

/* The stored snapshot guards against a rollback though it has expired. */
static void test_update_compares_with_an_expired_snapshot(void **state)
{
	struct repository *r = *state;
	json_t *meta = json_object_get(r->roles[SNAPSHOT].md, "meta");

	repository_bump(r, TARGETS);
	repository_release(r);
	repository_assert_refreshed(r);
	r->now_utc_s += 30 * 86400;
	json_object_set_new(r->roles[SNAPSHOT].md, "expires",
		json_string(utc_format(r->now_utc_s + 1000).text));
	json_object_set_new(r->roles[TIMESTAMP].md, "expires",
		json_string(utc_format(r->now_utc_s + 1000).text));
	json_object_set_new(meta, "targets.json", json_pack("{s:i}", "version", 1));
	publish_snapshot(r);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
}

static void test_update_refuses_versions_other_than_listed(void **state)
{
	struct repository *r = *state;

	r->bare = true;
	repository_release(r);
	/* an older one under the newer name: a mix of what was good at different times */
	json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(1));
	repository_put(r, "2.snapshot.json", r->roles[SNAPSHOT].md, r->roles[SNAPSHOT].signers, 1);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
	assert_false(folder_has(&r->device, "snapshot.json"));

	json_object_set_new(r->roles[SNAPSHOT].md, "version", json_integer(2));
	repository_publish(r, SNAPSHOT);
	repository_bump(r, TARGETS);
	repository_put(r, "1.targets.json", r->roles[TARGETS].md, r->roles[TARGETS].signers, 1);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_ROLLBACK);
	assert_false(folder_has(&r->device, "targets.json"));
}

static void test_update_refuses_other_bytes_than_listed(void **state)
{
	struct repository *r = *state;

	/* well signed, of the right version, and not what the snapshot lists */
	json_object_set_new(r->roles[TARGETS].md, "x", json_string("mixed in"));
	repository_publish(r, TARGETS);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_LIMIT);
	json_object_set_new(r->roles[TARGETS].md, "spec_version", json_string("1.0.9"));
	json_object_del(r->roles[TARGETS].md, "x");
	repository_publish(r, TARGETS);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_DIGEST);
	assert_int_equal(folder_version(&r->device, "snapshot.json"), 1);
	assert_false(folder_has(&r->device, "targets.json"));
}

static void test_update_refuses_another_snapshot_than_listed(void **state)
{
	struct repository *r = *state;

	json_object_set_new(r->roles[SNAPSHOT].md, "spec_version", json_string("1.0.35"));
	repository_publish(r, SNAPSHOT);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_DIGEST);
	assert_false(folder_has(&r->device, "snapshot.json"));
}

static void test_update_fetches_a_snapshot_that_is_not_the_listed_one(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	json_object_set_new(r->roles[SNAPSHOT].md, "spec_version", json_string("1.0.35"));
	repository_put(r, "x", r->roles[SNAPSHOT].md, r->roles[SNAPSHOT].signers, 1);
	repository_store(r, "snapshot.json", "x");
	repository_assert_refreshed(r);
	repository_assert_requests(r, "2.root.json timestamp.json 1.snapshot.json");
}

/* A fresh timestamp does not make a snapshot fresh that has expired. */
static void test_update_refuses_a_stored_snapshot_that_expired(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	r->now_utc_s += 8 * 86400;
	json_object_set_new(r->roles[TIMESTAMP].md, "expires",
		json_string(utc_format(r->now_utc_s + 1000).text));
	repository_bump(r, TIMESTAMP);
	repository_publish(r, TIMESTAMP);
	assert_int_equal(repository_refresh(r, NULL), -BSI_E_EXPIRED);
	repository_assert_requests(r, "2.root.json timestamp.json 1.snapshot.json");
}

/* The same version with another expiry is not news, so that the stored one counts. */
static void test_update_a_version_does_not_live_longer_than_it_said(void **state)
{
	struct repository *r = *state;

	repository_assert_refreshed(r);
	r->now_utc_s += 8 * 86400;
	json_object_set_new(r->roles[TIMESTAMP].md, "expires",
		json_string(utc_format(r->now_utc_s + 1000).text));
	repository_publish(r, TIMESTAMP);
	repository_assert_refused(r, -BSI_E_EXPIRED);
	repository_assert_requests(r, "2.root.json timestamp.json");
}

static void test_update_goes_on_after_a_cut_anywhere(void **state)
{
	static const char *const names[] = {"root.json", "timestamp.json", "snapshot.json",
		"targets.json"};
	struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		repository_bump(r, ROOT);
		repository_publish(r, ROOT);
		repository_bump(r, TARGETS);
		repository_release(r);
		r->unsaved = names[i];
		assert_int_equal(repository_refresh(r, NULL), -EIO);
		r->unsaved = NULL;
		repository_assert_refreshed(r);
		assert_int_equal(folder_version(&r->device, "targets.json"), i + 2);
	}
}

static void test_update_stored_files_by_old_keys_are_not_believed(void **state)
{
	struct repository *r = *state;
	struct trust_signer *next = repository_signer(r);

	repository_assert_refreshed(r);
	repository_set_keys(r, TARGETS, &next, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	/* the same version and the same content, and the stored copy has the old signature */
	r->bare = true;
	repository_release(r);
	repository_assert_refreshed(r);
	repository_assert_requests(r,
		"2.root.json 3.root.json timestamp.json 2.snapshot.json 1.targets.json");
}

static void test_update_damaged_stored_files_are_fetched_again(void **state)
{
	static const char *const names[] = {"timestamp.json", "snapshot.json", "targets.json"};
	struct repository *r = *state;
	AUTO_FREE char *huge = calloc(1, TRUST_TARGETS_MAX_BYTES + 1);

	assert_non_null(huge);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		repository_assert_refreshed(r);
		folder_put(&r->device, names[i], "{", 1);
		repository_assert_refreshed(r);
		assert_int_equal(folder_version(&r->device, names[i]), 1);
		folder_put(&r->device, names[i], huge, TRUST_TARGETS_MAX_BYTES + 1);
		repository_assert_refreshed(r);
		assert_int_equal(folder_version(&r->device, names[i]), 1);
	}
}

static void test_update_without_consistent_snapshots(void **state)
{
	struct repository *r = *state;

	json_object_del(r->roles[ROOT].md, "consistent_snapshot");
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_put(r, "snapshot.json", r->roles[SNAPSHOT].md, r->roles[SNAPSHOT].signers, 1);
	repository_put(r, "targets.json", r->roles[TARGETS].md, r->roles[TARGETS].signers, 1);
	repository_assert_refreshed(r);
	repository_assert_requests(r,
		"2.root.json 3.root.json timestamp.json snapshot.json targets.json");
}

static void test_update_a_file_that_is_listed_and_gone_is_a_transfer_error(void **state)
{
	struct repository *r = *state;
	struct error e = {};

	folder_drop(&r->server, "1.targets.json");
	assert_int_equal(repository_refresh(r, &e), -BSI_E_TRANSFER);
	assert_non_null(strstr(e.text, "1.targets.json"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, repository_set_up, repository_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_update_first_refresh_takes_everything),
		TEST(test_update_without_news_makes_two_requests),
		TEST(test_update_stores_the_bytes_as_they_came),
		TEST(test_update_needs_a_root),
		TEST(test_update_refuses_a_root_that_does_not_sign_itself),
		TEST(test_update_refuses_foreign_signatures),
		TEST(test_update_refuses_changed_bytes),
		TEST(test_update_takes_unknown_members_that_are_signed),
		TEST(test_update_refuses_another_type),
		TEST(test_update_counts_keys_not_signatures),
		TEST(test_update_counts_one_key_under_two_names_once),
		TEST(test_update_refuses_a_threshold_below_one),
		TEST(test_update_passes_over_bad_signatures),
		TEST(test_update_refuses_ten_thousand_signatures),
		TEST(test_update_refuses_deep_nesting),
		TEST(test_update_refuses_files_above_their_limit),
		TEST(test_update_refuses_an_expired_role),
		TEST(test_update_goes_through_an_expired_root_between),
		TEST(test_update_notices_a_freeze),
		TEST(test_update_holds_the_clock_to_the_floor),
		TEST(test_update_tells_floor_and_expiry),
		TEST(test_update_refuses_an_older_timestamp),
		TEST(test_update_keeps_the_timestamp_of_the_same_version),
		TEST(test_update_goes_on_after_a_snapshot_that_failed),
		TEST(test_update_refuses_a_timestamp_with_an_older_snapshot),
		TEST(test_update_refuses_a_snapshot_with_older_targets),
		TEST(test_update_refuses_a_snapshot_without_a_role),
		TEST(test_update_compares_with_an_expired_snapshot),
		TEST(test_update_refuses_versions_other_than_listed),
		TEST(test_update_refuses_other_bytes_than_listed),
		TEST(test_update_refuses_another_snapshot_than_listed),
		TEST(test_update_fetches_a_snapshot_that_is_not_the_listed_one),
		TEST(test_update_refuses_a_stored_snapshot_that_expired),
		TEST(test_update_a_version_does_not_live_longer_than_it_said),
		TEST(test_update_goes_on_after_a_cut_anywhere),
		TEST(test_update_stored_files_by_old_keys_are_not_believed),
		TEST(test_update_damaged_stored_files_are_fetched_again),
		TEST(test_update_without_consistent_snapshots),
		TEST(test_update_a_file_that_is_listed_and_gone_is_a_transfer_error),
	};

	return cmocka_run_group_tests_name("update", tests, NULL, NULL);
}
