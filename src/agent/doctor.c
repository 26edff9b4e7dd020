/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether this system is set up so that an improvement comes back after a boot, and package managers
 * work below it. Reads files of the device, and nothing of the network.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/context.h"
#include "agent/sealing.h"
#include "base/file.h"
#include "graft/mount_table.h"
#include "graft/state.h"

#define CONFIG_MAX_BYTES (64U << 10)

struct check {
	const char *name;
	const char *needed_by; /* a file without which nobody needs this; NULL: always */
	const char *path;      /* below the root */
	const char *text;      /* what it has to hold; NULL: it has to be there */
	const char *remedy;    /* what is wrong without it, and what to do */
};

static const struct check checks[] = {
	{"apt", "usr/bin/apt-get", "etc/apt/apt.conf.d/50bsi", "Dir::Bin::dpkg",
		"apt takes everything off while it works: install the package bsi, or run "
		"'systemd-tmpfiles --create bsi.conf'"},
	{"dpkg-before", "usr/bin/dpkg", "etc/dpkg/dpkg.cfg.d/bsi", "\npre-invoke=",
		"dpkg stops at a file on which an improvement is attached: install the package bsi"},
	{"dpkg-after", "usr/bin/dpkg", "etc/dpkg/dpkg.cfg.d/bsi", "\npost-invoke=",
		"what dpkg took off stays off until the next run: install the package bsi"},
	{"boot", "usr/bin/systemctl", "etc/systemd/system/sysinit.target.wants/bsi-boot.service", NULL,
		"nothing is attached at boot: 'systemctl enable bsi-boot.service'"},
	{"timer", "usr/bin/systemctl", "etc/systemd/system/timers.target.wants/bsi.timer", NULL,
		"nobody looks for news: 'systemctl enable --now bsi.timer', or run 'bsi run' from cron"},
};

/*
 * Package managers that have no hook of ours: where their database is, they change files. The base
 * view is what they have to work in.
 */
struct stranger {
	const char *name, *database;
};

static const struct stranger strangers[] = {
	{"rpm", "var/lib/rpm/rpmdb.sqlite"},
	{"rpm", "var/lib/rpm/Packages"},
	{"rpm", "usr/lib/sysimage/rpm/rpmdb.sqlite"},
	{"pacman", "var/lib/pacman/local"},
	{"apk", "lib/apk/db/installed"},
	{"xbps", "var/db/xbps"},
	{"portage", "var/db/pkg"},
};

/* A symbolic link is enough where nothing has to be read: a unit may lie in another tree. */
static bool is_there(int root_fd, const char *path)
{
	AUTO_CLOSE int fd = file_open_in_root(root_fd, path, O_PATH | O_NOFOLLOW);

	return fd >= 0;
}

static bool holds(int root_fd, const char *path, const char *text)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(CONFIG_MAX_BYTES);
	AUTO_CLOSE int fd = file_open_in_root_following(root_fd, path, O_RDONLY | O_NONBLOCK);

	/* a line end before the first line, so that one can look for the start of a line */
	buffer_put_u8(&bytes, '\n');
	if (fd < 0 || file_read_fd(fd, CONFIG_MAX_BYTES - 2, &bytes) < 0)
		return false;
	buffer_put_u8(&bytes, '\0');
	return bytes.err == 0 && strstr((const char *)bytes.data, text) != NULL;
}

static int add(json_t *list, const char *name, bool is_well, const char *text)
{
	return json_array_append_new(list, json_pack("{s:s, s:b, s:s?}", "name", name, "well", is_well,
						   "problem", is_well ? NULL : text)) < 0
		       ? -ENOMEM
		       : 0;
}

static int check_files(int root_fd, json_t *list)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(checks); i++) {
		const struct check *c = &checks[i];

		if (c->needed_by && !is_there(root_fd, c->needed_by))
			continue;
		r = add(list, c->name,
			c->text ? holds(root_fd, c->path, c->text) : is_there(root_fd, c->path),
			c->remedy);
	}
	return r;
}

static int check_strangers(int root_fd, json_t *list)
{
	const struct stranger *found = NULL;
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(strangers) && !found; i++)
		if (is_there(root_fd, strangers[i].database))
			found = &strangers[i];
	if (!found)
		return 0;
	(void)snprintf(text, sizeof text,
		"%s keeps a database here (/%s), and has no hook of bsi: it stops at a file on which "
		"an improvement is attached. Run it as 'bsi base --follow -- COMMAND', then 'bsi "
		"attach'; what it replaces wins, and the next 'bsi run' looks as well",
		found->name, found->database);
	return add(list, "packages", false, text);
}

/* Whether what is mounted on the host's /usr reaches the sandboxes that exist. */
static int check_propagation(const struct graft_host *host, json_t *list, struct error *reterr)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	const struct mount_row *row;
	char root[PATH_MAX], usr[PATH_MAX + sizeof "/usr"], text[512];
	int r = graft_state_table(host, &table, root, reterr);

	if (r < 0)
		return r;
	(void)snprintf(usr, sizeof usr, "%s/usr", root);
	row = mount_table_resolve(table, usr);
	if (!row)
		return 0;
	(void)snprintf(text, sizeof text,
		"the mount on %s is not shared: services and programs in a mount namespace of their "
		"own keep the files that they started with until they are restarted, and so does "
		"'bsi exposure' say. systemd makes it shared at boot; 'mount --make-rshared /' does "
		"it until the next", row->point);
	return add(list, "propagation", row->shared, text);
}

int agent_doctor(struct agent *a, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *list = json_array();
	char unsealable[FIT_PROBLEM_MAX];
	struct error why = {0};
	struct graft_host host;
	int r;

	if (!list)
		return -ENOMEM;
	r = add(list, "mounts", context_check_mounts(a, &why) == 0, why.text);
	if (r == 0 && context_host(a, &host, NULL) == 0)
		r = check_propagation(&host, list, reterr);
	if (r == 0)
		r = sealing_look(a, unsealable, reterr);
	if (r == 0 && sealing_is_required(a))
		r = add(list, "seal", unsealable[0] == '\0', unsealable);
	if (r == 0)
		r = check_files(a->root_fd, list);
	if (r == 0)
		r = check_strangers(a->root_fd, list);
	if (r < 0)
		return error_set(reterr, r, "%s", error_text(r));
	*ret = json_pack("{s:O}", "checks", list);
	return *ret ? 0 : -ENOMEM;
}
