/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct verdict {
	const char *id;
	const char *text;
	int exit_status;
};

enum exit_status {
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_USAGE = 2,
	EXIT_STATUS_PRIVILEGE = 3,
	EXIT_STATUS_ENROL = 4,
	EXIT_STATUS_BUSY = 5,
	EXIT_STATUS_TRUST = 6,
	EXIT_STATUS_TRANSFER = 7,
	EXIT_STATUS_SPACE = 8,
	EXIT_STATUS_BASE = 9,
	EXIT_STATUS_HELD = 10,
	EXIT_STATUS_UNSUPPORTED = 11,
	EXIT_STATUS_STATE = 12,
	EXIT_STATUS_REFUSED = 13,
};

#define VERDICT(code) [BSI_E_##code - BSI_E_FORMAT]

static const struct verdict verdicts[] = {
	VERDICT(FORMAT) = {"format", "not in the expected format", EXIT_STATUS_TRUST},
	VERDICT(LIMIT) = {"limit", "beyond the allowed limit", EXIT_STATUS_TRUST},
	VERDICT(VERSION) = {"version", "format version not known here", EXIT_STATUS_TRUST},
	VERDICT(SIGNATURE) = {"signature", "signature or key not valid", EXIT_STATUS_TRUST},
	VERDICT(THRESHOLD) = {"threshold", "too few valid signatures", EXIT_STATUS_TRUST},
	VERDICT(EXPIRED) = {"expired", "signed metadata has expired", EXIT_STATUS_TRUST},
	VERDICT(ROLLBACK) = {"rollback", "older than what was seen before", EXIT_STATUS_TRUST},
	VERDICT(DIGEST) = {"digest", "not the bytes that were signed", EXIT_STATUS_TRUST},
	VERDICT(UNSEALED) = {"unsealed", "the seal is missing or wrong", EXIT_STATUS_TRUST},
	VERDICT(PATH) = {"path", "path leaves its root or is malformed", EXIT_STATUS_TRUST},
	VERDICT(BASE) = {"base", "made for another base", EXIT_STATUS_BASE},
	VERDICT(MISMATCH) = {"mismatch", "the files here match no base set", EXIT_STATUS_BASE},
	VERDICT(HELD) = {"held", "held back", EXIT_STATUS_HELD},
	VERDICT(BUSY) = {"busy", "another process is at work", EXIT_STATUS_BUSY},
	VERDICT(ENROL) = {"enrol", "enrolment missing or already there", EXIT_STATUS_ENROL},
	VERDICT(TRANSFER) = {"transfer", "transfer failed", EXIT_STATUS_TRANSFER},
	VERDICT(MISSING) = {"missing", "not in the repository", EXIT_STATUS_TRANSFER},
	VERDICT(WITHDRAWN) = {"withdrawn", "withdrawn by the publisher", EXIT_STATUS_HELD},
	VERDICT(DENIED) = {"denied", "refused on this device", EXIT_STATUS_HELD},
	VERDICT(UNSUPPORTED) = {"unsupported", "not possible on this system", EXIT_STATUS_UNSUPPORTED},
	VERDICT(PRIVILEGE) = {"privilege", "needs root", EXIT_STATUS_PRIVILEGE},
	VERDICT(USAGE) = {"usage", "command line not understood", EXIT_STATUS_USAGE},
	VERDICT(STATE) = {"state", "the state on disk is damaged", EXIT_STATUS_STATE},
	VERDICT(REFUSED) = {"refused", "refused by the planner", EXIT_STATUS_REFUSED},
	VERDICT(SETUP) = {"setup", "the system is not set up for it", EXIT_STATUS_FAILED},
	VERDICT(WORKER) = {"worker", "a worker ended before its work was done", EXIT_STATUS_FAILED},
};
_Static_assert(ARRAY_SIZE(verdicts) == BSI_E_MAX - BSI_E_FORMAT, "a verdict for each code");

static const struct verdict *verdict_of(int code)
{
	if (code > -BSI_E_FORMAT || code <= -BSI_E_MAX)
		return NULL;
	return &verdicts[-code - BSI_E_FORMAT];
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
	va_list args;

	if (!e)
		return code;

	e->code = code;
	va_start(args, fmt);
	(void)vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	text_clean(e->text);
	return code;
}

void error_prefix(struct error *e, const char *fmt, ...)
{
	char prefix[ERROR_TEXT_MAX], rest[ERROR_TEXT_MAX];
	va_list args;
	size_t prefix_len, rest_len;

	if (!e)
		return;

	va_start(args, fmt);
	(void)vsnprintf(prefix, sizeof prefix, fmt, args);
	va_end(args);
	text_clean(prefix);

	memcpy(rest, e->text, sizeof rest);
	prefix_len = strlen(prefix);
	rest_len = strlen(rest);
	if (prefix_len + 2 + rest_len >= sizeof e->text)
		return; /* the reason matters more than where it was met */

	memcpy(e->text, prefix, prefix_len);
	memcpy(e->text + prefix_len, ": ", 2);
	memcpy(e->text + prefix_len + 2, rest, rest_len + 1);
}

const char *error_text(int code)
{
	const struct verdict *v = verdict_of(code);
	const char *words;

	if (v)
		return v->text;
	if (code >= 0)
		return "success";
	words = strerrordesc_np(-code);
	return words ? words : "unknown error";
}

void error_id(int code, char *out, size_t out_len)
{
	const struct verdict *v = verdict_of(code);

	if (code >= 0)
		(void)snprintf(out, out_len, "ok");
	else if (v)
		(void)snprintf(out, out_len, "%s", v->id);
	else
		(void)snprintf(out, out_len, "errno-%d", -code);
}

int error_exit_status(int code)
{
	const struct verdict *v = verdict_of(code);

	if (code >= 0)
		return 0;
	if (v)
		return v->exit_status;
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
		return EXIT_STATUS_SPACE;
	case EPERM:
	case EACCES:
		return EXIT_STATUS_PRIVILEGE;
	default:
		return EXIT_STATUS_FAILED;
	}
}
