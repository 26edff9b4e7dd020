/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The signed description of one improvement for one base: each component with the files it
 * replaces, the states of a base that it fits, its image and the payloads that make the image.
 * Whoever holds the bytes has verified them already; the decoder enforces every rule all the same,
 * before anything is assigned. Format, limits, rules: docs/formats/manifest.md.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "improvement/access.h"

/* The tree that a parser makes of 4 MiB stays below half of the device's memory bar. */
#define MANIFEST_MAX_BYTES (4U << 20)
#define MANIFEST_COMPONENTS_MAX 64
#define MANIFEST_PACKAGES_MAX 256 /* of a component */
#define MANIFEST_FROM_MAX 64	  /* versions of a package that the base sets hold */
#define MANIFEST_CVES_MAX 1024	  /* of a component */
#define MANIFEST_PAYLOADS_MAX 64  /* of a component */
#define MANIFEST_FILES_MAX 1024	  /* of a component; each is a mount, design: near 40 */
#define MANIFEST_FILES_TOTAL_MAX 4096
#define MANIFEST_SETS_MAX 64 /* of a component */
#define MANIFEST_NAME_MAX_BYTES 128 /* names of bases, components, packages, sets */
#define MANIFEST_TEXT_MAX_BYTES 4096
#define MANIFEST_FILE_MAX_BYTES ((uint64_t)8 << 30)
#define MANIFEST_IMAGE_MAX_BYTES ((uint64_t)16 << 30)
#define MANIFEST_BUILD_MAX ((uint64_t)1 << 53) /* the integers that every JSON reader keeps */

#define MANIFEST_SALT_BYTES 32
#define PAYLOAD_KIND_FULL "full"
#define PAYLOAD_KIND_DELTA "delta"

enum activation {
	ACTIVATION_LIVE, /* old and new may run side by side */
	ACTIVATION_IDLE, /* only while no process maps it */
	ACTIVATION_BOOT, /* only by the boot unit */
	ACTIVATION_MAX,
};

/* One file that is replaced. The order of files is the attach order: providers before users. */
struct patched_file {
	char *path; /* below usr/ or opt/, as path_check() accepts it */
	struct file_access access;
	uint64_t size;
	struct digest digest; /* of the patched content */
	bool privileged;      /* setuid, setgid or file capabilities: mounted without nosuid */
};

/*
 * A file in one state of a base; not present means that the state does not have the file, and all
 * else is zero.
 */
struct set_file {
	bool present;
	struct digest digest;
	struct file_access access;
};

struct base_set {
	char *name;		/* says which state, e.g. the package's version */
	struct set_file *files; /* n_files of the component, same order */
};

/* One way to make the image. Kinds and versions that a device does not know are passed over. */
struct payload {
	char *kind; /* "full", ... */
	uint64_t version;
	char *target; /* name below BASE/, see base_id_target() */
	uint64_t size;
	struct digest digest; /* of the payload's bytes, again beside what TUF lists */
	uint64_t memory_bytes; /* what decoding needs at most */
	char *set;	       /* the base set that it needs; NULL for a full one */
};

struct image_ref {
	struct digest digest; /* SHA-256 of the whole file, which is its name */
	uint64_t size;
	struct digest root; /* root of the hash tree */
	uint8_t salt[MANIFEST_SALT_BYTES];
	uint64_t tree_offset; /* where the hash tree's superblock begins */
	struct digest fs_verity; /* what fs-verity says of the whole file (image/file_seal.h) */
};

struct package_change {
	char *name;
	char **from; /* versions in the base sets */
	size_t n_from;
	char *to; /* the version that brings the fix */
};

struct component {
	char *name; /* [a-z0-9.+-], beginning with a letter or digit */
	enum activation activation;
	struct package_change *packages;
	size_t n_packages;
	char **cves; /* "CVE-2026-1234", what the publisher confirmed */
	size_t n_cves;
	struct image_ref image;
	struct payload *payloads;
	size_t n_payloads;
	struct patched_file *files;
	size_t n_files;
	struct base_set *sets;
	size_t n_sets;
};

struct manifest {
	char *base; /* base id */
	char *name; /* for people: "Debian GNU/Linux 12" */
	char *letter;
	uint64_t build; /* 1 and up, only grows within a base */
	int64_t issued_utc_s;
	char *severity; /* one of manifest_severities; NULL is encoded as "unspecified" */
	char *text;	/* for people, may be empty; NULL is encoded as "" */
	struct component *components;
	size_t n_components;
};

/* "unspecified", "low", "medium", "high", "critical", NULL. */
extern const char *const manifest_severities[];

/*
 * Bytes to struct. Every rule and limit of docs/formats/manifest.md is checked first; *ret is set
 * on success only. -BSI_E_FORMAT, -BSI_E_LIMIT, -BSI_E_VERSION, -BSI_E_PATH, -ENOMEM; the words
 * name the component and member.
 */
int manifest_decode(const void *data, size_t len, struct manifest **ret, struct error *reterr)
	MUST_CHECK;

/*
 * Struct to canonical bytes, appended to *out, whose cap should be MANIFEST_MAX_BYTES. What the
 * decoder would refuse is refused here with the same words. The same manifest gives the same bytes.
 */
int manifest_encode(const struct manifest *m, struct buffer *out, struct error *reterr) MUST_CHECK;

/* Every rule, over a struct that somebody filled in. */
int manifest_check(const struct manifest *m, struct error *reterr) MUST_CHECK;

void manifest_free(struct manifest *m);
DEFINE_FREEP(manifest)

/* The component of that name, or NULL. Borrowed. */
const struct component *manifest_component(const struct manifest *m, const char *name);

/* The payload of that kind and version for a base set (NULL: one that needs none), or NULL. */
const struct payload *component_payload(const struct component *c, const char *kind,
	uint64_t version, const char *set);

/* "live", "idle", "boot". */
const char *activation_text(enum activation activation);
int activation_parse(const char *text, enum activation *ret) MUST_CHECK;
