/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish(1): from packages to a folder of signed static files. */
#include "cmd/bsi-publish.h"

#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const struct verb_option init_options[] = {
	{"base", VERB_VALUES, "ID[=NAME]", "a base, such as debian:12:amd64; may be given again"},
	{"threshold", VERB_VALUE, "N", "signatures that each offline role needs (1)"},
	{"key-count", VERB_VALUE, "N", "keys of each offline role (as many as the threshold)"},
	{0},
};

static const struct verb_option extend_options[] = {
	{"base", VERB_VALUE, "ID[=NAME]", "the new base"},
	{"threshold", VERB_VALUE, "N", "signatures that its role needs (1)"},
	{"key-count", VERB_VALUE, "N", "keys of its role (as many as the threshold)"},
	{0},
};

#define PLAN_OPTIONS                                                                               \
	{"base", VERB_VALUE, "ID", "the base that is patched"},                                    \
		{"from", VERB_VALUES, "BASE",                                                      \
			"a state that devices are in: a root tree, a folder of .deb files, or "    \
			".deb files joined by commas"},                                            \
		{"to", VERB_VALUE, "PATCHED", "the patched state, likewise"},                      \
		{"component", VERB_VALUES, "NAME=GLOB",                                            \
			"put packages into a component; others are left out then"},                \
		{"activation", VERB_VALUES, "NAME=HOW", "live, idle or boot, over the proposal"},  \
		{"leave-out", VERB_VALUES, "GLOB", "leave changed files out, such as '/etc/*'"},   \
		{"include-docs", VERB_FLAG, NULL, "take documentation and locales into images"},   \
		{"keep-equivalent", VERB_FLAG, NULL,                                               \
			"take rebuilt files without a change into images"},                        \
		{"cve", VERB_VALUES, "[NAME=]ID", "confirm: signed as fixed"},                     \
		{"no-cve", VERB_VALUES, "[NAME=]ID", "not fixed, whatever a changelog says"},      \
		{"cve-file", VERB_VALUE, "FILE", "ids to confirm, one a line"},                    \
	{                                                                                          \
		"cve-named", VERB_FLAG, NULL, "confirm all that are named without a doubt"         \
	}

static const struct verb_option plan_options[] = {
	PLAN_OPTIONS,
	{0},
};

static const struct verb_option add_options[] = {
	PLAN_OPTIONS,
	{"severity", VERB_VALUE, "WORD", "low, medium, high or critical"},
	{"text", VERB_VALUE, "TEXT", "what people read about this improvement"},
	{"no-deltas", VERB_FLAG, NULL, "make full payloads alone"},
	{"drop", VERB_VALUES, "NAME", "do not carry a component of the letter before on"},
	{"draft", VERB_VALUE, "FILE", "do not publish: write what others have to sign, too"},
	{0},
};

static const struct verb_option withdraw_options[] = {
	{"base", VERB_VALUE, "ID", "the base of the letter"},
	{"action", VERB_VALUE, "HOW", "stop: no new installs; remove: installed copies too"},
	{"reason", VERB_VALUE, "TEXT", "what people read"},
	{"draft", VERB_VALUE, "FILE", "do not publish: write what others have to sign, too"},
	{0},
};

static const struct verb_option minimum_options[] = {
	{"base", VERB_VALUE, "ID", "the base of the letter"},
	{"none", VERB_FLAG, NULL, "no minimum any more"},
	{"draft", VERB_VALUE, "FILE", "do not publish: write what others have to sign, too"},
	{0},
};

static const struct verb_option list_options[] = {
	{"base", VERB_VALUE, "ID", "only this base"},
	{0},
};

static const struct verb_option refresh_options[] = {
	{"all", VERB_FLAG, NULL, "renew root, targets and every base's role too (offline keys)"},
	{"lost", VERB_FLAG, NULL, "what was signed since this copy is lost: go on above it"},
	{0},
};

static const struct verb_option rotate_options[] = {
	{"role", VERB_VALUES, "ROLE", "exchange all keys of root, targets, snapshot, timestamp or a base"},
	{"revoke", VERB_VALUES, "KEY", "exchange this key alone, wherever it is one"},
	{"threshold", VERB_VALUE, "N", "signatures that the roles need from now on"},
	{"key-count", VERB_VALUE, "N", "keys of each role (as many as it had)"},
	{0},
};

static const struct verb_option verify_options[] = {
	{0},
};

static const struct verb_option clean_options[] = {
	{"older-than", VERB_VALUE, "DAYS", "how long nobody has been led to them (30)"},
	{"dry-run", VERB_FLAG, NULL, "only count them"},
	{0},
};

static const struct verb_option draft_options[] = {
	{0},
};

static const struct verb verbs[] = {
	{"init", "REPO", 1, 1, "make keys and an empty repository", init_options, publish_init},
	{"extend", "REPO", 1, 1, "add a base to a repository", extend_options, publish_extend},
	{"plan", "[REPO]", 0, 1, "show what would be published, and make nothing", plan_options,
		publish_plan},
	{"add", "REPO", 1, 1, "publish the next letter", add_options, publish_add},
	{"withdraw", "REPO LETTER", 2, 2, "take a letter back", withdraw_options,
		publish_withdraw},
	{"sign", "REPO DRAFT", 2, 2, "add signatures to what another holder of keys began",
		draft_options, publish_sign},
	{"commit", "REPO DRAFT", 2, 2, "publish what enough holders have signed", draft_options,
		publish_commit},
	{"minimum", "REPO [LETTER]", 1, 2, "set the letter below which policy does not let go",
		minimum_options, publish_minimum},
	{"list", "REPO", 1, 1, "show bases, letters and when metadata expires", list_options,
		publish_list},
	{"refresh", "REPO", 1, 1, "renew snapshot and timestamp", refresh_options,
		publish_refresh},
	{"rotate", "REPO", 1, 1, "exchange keys", rotate_options, publish_rotate},
	{"verify", "REPO", 1, 1, "check the whole repository: signatures, digests, images",
		verify_options, publish_verify},
	{"clean", "REPO", 1, 1, "remove old files that no list names any more", clean_options,
		publish_clean},
	{0},
};

static const struct verb_option options[] = {
	{"json", VERB_FLAG, NULL, "print the result as JSON"},
	{"keys", VERB_VALUE, "DIR", "folder of the offline keys (REPO-keys)"},
	{"online-keys", VERB_VALUE, "DIR", "folder of the online keys (REPO-online)"},
	{"passphrase-file", VERB_VALUE, "FILE", "first line: passphrase of the offline keys"},
	{"passphrase-fd", VERB_VALUE, "N", "the same from an open descriptor"},
	{"no-passphrase", VERB_FLAG, NULL, "the offline keys are plain: for tests"},
	{"time", VERB_VALUE, "UTC", "time of issue, such as 2026-01-31T12:00:00Z (now)"},
	{0},
};

static const struct program program = {
	.name = "bsi-publish",
	.summary = "Publish background security improvements: signed, sealed, as static files.",
	.manual = "bsi-publish(1)",
	.verbs = verbs,
	.options = options,
};

/* Keys and passphrases are in this memory: no debugger, no core file. */
static void keep_secrets(void)
{
	const struct rlimit none = {};

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

int main(int argc, char **argv)
{
	keep_secrets();
	/* names in archives are UTF-8, whatever the caller's locale is */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");
	/* what is published is for everyone; keys get modes of their own */
	(void)umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	return program_main(&program, argc, argv);
}
