/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/gate.h"

/* Images and activations by a letter. */
struct row {
	const char *what;
	char wanted;     /* image of the component that comes; 0: none does */
	char activation; /* of it: 'l', 'i', 'b' */
	bool misfits, is_barred, lacks_image;
	char attached;      /* image that lies there; 0: none */
	char was;           /* activation that the manifest of that image gave it; 0: not kept */
	char later;         /* what a later manifest with the same image says; 0: there is none */
	bool is_hidden;     /* somebody's own mount lies over it */
	int users;          /* processes that map the component */
	const char *reason; /* words of it; NULL: it may change */
};

static const struct row rows[] = {
	{.what = "live comes under anybody", .wanted = 'n', .activation = 'l', .users = 1},
	{.what = "idle comes while nobody maps it", .wanted = 'n', .activation = 'i'},
	{.what = "and waits for who does",
		.wanted = 'n',
		.activation = 'i',
		.users = 1,
		.reason = "relaunch wanted: it is used by tab0 (100)"},
	{.what = "who are named, up to a number",
		.wanted = 'n',
		.activation = 'i',
		.users = 7,
		.reason = "tab4 (104) and 2 more"},
	{.what = "boot waits although nobody maps it",
		.wanted = 'n',
		.activation = 'b',
		.reason = "it changes at the next boot"},
	{.what = "what does not fit does not come",
		.wanted = 'n',
		.activation = 'i',
		.misfits = true,
		.users = 1},
	{.what = "nor what has no image",
		.wanted = 'n',
		.activation = 'i',
		.lacks_image = true,
		.users = 1},
	{.what = "nor what the owner bars",
		.wanted = 'n',
		.activation = 'i',
		.is_barred = true,
		.users = 1},
	{.what = "the same image stays",
		.wanted = 'o',
		.activation = 'i',
		.attached = 'o',
		.was = 'i',
		.users = 1},
	{.what = "exchanged, idle waits",
		.wanted = 'n',
		.activation = 'i',
		.attached = 'o',
		.was = 'i',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "also if only what was is idle",
		.wanted = 'n',
		.activation = 'l',
		.attached = 'o',
		.was = 'i',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "or only what comes",
		.wanted = 'n',
		.activation = 'i',
		.attached = 'o',
		.was = 'l',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "the stricter of both",
		.wanted = 'n',
		.activation = 'i',
		.attached = 'o',
		.was = 'b',
		.reason = "at the next boot"},
	{.what = "live for idle that nobody maps",
		.wanted = 'n',
		.activation = 'l',
		.attached = 'o',
		.was = 'i'},
	{.what = "idle goes while nobody maps it", .attached = 'o', .was = 'i'},
	{.what = "and waits for who does",
		.attached = 'o',
		.was = 'i',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "boot goes at boot", .attached = 'o', .was = 'b', .reason = "at the next boot"},
	{.what = "live goes under anybody", .attached = 'o', .was = 'l', .users = 1},
	{.what = "what nobody knows any more goes", .attached = 'o', .users = 1},
	{.what = "the newest manifest with the image decides",
		.attached = 'o',
		.was = 'i',
		.later = 'b',
		.reason = "at the next boot"},
	{.what = "in both directions", .attached = 'o', .was = 'i', .later = 'l', .users = 1},
	{.what = "barred, it goes off, and waits",
		.wanted = 'o',
		.activation = 'i',
		.is_barred = true,
		.attached = 'o',
		.was = 'i',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "what no longer fits goes off, and waits",
		.wanted = 'n',
		.activation = 'i',
		.misfits = true,
		.attached = 'o',
		.was = 'i',
		.users = 1,
		.reason = "used by tab0"},
	{.what = "what somebody hides is not ours to take off",
		.attached = 'o',
		.was = 'i',
		.is_hidden = true,
		.users = 1},
};

static enum activation activation_of(char c)
{
	return c == 'b' ? ACTIVATION_BOOT : c == 'i' ? ACTIVATION_IDLE : ACTIVATION_LIVE;
}

static char name[] = "browser", other_name[] = "mail", path[] = "usr/lib/x",
	    second_path[] = "usr/lib/y";

static struct component component_of(char image, char activation)
{
	struct component c = {.name = name, .activation = activation_of(activation)};

	memset(c.image.digest.bytes, image, sizeof c.image.digest.bytes);
	return c;
}

/* Each process twice, as one that maps two files; then one of another component, and one that only
 * keeps old files in its mount table. */
static size_t make_entries(int users, struct exposure_entry *entries)
{
	size_t n = 0;

	for (int i = 0; i < users; i++) {
		struct exposure_entry e = {.pid = 100 + i, .component = name, .path = path};

		(void)snprintf(e.comm, sizeof e.comm, "tab%d", i);
		entries[n++] = e;
		e.path = second_path;
		entries[n++] = e;
	}
	entries[n++] = (struct exposure_entry){.pid = 200, .component = other_name, .comm = "mail"};
	entries[n++] = (struct exposure_entry){
		.pid = 201, .component = name, .comm = "keeper", .in_mounts = true};
	return n;
}

static void check(const struct row *row)
{
	struct component wanted = component_of(row->wanted, row->activation);
	struct component was[] = {component_of('o', row->was), component_of('o', row->later)};
	struct manifest kept_manifests[] = {{.components = &was[0], .n_components = 1},
		{.components = &was[1], .n_components = 1}};
	const struct manifest *manifests[] = {&kept_manifests[0], &kept_manifests[1]};
	const struct kept kept = {.manifests = manifests,
		.n_manifests = row->later ? 2
			       : row->was ? 1
					  : 0};
	struct fit_component fitting = {.component = &wanted,
		.match.verdict = row->misfits ? MATCH_MISMATCH : MATCH_SET,
		.image_fd = row->lacks_image ? -EBADF : 0,
		.is_barred = row->is_barred};
	const struct fit fit = {.components = &fitting, .n_components = 1};
	/* two files of one component are one candidate */
	struct graft_mount mounts[2] = {{.component = name,
						.path = path,
						.digest = was[0].image.digest,
						.visible = !row->is_hidden},
		{.component = name,
			.path = second_path,
			.digest = was[0].image.digest,
			.visible = !row->is_hidden}};
	const struct graft_state state = {.mounts = mounts, .n_mounts = row->attached ? 2 : 0};
	struct exposure_entry entries[32];
	const struct exposure_report report = {
		.entries = entries, .n_entries = make_entries(row->users, entries)};
	AUTO_DONE(gate_candidates) struct gate_candidates candidates;
	AUTO_DONE(gate) struct gate gate;

	print_message("# %s\n", row->what);
	assert_int_equal(
		gate_find_candidates(row->wanted ? &fit : NULL, &state, &kept, &candidates), 0);
	assert_true(candidates.n <= 1);
	assert_int_equal(gate_judge(&candidates, &report, &gate), 0);
	assert_int_equal(gate.n_holds, row->reason != NULL);
	if (!row->reason) {
		assert_null(gate_find(&gate, name));
		return;
	}
	assert_non_null(gate_find(&gate, name));
	assert_non_null(strstr(gate.holds[0].reason, row->reason));
	assert_null(strstr(gate.holds[0].reason, "keeper"));
	assert_int_equal(gate.holds[0].is_attached, row->attached != 0);
	if (row->attached)
		assert_true(digest_equal(&gate.holds[0].image, &was[0].image.digest));
}

static void test_gate_holds_what_may_not_change(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_gate_holds_what_may_not_change)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
