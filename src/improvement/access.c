/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/access.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

const char *const access_attribute_names[ACCESS_ATTRIBUTE_MAX] = {
	[ACCESS_CAPABILITIES] = "security.capability",
	[ACCESS_ACL] = "system.posix_acl_access",
};

int access_set_attributes(struct file_access *access,
	const struct access_value values[static ACCESS_ATTRIBUTE_MAX])
{
	/* the values, and some bytes around each */
	AUTO_DONE(buffer) struct buffer all =
		buffer_of(ACCESS_ATTRIBUTE_MAX * ((size_t)ACCESS_ATTRIBUTE_MAX_BYTES + 64));

	access->has_attributes = false;
	access->attributes = (struct digest){0};
	for (size_t i = 0; i < ACCESS_ATTRIBUTE_MAX; i++) {
		if (!values[i].data)
			continue;
		if (values[i].len > ACCESS_ATTRIBUTE_MAX_BYTES)
			return -BSI_E_LIMIT;
		buffer_put(&all, access_attribute_names[i], strlen(access_attribute_names[i]) + 1);
		buffer_put_u32le(&all, (uint32_t)values[i].len);
		buffer_put(&all, values[i].data, values[i].len);
		access->has_attributes = true;
	}
	if (all.err < 0 || !access->has_attributes)
		return all.err;
	return digest_of(all.data, all.len, &access->attributes);
}

static bool are_attributes_equal(const struct file_access *a, const struct file_access *b)
{
	return a->has_attributes == b->has_attributes &&
	       (!a->has_attributes || digest_equal(&a->attributes, &b->attributes));
}

bool access_equal(const struct file_access *a, const struct file_access *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode &&
	       are_attributes_equal(a, b);
}

/* Owner and group first: changing them clears setuid bits and capabilities, so they go back first. */
struct access_text access_explain(const struct file_access *here, const struct file_access *base)
{
	struct access_text t = {""};

	if (here->uid != base->uid)
		(void)snprintf(t.text, sizeof t.text,
			"owned by user %u here, %u in the base it was made for: the owner changed it, "
			"or numbers users otherwise; to have the fix, chown %u or update its package",
			here->uid, base->uid, base->uid);
	else if (here->gid != base->gid)
		(void)snprintf(t.text, sizeof t.text,
			"owned by group %u here, %u in the base it was made for: the owner changed it, "
			"or numbers groups otherwise; to have the fix, chgrp %u or update its package",
			here->gid, base->gid, base->gid);
	else if (here->mode != base->mode)
		(void)snprintf(t.text, sizeof t.text,
			"mode %04o here, %04o in the base it was made for: the owner changed it; to "
			"have the fix, chmod %04o or update its package",
			here->mode, base->mode, base->mode);
	else if (!are_attributes_equal(here, base))
		(void)snprintf(t.text, sizeof t.text,
			"%s here, %s in the base it was made for: the owner changed it; to have the "
			"fix, %s",
			here->has_attributes ? "file capabilities or an ACL"
					     : "neither file capabilities nor an ACL",
			!base->has_attributes ? "none" : here->has_attributes ? "others" : "some",
			base->has_attributes ? "reinstall or update its package"
					     : "setcap -r and setfacl -b, or update its package");
	return t;
}
