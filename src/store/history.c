/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/file.h"
#include "base/utc.h"
#include "improvement/letter.h"
#include "store/layout.h"

#define SCHEMA_VERSION 1
#define BUSY_TIMEOUT_MS 2000
#define EVENT_MAX_BYTES 32
#define VFS_NAME "bsi-verbatim"
#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x

static const char set_up[] = "PRAGMA journal_mode = DELETE;"
			     /* also the folder is synced when the journal goes */
			     "PRAGMA synchronous = EXTRA;"
			     "PRAGMA trusted_schema = OFF;";

static const char schema[] =
	"CREATE TABLE event ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" utc_s INTEGER NOT NULL,"
	" event TEXT NOT NULL,"
	" letter TEXT,"
	" detail TEXT"
	") STRICT;"
	"PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";";

static const char insert[] =
	"INSERT INTO event (utc_s, event, letter, detail) VALUES (?1, ?2, ?3, ?4)";
static const char trim[] = "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?1";
static const char select_newest[] =
	"SELECT id, utc_s, event, letter, detail FROM event ORDER BY id DESC LIMIT ?1";

struct statement {
	sqlite3_stmt *stmt;
};

static void statement_done(struct statement *st)
{
	(void)sqlite3_finalize(st->stmt);
}

struct database {
	sqlite3 *db;
};

static void database_done(struct database *d)
{
	(void)sqlite3_close(d->db);
}

/* SQLite's results in our space; the words say what the owner can do. */
static int failed(sqlite3 *db, int code, struct error *reterr)
{
	const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our statements are right, so the schema is not ours */
	case SQLITE_SCHEMA:
		return error_set(reterr, -BSI_E_STATE,
			"state file \"" LAYOUT_HISTORY "\": %s; move it away, and a new history begins",
			words);
	case SQLITE_FULL:
		return error_set(reterr, -ENOSPC, "the history cannot be written: %s", words);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(reterr, -BSI_E_BUSY, "the history is in use by another process");
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return error_set(reterr, -EROFS, "the history cannot be written: %s", words);
	default:
		return error_set(reterr, -EIO, "the history cannot be used: %s", words);
	}
}

/*
 * The name as it is. SQLite would resolve the link "/proc/self/fd/N" to a path, which in another
 * mount namespace, or below a folder that was moved, is somewhere else.
 */
static int keep_name(sqlite3_vfs *vfs, const char *name, int n_out, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)n_out, "%s", name) < n_out ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int register_vfs(void)
{
	static sqlite3_vfs verbatim; /* SQLite keeps the address until the process ends */
	const sqlite3_vfs *usual;

	if (sqlite3_vfs_find(VFS_NAME))
		return SQLITE_OK;
	usual = sqlite3_vfs_find(NULL);
	if (!usual)
		return SQLITE_ERROR;
	verbatim = *usual;
	verbatim.pNext = NULL;
	verbatim.zName = VFS_NAME;
	verbatim.xFullPathname = keep_name;
	return sqlite3_vfs_register(&verbatim, 0);
}

/* SQLite gives a journal the mode of its database, so this one is made with ours. */
static int make_file(const struct store *s, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;

	fd = file_open_beneath(s->dir_fd, LAYOUT_HISTORY, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	if (fd < 0)
		return error_set(reterr, fd, "the history cannot be opened: %s", error_text(fd));
	return 0;
}

static int open_database(const struct store *s, struct database *d, struct error *reterr)
{
	char path[64];
	int code;

	code = register_vfs();
	if (code != SQLITE_OK)
		return failed(NULL, code, reterr);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d/" LAYOUT_HISTORY, s->dir_fd);
	code = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE, VFS_NAME);
	if (code != SQLITE_OK)
		return failed(d->db, code, reterr);
	(void)sqlite3_extended_result_codes(d->db, 1);
	(void)sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS);
	code = sqlite3_exec(d->db, set_up, NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : failed(d->db, code, reterr);
}

static int prepare(const struct database *d, const char *sql, struct statement *st,
	struct error *reterr)
{
	int code = sqlite3_prepare_v2(d->db, sql, -1, &st->stmt, NULL);

	return code == SQLITE_OK ? 0 : failed(d->db, code, reterr);
}

/* The schema's version; 0 for a file in which nothing was ever committed. */
static int get_version(const struct database *d, int *ret, struct error *reterr)
{
	AUTO_DONE(statement) struct statement st = {NULL};
	int r, code;

	r = prepare(d, "PRAGMA user_version", &st, reterr);
	if (r < 0)
		return r;
	code = sqlite3_step(st.stmt);
	if (code != SQLITE_ROW)
		return failed(d->db, code, reterr);
	*ret = sqlite3_column_int(st.stmt, 0);
	if (*ret < 0 || *ret > SCHEMA_VERSION)
		return error_set(reterr, -BSI_E_VERSION,
			"state file \"" LAYOUT_HISTORY
			"\": schema version %d is not known here; a newer bsi may read it",
			*ret);
	return 0;
}

static int insert_event(const struct database *d, int64_t utc_s, const char *event,
	const char *letter, const char *detail, struct error *reterr)
{
	AUTO_DONE(statement) struct statement st = {NULL};
	int r, code;

	r = prepare(d, insert, &st, reterr);
	if (r < 0)
		return r;
	code = sqlite3_bind_int64(st.stmt, 1, utc_s);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st.stmt, 2, event, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st.stmt, 3, letter, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st.stmt, 4, detail, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(st.stmt);
	return code == SQLITE_DONE ? 0 : failed(d->db, code, reterr);
}

static int trim_events(const struct database *d, struct error *reterr)
{
	AUTO_DONE(statement) struct statement st = {NULL};
	int r, code;

	r = prepare(d, trim, &st, reterr);
	if (r < 0)
		return r;
	code = sqlite3_bind_int(st.stmt, 1, HISTORY_ROWS_MAX);
	if (code == SQLITE_OK)
		code = sqlite3_step(st.stmt);
	return code == SQLITE_DONE ? 0 : failed(d->db, code, reterr);
}

static int run(const struct database *d, const char *sql, struct error *reterr)
{
	int code = sqlite3_exec(d->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failed(d->db, code, reterr);
}

static int check_event(const char *event, const char *letter, const json_t *detail,
	struct error *reterr)
{
	size_t len = strspn(event, "abcdefghijklmnopqrstuvwxyz-");

	if (len == 0 || len > EVENT_MAX_BYTES || event[len] != '\0')
		return error_set(reterr, -EINVAL, "\"%s\" is no name of an event", event);
	if (letter && letter_check(letter) < 0)
		return error_set(reterr, -EINVAL, "\"%s\" is no letter", letter);
	if (detail && !json_is_object(detail))
		return error_set(reterr, -EINVAL, "the detail of an event has to be an object");
	return 0;
}

int store_history_add(struct store *s, int64_t utc_s, const char *event, const char *letter,
	const json_t *detail, struct error *reterr)
{
	AUTO_DONE(database) struct database d = {NULL};
	AUTO_FREE char *text = NULL;
	int r, version;

	r = check_event(event, letter, detail, reterr);
	if (r < 0)
		return r;
	if (detail) {
		text = json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS);
		if (!text)
			return -ENOMEM;
		if (strlen(text) > HISTORY_DETAIL_MAX_BYTES)
			return error_set(reterr, -BSI_E_LIMIT, "the detail of \"%s\" is too long",
				event);
	}
	r = make_file(s, reterr);
	if (r == 0)
		r = open_database(s, &d, reterr);
	if (r == 0)
		r = run(&d, "BEGIN IMMEDIATE", reterr);
	if (r == 0)
		r = get_version(&d, &version, reterr);
	if (r == 0 && version == 0)
		r = run(&d, schema, reterr);
	if (r == 0)
		r = insert_event(&d, utc_s, event, letter, text, reterr);
	if (r == 0)
		r = trim_events(&d, reterr);
	/* without it, closing the database takes everything back */
	return r == 0 ? run(&d, "COMMIT", reterr) : r;
}

static json_t *nullable(const unsigned char *text)
{
	return text ? json_string((const char *)text) : json_null();
}

static int read_row(sqlite3_stmt *row, json_t *array, struct error *reterr)
{
	const char *detail = (const char *)sqlite3_column_text(row, 4);
	struct utc_text utc = utc_format(sqlite3_column_int64(row, 1));
	AUTO_JSON json_t *o = NULL;
	json_t *parsed;

	parsed = detail ? json_loads(detail, JSON_REJECT_DUPLICATES, NULL) : json_null();
	if (!parsed)
		return error_set(reterr, -BSI_E_STATE,
			"state file \"" LAYOUT_HISTORY
			"\": a detail is not JSON; move it away, and a new history begins");
	o = json_pack("{s:I, s:s, s:o, s:o, s:o}", "id",
		(json_int_t)sqlite3_column_int64(row, 0), "utc", utc.text, "event",
		nullable(sqlite3_column_text(row, 2)), "letter",
		nullable(sqlite3_column_text(row, 3)), "detail", parsed);
	return o && json_array_append(array, o) == 0 ? 0 : -ENOMEM;
}

static int list_events(const struct database *d, unsigned limit, json_t *array,
	struct error *reterr)
{
	AUTO_DONE(statement) struct statement st = {NULL};
	int r, code;

	r = prepare(d, select_newest, &st, reterr);
	if (r < 0)
		return r;
	code = sqlite3_bind_int64(st.stmt, 1, limit);
	if (code != SQLITE_OK)
		return failed(d->db, code, reterr);
	while ((code = sqlite3_step(st.stmt)) == SQLITE_ROW) {
		r = read_row(st.stmt, array, reterr);
		if (r < 0)
			return r;
	}
	return code == SQLITE_DONE ? 0 : failed(d->db, code, reterr);
}

int store_history_list(struct store *s, unsigned limit, json_t **ret, struct error *reterr)
{
	AUTO_DONE(database) struct database d = {NULL};
	AUTO_JSON json_t *array = json_array();
	int r, version = 0;
	struct stat st;

	if (!array)
		return -ENOMEM;
	if (fstatat(s->dir_fd, LAYOUT_HISTORY, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		if (r != -ENOENT)
			return error_set(reterr, r, "the history cannot be opened: %s",
				error_text(r));
		*ret = take_ptr(array);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return error_set(reterr, -BSI_E_STATE,
			"state file \"" LAYOUT_HISTORY "\" is no file; move it away");
	r = open_database(s, &d, reterr);
	if (r == 0)
		r = get_version(&d, &version, reterr);
	if (r == 0 && version > 0)
		r = list_events(&d, limit, array, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(array);
	return 0;
}
