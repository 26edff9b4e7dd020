/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "publish/commit.h"
#include "publish/foundation.h"
#include "publish/issue.h"
#include "publish/verify.h"

#define BASE "debian:12:amd64"
#define NOW 1800000000

/* A repository with its keys in a temporary folder. */
struct shop {
	char *folder;
	char repository[256], keys[256], online[256];
	struct keyring base_keys, snapshot_keys, timestamp_keys;
};

static void load_keys(const char *path, const char *passphrase, const char *role,
	struct keyring *ret)
{
	struct keyring_folder folder = {.path = path, .passphrase = passphrase};
	struct error e = {};

	folder.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder.fd >= 0);
	assert_int_equal(keyring_load(&folder, role, ret, &e), 0);
	close(folder.fd);
}

static void shop_open(struct shop *s)
{
	const struct foundation_base bases[] = {{.id = BASE}, {.id = "test:1:amd64", .name = "T"}};
	struct foundation f = {.bases = bases, .n_bases = 2, .threshold = 1, .n_keys = 1,
		.now_utc_s = NOW};
	struct error e = {};

	*s = (struct shop){.folder = fixture_folder()};
	(void)snprintf(s->repository, sizeof s->repository, "%s/r", s->folder);
	(void)snprintf(s->keys, sizeof s->keys, "%s/k", s->folder);
	(void)snprintf(s->online, sizeof s->online, "%s/o", s->folder);
	f.path = s->repository;
	f.keys_path = s->keys;
	f.online_path = s->online;
	assert_int_equal(foundation_lay(&f, &e), 0);
	load_keys(s->keys, NULL, BASE, &s->base_keys);
	load_keys(s->online, NULL, "snapshot", &s->snapshot_keys);
	load_keys(s->online, NULL, "timestamp", &s->timestamp_keys);
}

static void shop_close(struct shop *s)
{
	keyring_done(&s->base_keys);
	keyring_done(&s->snapshot_keys);
	keyring_done(&s->timestamp_keys);
	fixture_remove(s->folder);
}

/* Publish one small letter; text makes it differ. */
static void shop_add(struct shop *s, const char *text, int64_t now_utc_s)
{
	const struct fixture_file old[] = {{.path = "./usr/lib/x", .content = "old"}, {0}};
	const struct fixture_file new[] = {{.path = "./usr/lib/x", .content = text}, {0}};
	const struct fixture_deb from = {.package = "x", .version = "1", .files = old};
	const struct fixture_deb to = {.package = "x", .version = "2", .files = new};
	char *path[2] = {fixture_write(s->folder, &from), fixture_write(s->folder, &to)};
	AUTO(repository) struct repository *r = NULL;
	AUTO(manifest) struct manifest *m = NULL;
	AUTO(plan) struct plan *p = NULL;
	struct state *states[2];
	struct issue issue = {.base_keys = &s->base_keys, .snapshot_keys = &s->snapshot_keys,
		.timestamp_keys = &s->timestamp_keys, .now_utc_s = now_utc_s};
	struct issue_letter letter = {0};
	struct plan_request request = {.architecture = "amd64", .from = states, .n_from = 1};
	struct error e = {};

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(state_open(path[i], &states[i], &e), 0);
		free(path[i]);
	}
	request.to = states[1];
	assert_int_equal(plan_make(&request, &p, &e), 0);
	assert_int_equal(repository_open(s->repository, REPOSITORY_LOCK, &r, &e), 0);
	issue.repository = r;
	assert_int_equal(repository_base(r, BASE, &issue.base, &e), 0);
	letter.plan = p;
	letter.to = states[1];
	assert_int_equal(issue_add(&issue, &letter, &m, &e), 0);
	plan_free(take_ptr(p));
	state_free(states[0]);
	state_free(states[1]);
}

static int verify(const struct shop *s, struct error *e)
{
	struct verify_report report;

	return verify_repository(s->repository, NOW + 10, NULL, &report, e);
}

/* Call visit for every file of a folder below the repository. */
static void each_file(const struct shop *s, const char *folder,
	void (*visit)(const struct shop *s, int fd, const struct buffer *bytes, const char *name))
{
	char path[400];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof path, "%s/%s", s->repository, folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct buffer bytes = buffer_of(1 << 20);
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(file_read_fd(fd, 1 << 20, &bytes), 0);
		visit(s, fd, &bytes, entry->d_name);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(file_pwrite_all(fd, bytes.data, bytes.len, 0), 0);
		close(fd);
		buffer_done(&bytes);
	}
	closedir(dir);
}

static void test_repository_first(void **state)
{
	AUTO(repository) struct repository *r = NULL;
	AUTO(index) struct index *index = NULL;
	struct repository_role *base;
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	assert_int_equal(verify(&s, &e), 0);
	assert_int_equal(repository_open(s.repository, 0, &r, &e), 0);
	assert_int_equal(r->n_roles, 3);
	assert_int_equal(repository_base(r, BASE, &base, &e), 0);
	assert_int_equal(repository_base(r, "no:1:amd64", &base, &e), -BSI_E_BASE);
	assert_int_equal(repository_load_index(r, base, &index, &e), 0);
	assert_string_equal(index->name, "Debian GNU/Linux 12");
	assert_int_equal(index->n_entries, 0);
	shop_close(&s);
}

static void flip_metadata(const struct shop *s, int fd, const struct buffer *bytes,
	const char *name)
{
	(void)name;
	for (size_t i = 0; i < bytes->len; i += 3) {
		uint8_t flipped = bytes->data[i] ^ (uint8_t)(1U << i % 8);
		struct repository *r = NULL;
		struct error e = {};

		assert_int_equal(file_pwrite_all(fd, &flipped, 1, i), 0);
		assert_true(repository_open(s->repository, 0, &r, &e) < 0);
		assert_null(r);
		assert_true(e.text[0] != '\0');
		assert_int_equal(file_pwrite_all(fd, bytes->data + i, 1, i), 0);
	}
}

static void cut_metadata(const struct shop *s, int fd, const struct buffer *bytes,
	const char *name)
{
	(void)name;
	for (size_t len = 0; len < bytes->len; len += 7) {
		struct repository *r = NULL;
		struct error e = {};

		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		assert_true(repository_open(s->repository, 0, &r, &e) < 0);
		assert_int_equal(file_pwrite_all(fd, bytes->data, bytes->len, 0), 0);
	}
}

/* The publisher signs nothing that rests on metadata which somebody changed. */
static void test_repository_damaged_metadata(void **state)
{
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	each_file(&s, "metadata", flip_metadata);
	each_file(&s, "metadata", cut_metadata);
	assert_int_equal(verify(&s, &e), 0);
	shop_close(&s);
}

static void flip_target(const struct shop *s, int fd, const struct buffer *bytes, const char *name)
{
	(void)name;
	for (size_t i = 0; i < bytes->len; i += 11) {
		uint8_t flipped = bytes->data[i] ^ 0x10;
		struct error e = {};

		assert_int_equal(file_pwrite_all(fd, &flipped, 1, i), 0);
		assert_int_equal(verify(s, &e), -BSI_E_DIGEST);
		assert_int_equal(file_pwrite_all(fd, bytes->data + i, 1, i), 0);
	}
}

/* The index before this one is listed by nobody any more: only its own name could be wrong. */
static void flip_listed_target(const struct shop *s, int fd, const struct buffer *bytes,
	const char *name)
{
	AUTO(repository) struct repository *r = NULL;
	struct error e = {};

	assert_int_equal(repository_open(s->repository, 0, &r, &e), 0);
	for (size_t i = 0; i < r->roles[1].n_targets; i++) {
		struct digest_hex hex = digest_format(&r->roles[1].targets[i].digest);

		if (strncmp(hex.text, name, DIGEST_HEX_LEN) == 0)
			flip_target(s, fd, bytes, name);
	}
}

static void test_repository_damaged_targets(void **state)
{
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	shop_add(&s, "new", NOW + 1);
	assert_int_equal(verify(&s, &e), 0);
	each_file(&s, "targets/" BASE, flip_listed_target);
	assert_int_equal(verify(&s, &e), 0);
	shop_close(&s);
}

static void test_repository_letters(void **state)
{
	AUTO(repository) struct repository *r = NULL;
	AUTO(index) struct index *index = NULL, *after = NULL;
	struct issue issue;
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	shop_add(&s, "new", NOW + 1);
	shop_add(&s, "newer", NOW + 2);
	assert_int_equal(verify(&s, &e), 0);
	assert_int_equal(repository_open(s.repository, REPOSITORY_LOCK, &r, &e), 0);
	issue = (struct issue){.repository = r, .base_keys = &s.base_keys,
		.snapshot_keys = &s.snapshot_keys, .timestamp_keys = &s.timestamp_keys,
		.now_utc_s = NOW + 3};
	assert_int_equal(repository_base(r, BASE, &issue.base, &e), 0);
	assert_int_equal(repository_load_index(r, issue.base, &index, &e), 0);
	assert_string_equal(index_current(index)->letter, "b");
	assert_int_equal(issue_withdraw(&issue, "q", WITHDRAW_STOP, "why", &e), -BSI_E_MISSING);
	assert_int_equal(issue_withdraw(&issue, "b", WITHDRAW_REMOVE, "why", &e), 0);
	assert_int_equal(issue_minimum(&issue, "b", &e), -BSI_E_REFUSED);
	repository_free(take_ptr(r));
	assert_int_equal(repository_open(s.repository, 0, &r, &e), 0);
	assert_int_equal(repository_base(r, BASE, &issue.base, &e), 0);
	assert_int_equal(repository_load_index(r, issue.base, &after, &e), 0);
	assert_string_equal(index_current(after)->letter, "a");
	assert_string_equal(index_find(after, "b")->reason, "why");
	assert_int_equal(verify(&s, &e), 0);
	shop_close(&s);
}

enum lie {
	LIE_NONE,
	LIE_ROOT,
	LIE_SALT,
	LIE_TREE,
	LIE_FS_VERITY,
	LIE_MODE,
	LIE_UID,
	LIE_GID,
	LIE_ATTRIBUTES,
	LIE_DIGEST,
	LIE_SIZE,
	LIE_PRIVILEGED,
	LIE_PATH,
	LIE_MAX,
};

static void tell(struct component *c, enum lie lie)
{
	struct patched_file *f = &c->files[0];

	switch (lie) {
	case LIE_ROOT:
		c->image.root.bytes[0] ^= 1;
		break;
	case LIE_SALT:
		c->image.salt[0] ^= 1;
		break;
	case LIE_TREE:
		c->image.tree_offset += 4096;
		break;
	case LIE_FS_VERITY:
		c->image.fs_verity.bytes[31] ^= 1;
		break;
	case LIE_MODE:
		f->access.mode ^= 1;
		break;
	case LIE_UID:
		f->access.uid ^= 1;
		break;
	case LIE_GID:
		f->access.gid ^= 1;
		break;
	case LIE_ATTRIBUTES:
		f->access.has_attributes = !f->access.has_attributes;
		break;
	case LIE_DIGEST:
		f->digest.bytes[0] ^= 1;
		break;
	case LIE_SIZE:
		f->size++;
		break;
	case LIE_PRIVILEGED:
		f->privileged = !f->privileged;
		break;
	case LIE_PATH:
		f->path[strlen(f->path) - 1] = '_';
		break;
	default:
		break;
	}
}

/* Letter (b) shares the image of (a), under all the right keys. */
static void publish_lie(const struct shop *s, enum lie lie)
{
	AUTO(repository) struct repository *r = NULL;
	AUTO(manifest) struct manifest *m = NULL;
	AUTO(index) struct index *index = NULL;
	struct buffer bytes = buffer_of(1 << 20), listed = buffer_of(1 << 20);
	struct repository_role *base;
	struct index_entry *grown;
	struct error e = {};

	assert_int_equal(repository_open(s->repository, REPOSITORY_LOCK, &r, &e), 0);
	assert_int_equal(repository_base(r, BASE, &base, &e), 0);
	assert_int_equal(repository_load_index(r, base, &index, &e), 0);
	assert_int_equal(repository_load_manifest(r, base, &index->entries[0], &m, &e), 0);
	m->letter[0] = 'b';
	m->build = 2;
	tell(&m->components[0], lie);
	assert_int_equal(manifest_encode(m, &bytes, &e), 0);
	assert_int_equal(repository_write_target(r, base, BASE "/manifest-2.json", bytes.data,
				 bytes.len, &e),
		0);
	grown = reallocarray(index->entries, 2, sizeof *grown);
	assert_non_null(grown);
	index->entries = grown;
	grown[index->n_entries++] = (struct index_entry){.letter = strdup("b"),
		.build = 2,
		.manifest = strdup("manifest-2.json"),
		.issued_utc_s = m->issued_utc_s};
	assert_int_equal(index_encode(index, &listed, &e), 0);
	assert_int_equal(repository_write_target(r, base, BASE "/index.json", listed.data,
				 listed.len, &e),
		0);
	assert_int_equal(commit_base(r, base, &s->base_keys, NOW + 2, &e), 0);
	assert_int_equal(commit_online(r, &s->snapshot_keys, &s->timestamp_keys, NOW + 2, &e), 0);
	buffer_done(&bytes);
	buffer_done(&listed);
}

/* An image that was found good under one manifest may be lied about in another. */
static void test_repository_lies_about_shared_images(void **state)
{
	(void)state;
	for (int lie = LIE_NONE; lie < LIE_MAX; lie++) {
		struct verify_report report = {0};
		struct error e = {};
		struct shop s;
		int r;

		shop_open(&s);
		shop_add(&s, "new", NOW + 1);
		publish_lie(&s, (enum lie)lie);
		r = verify_repository(s.repository, NOW + 10, NULL, &report, &e);
		if (lie == LIE_NONE) {
			assert_int_equal(r, 0);
			assert_int_equal(report.n_letters, 2);
			assert_int_equal(report.n_images, 1);
		} else {
			assert_true(r < 0);
			assert_non_null(strstr(e.text, "(b)"));
		}
		shop_close(&s);
	}
}

/* The newest issue of any role is the floor, the clock of the host is the ceiling. */
static void test_repository_time(void **state)
{
	static const struct {
		int64_t now_utc_s, host_utc_s;
		int result;
	} rows[] = {
		{NOW + 5, NOW + 5, 0},
		{NOW + 4, NOW + 5, -BSI_E_USAGE},
		{NOW + 5 + REPOSITORY_AHEAD_MAX_S, NOW + 5, 0},
		{NOW + 6 + REPOSITORY_AHEAD_MAX_S, NOW + 5, -BSI_E_USAGE},
		{NOW + 5, NOW + 4 + REPOSITORY_TIMESTAMP_EXPIRES_S, 0},
		{NOW + 5, NOW + 5 + REPOSITORY_TIMESTAMP_EXPIRES_S, -BSI_E_USAGE},
	};
	AUTO(repository) struct repository *r = NULL;
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	shop_add(&s, "new", NOW + 5);
	assert_int_equal(repository_open(s.repository, 0, &r, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			repository_check_time(r, rows[i].now_utc_s, rows[i].host_utc_s, &e),
			rows[i].result);
	assert_int_equal(repository_check_time(NULL, NOW, NOW, &e), 0);
	shop_close(&s);
}

static void test_repository_lock(void **state)
{
	AUTO(repository) struct repository *first = NULL, *second = NULL, *reader = NULL;
	struct error e = {};
	struct shop s;

	(void)state;
	shop_open(&s);
	assert_int_equal(repository_open(s.repository, REPOSITORY_LOCK, &first, &e), 0);
	assert_int_equal(repository_open(s.repository, REPOSITORY_LOCK, &second, &e), -BSI_E_BUSY);
	assert_int_equal(repository_open(s.repository, 0, &reader, &e), 0);
	repository_free(take_ptr(first));
	assert_int_equal(repository_open(s.repository, REPOSITORY_LOCK, &second, &e), 0);
	shop_close(&s);
}

static void test_repository_wrong_keys(void **state)
{
	AUTO(repository) struct repository *r = NULL;
	struct repository_role *base;
	struct error e = {};
	struct shop s, other;

	(void)state;
	shop_open(&s);
	shop_open(&other);
	assert_int_equal(repository_open(s.repository, REPOSITORY_LOCK, &r, &e), 0);
	assert_int_equal(repository_base(r, BASE, &base, &e), 0);
	assert_int_equal(commit_base(r, base, &other.base_keys, NOW + 1, &e), -BSI_E_THRESHOLD);
	assert_int_equal(commit_online(r, &s.snapshot_keys, &s.snapshot_keys, NOW + 1, &e),
		-BSI_E_THRESHOLD);
	assert_int_equal(verify(&s, &e), 0);
	shop_close(&other);
	shop_close(&s);
}

static void test_keyring_passphrase(void **state)
{
	char *path = fixture_folder();
	struct keyring_folder folder = {.path = path, .passphrase = "secret"};
	struct keyring made, loaded;
	struct error e = {};
	struct stat st;

	(void)state;
	folder.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(keyring_is_encrypted(&folder, "role"), 0);
	assert_int_equal(keyring_load(&folder, "role", &loaded, &e), -ENOENT);
	assert_int_equal(keyring_create(&folder, "role", 2, &made, &e), 0);
	assert_int_equal(keyring_is_encrypted(&folder, "role"), 1);
	assert_int_equal(fstatat(folder.fd, "role", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(folder.fd, "role/2.pem", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keyring_load(&folder, "role", &loaded, &e), 0);
	assert_int_equal(loaded.n_signers, 2);
	assert_string_equal(trust_signer_keyid(loaded.signers[1]),
		trust_signer_keyid(made.signers[1]));
	keyring_done(&loaded);
	folder.passphrase = "wrong";
	assert_int_equal(keyring_load(&folder, "role", &loaded, &e), -BSI_E_SIGNATURE);
	assert_int_equal(keyring_create(&folder, "role", 1, &loaded, &e), -EEXIST);
	assert_int_equal(keyring_create(&folder, "more", 17, &loaded, &e), -BSI_E_USAGE);
	keyring_done(&made);
	close(folder.fd);
	fixture_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repository_first),
		cmocka_unit_test(test_repository_damaged_metadata),
		cmocka_unit_test(test_repository_damaged_targets),
		cmocka_unit_test(test_repository_letters),
		cmocka_unit_test(test_repository_lies_about_shared_images),
		cmocka_unit_test(test_repository_time),
		cmocka_unit_test(test_repository_lock),
		cmocka_unit_test(test_repository_wrong_keys),
		cmocka_unit_test(test_keyring_passphrase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
