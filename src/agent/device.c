/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/packages.h"
#include "base/bytes.h"
#include "base/file.h"
#include "improvement/base_id.h"
#include "improvement/os_release.h"

void device_free(struct device *d)
{
	if (!d)
		return;
	free(d->base);
	free(d->name);
	free(d);
}

/* os-release(5): /etc first, /usr/lib where that is missing. */
static int read_os_release(int root_fd, struct buffer *out)
{
	static const char *const places[] = {"etc/os-release", "usr/lib/os-release"};
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(places) && r == -ENOENT; i++) {
		AUTO_CLOSE int fd = -EBADF;

		/* /etc/os-release is a symlink; its target is opened inside the root */
		fd = file_open_in_root_following(root_fd, places[i], O_RDONLY);
		r = fd < 0 ? fd : file_read_fd(fd, OS_RELEASE_MAX_BYTES, out);
	}
	return r;
}

/* "Debian GNU/Linux" and "12" make the name; PRETTY_NAME carries code names and point releases. */
static int make_name(const struct buffer *text, char **ret)
{
	AUTO_FREE char *name = NULL, *version = NULL;
	int r;

	r = os_release_get(text->data, text->len, "NAME", &name);
	if (r == 0)
		r = os_release_get(text->data, text->len, "VERSION_ID", &version);
	if (r < 0)
		return r;
	return asprintf(ret, "%s %s", name, version) < 0 ? -ENOMEM : 0;
}

int device_read(int root_fd, struct device **ret, struct error *reterr)
{
	AUTO(device) struct device *d = calloc(1, sizeof *d);
	AUTO_DONE(buffer) struct buffer text = buffer_of(OS_RELEASE_MAX_BYTES);
	AUTO_FREE char *arch = NULL;
	struct utsname uts;
	int r;

	if (!d)
		return -ENOMEM;
	r = read_os_release(root_fd, &text);
	if (r < 0)
		return error_set(reterr, -BSI_E_BASE,
			"/etc/os-release: %s; without it nobody knows which base this is",
			error_text(r));
	r = packages_architecture(root_fd, &arch);
	if (r == -ENOENT && uname(&uts) == 0)
		r = (arch = strdup(base_id_arch(uts.machine))) ? 0 : -ENOMEM;
	if (r < 0)
		return error_set(reterr, r, "the architecture of this system: %s", error_text(r));
	r = base_id_from_os_release(text.data, text.len, arch, &d->base, reterr);
	if (r < 0)
		return r;
	r = make_name(&text, &d->name);
	if (r < 0)
		return error_set(reterr, -BSI_E_BASE, "/etc/os-release has no NAME and VERSION_ID");
	*ret = take_ptr(d);
	return 0;
}
