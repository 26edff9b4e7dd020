/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Who may do what with a file, as its inode says: owner, group, permission bits, file capabilities
 * and ACL. The owner of a device may change all of that without touching a byte of the file. What
 * else an inode carries (labels, user.*) gives nobody access, or follows the device's own policy.
 * Rules: docs/formats/manifest.md, "Access".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/digest.h"

#define ACCESS_ATTRIBUTE_MAX_BYTES 65536U /* the kernel's XATTR_SIZE_MAX */
#define ACCESS_ID_MAX (UINT32_MAX - 1)	  /* the highest user or group id: above it is "none" */

enum access_attribute {
	ACCESS_CAPABILITIES,
	ACCESS_ACL,
	ACCESS_ATTRIBUTE_MAX,
};

struct file_access {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits alone, 07777 */
	bool has_attributes;
	struct digest attributes; /* all zero where there are none */
};

/* The value of an extended attribute; NULL where the file does not have it. Borrowed. */
struct access_value {
	const uint8_t *data;
	size_t len;
};

/* Names of the extended attributes, by enum access_attribute. */
extern const char *const access_attribute_names[ACCESS_ATTRIBUTE_MAX];

/*
 * Fill has_attributes and attributes.
 *
 * @values  by enum access_attribute, in the form that getxattr() gives
 *
 * -BSI_E_LIMIT for a value that no file can have, -ENOMEM, -EIO.
 */
int access_set_attributes(struct file_access *access,
	const struct access_value values[static ACCESS_ATTRIBUTE_MAX]) MUST_CHECK;

bool access_equal(const struct file_access *a, const struct file_access *b);

#define ACCESS_TEXT_MAX 200

/*
 * The first difference for a person, with what takes it away: "mode 0755 here, 4755 in the base that
 * it was made for: ...". The text is empty where there is none.
 */
struct access_text {
	char text[ACCESS_TEXT_MAX];
};
struct access_text access_explain(const struct file_access *here, const struct file_access *base);
