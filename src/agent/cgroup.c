/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/cgroup.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

/* What lies between two slashes, or two colons. */
struct part {
	const char *at;
	size_t len;
};

static bool part_is(struct part p, const char *text)
{
	return p.len == strlen(text) && memcmp(p.at, text, p.len) == 0;
}

static bool ends_in(struct part p, const char *suffix)
{
	size_t n = strlen(suffix);

	return p.len > n && memcmp(p.at + p.len - n, suffix, n) == 0;
}

/* systemd puts '_' before names that the kernel could take for files of its own. */
static struct part unescape(struct part p)
{
	if (p.len > 0 && *p.at == '_')
		return (struct part){.at = p.at + 1, .len = p.len - 1};
	return p;
}

/* The alphabet and length of systemd's unit names (systemd.unit(5)). */
static bool is_unit_name(struct part p)
{
	if (p.len == 0 || p.len >= CGROUP_UNIT_MAX || *p.at == '.')
		return false;
	for (size_t i = 0; i < p.len; i++)
		if (!isalnum((unsigned char)p.at[i]) && !memchr(":-_.\\@", p.at[i], 6))
			return false;
	return true;
}

static bool is_other_unit(struct part p)
{
	return ends_in(p, ".scope") || ends_in(p, ".socket") || ends_in(p, ".mount") ||
	       ends_in(p, ".swap");
}

/* "user-1000.slice" */
static bool is_slice_of_user(struct part p, uid_t *ret)
{
	const size_t before = strlen("user-"), after = strlen(".slice");
	uint64_t uid = 0;

	if (p.len <= before + after || p.len > before + after + 10 ||
		memcmp(p.at, "user-", before) != 0 || !ends_in(p, ".slice"))
		return false;
	for (size_t i = before; i < p.len - after; i++) {
		if (!isdigit((unsigned char)p.at[i]))
			return false;
		uid = uid * 10 + (uint64_t)(p.at[i] - '0');
	}
	if (uid >= UINT32_MAX)
		return false;
	*ret = (uid_t)uid;
	return true;
}

static bool next_part(struct part *rest, char separator, struct part *ret)
{
	const char *end;

	if (!rest->at)
		return false;
	end = memchr(rest->at, separator, rest->len);
	if (!end) {
		*ret = *rest;
		*rest = (struct part){0};
		return true;
	}
	*ret = (struct part){.at = rest->at, .len = (size_t)(end - rest->at)};
	rest->len -= ret->len + 1;
	rest->at = end + 1;
	return true;
}

/* The unit itself, after the slices that lead to it. */
static void take_unit(struct part name, bool is_session, struct cgroup *ret)
{
	if (is_session)
		ret->kind = CGROUP_SESSION;
	else if (part_is(name, CGROUP_INIT_UNIT))
		ret->kind = CGROUP_INIT;
	else if (ends_in(name, ".service"))
		ret->kind = CGROUP_SERVICE;
	else if (is_other_unit(name))
		ret->kind = CGROUP_UNIT;
	else
		return;
	memcpy(ret->unit, name.at, name.len);
	ret->unit[name.len] = '\0';
}

/* path begins with a slash. */
static void read_path(struct part path, struct cgroup *ret)
{
	struct part rest = {.at = path.at + 1, .len = path.len - 1}, name;
	bool is_session = false, is_first = true, is_user_slice = false;

	*ret = (struct cgroup){.kind = CGROUP_NONE, .user = (uid_t)-1};
	while (next_part(&rest, '/', &name)) {
		name = unescape(name);
		if (!is_unit_name(name))
			break;
		if (!ends_in(name, ".slice")) {
			take_unit(name, is_session, ret);
			ret->is_manager = ret->kind == CGROUP_SESSION && ends_in(name, ".service") &&
				next_part(&rest, '/', &name) && part_is(name, CGROUP_INIT_UNIT) && !rest.at;
			break;
		}
		if (is_first)
			is_user_slice = part_is(name, "user.slice");
		else if (is_user_slice && !is_session)
			is_session = is_slice_of_user(name, &ret->user);
		is_first = false;
	}
	if (ret->kind != CGROUP_SESSION)
		ret->user = (uid_t)-1;
}

/* "0::/path", or "7:name=systemd:/path" */
static bool split_line(struct part line, struct part *id, struct part *controllers, struct part *path)
{
	if (!next_part(&line, ':', id) || !next_part(&line, ':', controllers) || !line.at)
		return false;
	*path = line;
	if (id->len == 0 || path->len == 0 || *path->at != '/')
		return false;
	for (size_t i = 0; i < id->len; i++)
		if (!isdigit((unsigned char)id->at[i]))
			return false;
	return true;
}

int cgroup_parse(const char *text, size_t len, struct cgroup *ret)
{
	struct part rest = {.at = len > 0 ? text : NULL, .len = len}, line;
	struct cgroup unified = {.user = (uid_t)-1}, named = {.user = (uid_t)-1};

	if (len > CGROUP_TEXT_MAX_BYTES || (len > 0 && memchr(text, '\0', len)))
		return -BSI_E_FORMAT;
	while (next_part(&rest, '\n', &line)) {
		struct part id, controllers, path;

		if (line.len == 0 && !rest.at)
			break; /* behind the last newline */
		if (!split_line(line, &id, &controllers, &path))
			return -BSI_E_FORMAT;
		if (part_is(id, "0") && controllers.len == 0)
			read_path(path, &unified);
		else if (part_is(controllers, "name=systemd"))
			read_path(path, &named);
	}
	*ret = unified.kind != CGROUP_NONE ? unified : named;
	return 0;
}
