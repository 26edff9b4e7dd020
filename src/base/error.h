/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One signed space for results: 0 or positive is success, -1..-1023 is an errno of the kernel or
 * libc passed up unchanged, -1024 and below is a verdict of ours (-BSI_E_*). So a kernel's EBADMSG
 * and "the signature is wrong" never look alike in a report.
 *
 * struct error carries the words for a person beside the code: the object, the reason and, where
 * there is one, the next step.
 */
#include <stddef.h>

#include "base/compiler.h"

#define ERROR_TEXT_MAX 768

enum bsi_error {
	BSI_E_FORMAT = 1024, /* bytes that do not follow their format */
	BSI_E_LIMIT,         /* a size, count, depth or time beyond what is allowed */
	BSI_E_VERSION,       /* a format version that is not known here */
	BSI_E_SIGNATURE,     /* a signature that does not verify, or a key that is no key */
	BSI_E_THRESHOLD,     /* too few valid signatures */
	BSI_E_EXPIRED,       /* signed metadata past its time */
	BSI_E_ROLLBACK,      /* something older than what was seen before */
	BSI_E_DIGEST,        /* bytes that are not the bytes that were signed */
	BSI_E_UNSEALED,      /* an image whose seal is missing or another one */
	BSI_E_PATH,          /* a path that leaves its root or is malformed */
	BSI_E_BASE,          /* made for another base or architecture */
	BSI_E_MISMATCH,      /* base files that match no base set */
	BSI_E_HELD,          /* available, and not taken now */
	BSI_E_BUSY,          /* another process is at work */
	BSI_E_ENROL,         /* not enrolled, or enrolled already */
	BSI_E_TRANSFER,      /* the network, the server, or what it sent */
	BSI_E_MISSING,       /* the repository does not have it (404) */
	BSI_E_WITHDRAWN,     /* the publisher took it back */
	BSI_E_DENIED,        /* refused here: it failed before, or the owner removed it */
	BSI_E_UNSUPPORTED,   /* this kernel or file system cannot */
	BSI_E_PRIVILEGE,     /* needs root */
	BSI_E_USAGE,         /* a command line that makes no sense */
	BSI_E_STATE,         /* our own state on disk is damaged */
	BSI_E_REFUSED,       /* the planner refuses to publish this */
	BSI_E_SETUP,         /* the system is not set up for improvements */
	BSI_E_WORKER,        /* a process without rights ended before its work was done */
	BSI_E_MAX,
};

struct error {
	int code;
	char text[ERROR_TEXT_MAX];
};

/*
 * Fill *e (may be NULL) with the code and words, and return the code. The words are cleaned
 * (base/text.h), so text from outside may be passed as an argument.
 */
int error_set(struct error *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Put "prefix: " before the words of *e (may be NULL), keeping its code. It returns nothing: what
 * failed has its own code, whether or not somebody wanted words.
 */
void error_prefix(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Words for a code alone; never NULL. */
const char *error_text(int code);

/* Stable identifier of a code, for logs and JSON: "rollback", "digest", "errno-28". */
void error_id(int code, char *out, size_t out_len);

/* Exit status for a code, as documented in bsi(1) and bsi-publish(1). 0 for success. */
int error_exit_status(int code);
