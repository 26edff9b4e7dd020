/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The name of a base: ID:VERSION_ID[:IMAGE_VERSION or BUILD_ID]:ARCH, so "debian:12:amd64". It
 * names a TUF role and a folder of targets, so its alphabet holds nothing that a path, a URL or a
 * shell reads. What a device really has is proved by digests, never by this name.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

/* With ".json" behind it the name still is a file name (255 bytes). */
#define BASE_ID_MAX_BYTES 200
#define BASE_ID_PART_MAX_BYTES 64

/* Heap text; image is NULL where the base has no fourth part. */
struct base_id {
	char *id, *version, *image, *arch;
};

/*
 * Parts are 1..64 bytes: id and arch of [a-z0-9._-], version and image of [A-Za-z0-9._+~^-], each
 * beginning with a letter or digit. -BSI_E_FORMAT otherwise; *ret is set on success only.
 */
int base_id_parse(const char *text, struct base_id **ret) MUST_CHECK;
/* The text of a base id; free() ends it. -BSI_E_FORMAT when a part breaks the rules above. */
int base_id_format(const struct base_id *base, char **ret) MUST_CHECK;
void base_id_free(struct base_id *base);
DEFINE_FREEP(base_id)

/* Whether base_id_parse() would accept the text: 0 or -BSI_E_FORMAT. */
int base_id_check(const char *text) MUST_CHECK;

/*
 * The base id of a system from the text of its os-release and its architecture as packages name
 * it. -BSI_E_BASE with words when ID or VERSION_ID is missing or does not fit the rules. free()
 * ends *ret.
 */
int base_id_from_os_release(const void *text, size_t len, const char *arch, char **ret,
	struct error *reterr) MUST_CHECK;

/*
 * The packages' name for a machine as uname(2) calls it: "x86_64" -> "amd64"; a machine that the
 * table does not know is returned as it is. Static text, or the argument.
 */
const char *base_id_arch(const char *machine);

/*
 * The TUF target path of a name below the base's folder: "debian:12:amd64/index.json". -BSI_E_PATH
 * unless name is one path component as target_name_check() accepts it. free() ends *ret.
 */
int base_id_target(const char *base, const char *name, char **ret) MUST_CHECK;

/*
 * The last part of a target path, as manifests and indexes carry it: 1..200 bytes of
 * [A-Za-z0-9._-], not beginning with '.'. 0 or -BSI_E_PATH.
 */
int target_name_check(const char *name) MUST_CHECK;
