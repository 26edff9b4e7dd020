/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-delta(1): a new file or tree as what it differs from an old one by. */
#include "cmd/bsi-delta.h"

#include <signal.h>

static const struct verb_option encode_options[] = {
	{"threads", VERB_VALUE, "N", "plan N files at a time (as many as there are processors)"},
	{0},
};

static const struct verb_option apply_options[] = {
	{"memory", VERB_VALUE, "MIB", "refuse a delta that needs more memory (4096)"},
	{0},
};

static const struct verb_option info_options[] = {
	{"old", VERB_VALUE, "OLD", "decode against OLD, and show where the bytes go"},
	{"equivalent", VERB_FLAG, NULL, "say whether NEW is OLD rebuilt, or what differs first"},
	{0},
};

static const struct verb verbs[] = {
	{"encode", "OLD NEW DELTA", 3, 3, "make a delta of two files or two directories",
		encode_options, delta_verb_encode},
	{"apply", "OLD DELTA NEW", 3, 3, "make NEW out of OLD and a delta", apply_options,
		delta_verb_apply},
	{"info", "DELTA | --equivalent OLD NEW", 1, 2, "show what a delta needs and makes", info_options,
		delta_verb_info},
	{"bench", "OLD NEW", 2, 2, "encode, decode, compare; sizes and times", encode_options,
		delta_verb_bench},
	{0},
};

static const struct verb_option options[] = {
	{"json", VERB_FLAG, NULL, "print the result as JSON"},
	{0},
};

static const struct program program = {
	.name = "bsi-delta",
	.summary = "Make and apply deltas of files and directories; programs and libraries above all.",
	.manual = "bsi-delta(1)",
	.verbs = verbs,
	.options = options,
};

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return program_main(&program, argc, argv);
}
