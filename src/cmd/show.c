/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd/show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define LIST_MAX 20

static bool has_colours(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) == 1 && (!no || *no == '\0');
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Names from processes and metadata reach a terminal; what could steer it does not. */
static void put(const char *text)
{
	AUTO_FREE char *clean = strdup(text);

	if (!clean)
		return;
	text_clean(clean);
	fputs(clean, stdout);
}

static void put_list(const json_t *list, const char *separator)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (i > 0)
			fputs(separator, stdout);
		put(text ? text : "?");
	}
}

static void put_sentence(const json_t *status)
{
	const char *state = text_of(status, "state"), *colour = NULL;

	if (has_colours())
		colour = strcmp(state, "protected") == 0 ? "\033[1;32m"
			 : strcmp(state, "base") == 0	 ? "\033[1m"
							 : "\033[1;33m";
	if (colour)
		fputs(colour, stdout);
	put(text_of(status, "sentence"));
	if (colour)
		fputs("\033[0m", stdout);
	putchar('\n');
}

static void show_component(const json_t *c)
{
	const char *state = text_of(c, "state");
	const json_t *cves = json_object_get(c, "cves");

	fputs("  ", stdout);
	put(text_of(c, "name"));
	printf(": %s", state);
	if (strcmp(state, "attached") == 0)
		printf(", %lld file%s, seal: %s", number_of(c, "attached_files"),
			number_of(c, "attached_files") == 1 ? "" : "s", text_of(c, "seal"));
	putchar('\n');
	if (*text_of(c, "reason")) {
		fputs("    ", stdout);
		put(text_of(c, "reason"));
		putchar('\n');
	}
	if (json_array_size(cves) > 0) {
		printf("    %s ", strcmp(state, "attached") == 0 || strcmp(state, "superseded") == 0
					   ? "fixes"
					   : "would fix");
		put_list(cves, " ");
		putchar('\n');
	}
}

static bool is_state(const json_t *row, const char *state)
{
	return strcmp(text_of(row, "state"), state) == 0;
}

/* What a process runs, and what is special about it. */
static void put_code(const json_t *row)
{
	if (json_array_size(json_object_get(row, "components")) > 0) {
		fputs(": ", stdout);
		put_list(json_object_get(row, "components"), ", ");
	} else if (is_state(row, "exposed")) {
		fputs(": an earlier image", stdout);
	}
	if (json_array_size(json_object_get(row, "cves")) > 0) {
		fputs(", ", stdout);
		put_list(json_object_get(row, "cves"), " ");
	}
	if (is_state(row, "keeps"))
		fputs(" (what it starts would run old code: its mount namespace keeps the old files)",
			stdout);
	else if (json_is_true(json_object_get(row, "private_mounts")))
		fputs(" (its mount namespace keeps the old files)", stdout);
	if (*text_of(row, "detail")) {
		fputs(is_state(row, "unknown") ? ": " : ", a copy of it: ", stdout);
		put(text_of(row, "detail"));
	}
}

/* The rows of one state under a heading; nothing where there are none. */
static void show_rows(const json_t *list, const char *state, const char *heading,
	void (*show)(const json_t *row))
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *row = json_array_get(list, i);

		if (!is_state(row, state))
			continue;
		if (n == 0 && *heading)
			puts(heading);
		if (n++ < LIST_MAX)
			show(row);
	}
	if (n > LIST_MAX)
		printf("  ... and %zu more; --json lists all\n", n - LIST_MAX);
}

static void show_process(const json_t *row)
{
	printf("  %7lld ", number_of(row, "pid"));
	put(text_of(row, "command"));
	put_code(row);
	putchar('\n');
}

static void show_processes(const json_t *exposure)
{
	const json_t *list = json_object_get(exposure, "list");

	show_rows(list, "exposed", "still running old code ('bsi exposure' says what ends it):",
		show_process);
	show_rows(list, "unknown", "it cannot be told what these run:", show_process);
	show_rows(list, "keeps", "what these start would run old code:", show_process);
}

void show_status(const json_t *status)
{
	const json_t *components = json_object_get(status, "components");
	const json_t *exposure = json_object_get(status, "exposure");
	const json_t *open = json_object_get(status, "cves_open");
	const json_t *withdrawn = json_object_get(status, "withdrawn");
	const json_t *check = json_object_get(status, "check");

	put_sentence(status);
	for (size_t i = 0; i < json_array_size(components); i++)
		show_component(json_array_get(components, i));
	if (withdrawn) {
		fputs("withdrawn by the publisher: ", stdout);
		put(text_of(withdrawn, "reason"));
		putchar('\n');
	}
	if (*text_of(status, "clock")) {
		put(text_of(status, "clock"));
		putchar('\n');
	}
	if (json_array_size(open) > 0) {
		fputs("open: ", stdout);
		put_list(open, " ");
		putchar('\n');
	}
	show_processes(exposure);
	if (*text_of(json_object_get(status, "failure"), "reason")) {
		printf("the repository could not be asked %s: ",
			text_of(json_object_get(status, "failure"), "utc"));
		put(text_of(json_object_get(status, "failure"), "reason"));
		putchar('\n');
	}
	if (check) {
		printf("last check %s: ", text_of(check, "utc"));
		put(text_of(check, "reason"));
		putchar('\n');
	}
	if (json_is_false(json_object_get(status, "automatic")) &&
		strcmp(text_of(status, "state"), "not-enrolled") != 0)
		puts("automatic installation is off");
}

static void show_restarts(const json_t *restarts)
{
	for (size_t i = 0; i < json_array_size(restarts); i++) {
		const json_t *row = json_array_get(restarts, i);
		const json_t *exposed = json_object_get(row, "exposed");
		const char *unit = text_of(row, "unit");

		put(text_of(row, "result"));
		putchar(' ');
		put(*unit ? unit : text_of(row, "hook"));
		if (*text_of(row, "reason")) {
			fputs(": ", stdout);
			put(text_of(row, "reason"));
		}
		putchar('\n');
		for (size_t k = 0; k < json_array_size(exposed) && k < LIST_MAX; k++) {
			const json_t *process = json_array_get(exposed, k);

			printf("  still runs old code: %lld ", number_of(process, "pid"));
			put(text_of(process, "command"));
			putchar('\n');
		}
	}
}

/* "; 2 files attached, 1 off"; nothing where no file changed. */
static void show_files(const json_t *files)
{
	static const char *const kinds[] = {"attached", "exchanged", "off"};
	bool is_first = true;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		json_int_t n = number_of(files, kinds[i]);

		if (n == 0)
			continue;
		printf("%s %lld", is_first ? ";" : ",", n);
		if (is_first)
			printf(" file%s", n == 1 ? "" : "s");
		printf(" %s", kinds[i]);
		is_first = false;
	}
}

void show_change(const json_t *change)
{
	const json_t *files = json_object_get(change, "files");

	if (strcmp(text_of(change, "action"), "enrolled") == 0) {
		fputs("enrolled at ", stdout);
		put(text_of(change, "url"));
		printf(" for %s; 'bsi install' takes what there is, 'bsi run' does it all\n",
			text_of(change, "base"));
		return;
	}
	if (strcmp(text_of(change, "action"), "nothing") == 0) {
		fputs("nothing to do: ", stdout);
		put(text_of(change, "reason"));
		putchar('\n');
	} else {
		fputs(text_of(change, "action"), stdout);
		if (*text_of(change, "letter"))
			printf(" (%s)", text_of(change, "letter"));
		/* who asked for it knows */
		if (*text_of(change, "reason") && strcmp(text_of(change, "action"), "installed") != 0) {
			fputs(": ", stdout);
			put(text_of(change, "reason"));
		}
		show_files(files);
		putchar('\n');
	}
	show_restarts(json_object_get(change, "restarts"));
	show_status(json_object_get(change, "status"));
}

void show_check(const json_t *check)
{
	const char *action = text_of(check, "action");

	if (strcmp(action, "install") == 0)
		printf("available: ");
	else if (strcmp(action, "hold") == 0)
		printf("held: ");
	else if (strcmp(action, "remove") == 0)
		printf("to be taken off: ");
	put(text_of(check, "reason"));
	putchar('\n');
}

/* "ssh.service: 3 processes, openssl: CVE-2026-0001" */
static void show_step(const json_t *step)
{
	size_t n = json_array_size(json_object_get(step, "processes"));
	const json_t *cves = json_object_get(step, "cves");
	const char *place = text_of(step, "unit");
	bool is_unit = *place && strcmp(text_of(step, "end"), "relaunch") != 0;

	fputs("    ", stdout);
	put(is_unit ? place : text_of(step, "command"));
	if (is_unit)
		printf(" (%zu process%s)", n, n == 1 ? "" : "es");
	else if (n > 1)
		printf(" (%lld and %zu more)", number_of(step, "pid"), n - 1);
	else
		printf(" (%lld)", number_of(step, "pid"));
	if (json_array_size(json_object_get(step, "components")) > 0) {
		fputs(": ", stdout);
		put_list(json_object_get(step, "components"), ", ");
	}
	if (json_array_size(cves) > 0) {
		fputs(", ", stdout);
		put_list(cves, " ");
	}
	fputs("\n      ", stdout);
	put(text_of(step, "reason"));
	putchar('\n');
}

/* What ends it, in the order of the plan, under one heading for each way. */
static void show_steps(const json_t *plan)
{
	static const struct {
		const char *end, *heading;
	} ways[] = {
		{"restart", "units to restart, in this order:"},
		{"along", "restarted with them:"},
		{"reexecute", "process 1, which starts itself anew:"},
		{"hook", "for the programs in /etc/bsi/restart.d:"},
		{"wait", "ends by itself:"},
		{"ask", "to restart by hand, when it suits:"},
		{"relaunch", "programs for their users to close and start again:"},
		{"reboot", "waits for the next boot:"},
	};

	for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
		size_t n = 0;

		for (size_t i = 0; i < json_array_size(plan); i++) {
			const json_t *step = json_array_get(plan, i);

			if (strcmp(text_of(step, "end"), ways[way].end) != 0)
				continue;
			if (n == 0)
				printf("  %s\n", ways[way].heading);
			if (n++ < LIST_MAX)
				show_step(step);
		}
		if (n > LIST_MAX)
			printf("    ... and %zu more; --json lists all\n", n - LIST_MAX);
	}
}

static void show_dues(const json_t *components)
{
	for (size_t i = 0; i < json_array_size(components); i++) {
		const json_t *c = json_array_get(components, i);

		if (!*text_of(c, "due") || strcmp(text_of(c, "verdict"), "match") != 0)
			continue;
		fputs("  ", stdout);
		put(text_of(c, "name"));
		printf(": changes %sat the next boot; due %s\n",
			strcmp(text_of(c, "activation"), "idle") == 0 ?
				"while no program uses it, or " : "", text_of(c, "due"));
	}
}

void show_plan(const json_t *plan)
{
	const char *action = text_of(plan, "action");
	size_t n = (size_t)number_of(plan, "exposed");
	bool is_coming = strcmp(action, "nothing") != 0;

	if (strcmp(action, "remove") == 0)
		printf("(%s) would be taken off: ", text_of(plan, "letter"));
	else if (strcmp(action, "hold") == 0)
		printf("(%s) is held: ", text_of(plan, "letter"));
	else if (is_coming)
		printf("(%s) would be installed: ", text_of(plan, "letter"));
	put(text_of(plan, "why"));
	putchar('\n');
	if (n == 0)
		puts(is_coming ? "nothing that runs uses what it replaces" :
				 "no process runs old code");
	else
		printf("%zu process%s %s:\n", n, n == 1 ? "" : "es",
			is_coming ? "would run old code until this is done" :
				    "still run old code until this is done");
	show_steps(json_object_get(plan, "plan"));
	show_dues(json_object_get(plan, "components"));
}

/* One line for a process: where it lives, since when, what it runs. */
static void show_exposed(const json_t *row)
{
	const char *unit = text_of(row, "unit");

	printf("  %7lld ", number_of(row, "pid"));
	put(text_of(row, "command"));
	printf(", since %s, ", text_of(row, "since"));
	put(*unit ? unit : text_of(row, "place"));
	put_code(row);
	putchar('\n');
}

static void show_built_with(const json_t *list)
{
	if (json_array_size(list) > 0)
		puts("packages with code of their own, as they say; only a newer package ends that:");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *row = json_array_get(list, i);

		fputs("  ", stdout);
		put(text_of(row, "package"));
		putchar(' ');
		put(text_of(row, "version"));
		fputs(": unknown: built with ", stdout);
		put(text_of(row, "source"));
		putchar(' ');
		put(text_of(row, "source_version"));
		if (json_array_size(json_object_get(row, "cves")) > 0) {
			fputs(", ", stdout);
			put_list(json_object_get(row, "cves"), " ");
		}
		putchar('\n');
	}
}

void show_exposure(const json_t *exposure)
{
	json_int_t exposed = number_of(exposure, "exposed"), unknown = number_of(exposure, "unknown");
	const json_t *list = json_object_get(exposure, "list");

	printf("%lld of %lld processes run%s old code", exposed, number_of(exposure, "processes"),
		exposed == 1 ? "s" : "");
	if (unknown > 0)
		printf("; of %lld it cannot be told", unknown);
	putchar('\n');
	show_rows(list, "exposed", "", show_exposed);
	show_rows(list, "unknown", "unknown:", show_exposed);
	show_rows(list, "keeps", "what these start would run old code:", show_exposed);
	if (json_array_size(list) > 0)
		puts("what ends it:");
	show_steps(json_object_get(exposure, "plan"));
	show_built_with(json_object_get(exposure, "built_with"));
}

void show_history(const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		const char *reason = text_of(json_object_get(row, "detail"), "reason");

		printf("%s  %-12s", text_of(row, "utc"), text_of(row, "event"));
		if (*text_of(row, "letter"))
			printf(" (%s)", text_of(row, "letter"));
		if (*reason) {
			fputs("  ", stdout);
			put(reason);
		}
		putchar('\n');
	}
	if (json_array_size(rows) == 0)
		puts("nothing has happened yet");
}

void show_verify(const json_t *verify)
{
	const json_t *problems = json_object_get(verify, "problems");

	printf("%lld attached and %lld base files were read", number_of(verify, "attached_files"),
		number_of(verify, "base_files"));
	if (json_array_size(problems) == 0) {
		puts(": all are what was signed");
		return;
	}
	printf("; %zu problem%s:\n", json_array_size(problems),
		json_array_size(problems) == 1 ? "" : "s");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *p = json_array_get(problems, i);

		fputs("  ", stdout);
		put(text_of(p, "object"));
		fputs(": ", stdout);
		put(text_of(p, "problem"));
		putchar('\n');
	}
}

void show_doctor(const json_t *doctor)
{
	const json_t *list = json_object_get(doctor, "checks");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *check = json_array_get(list, i);
		bool is_well = json_is_true(json_object_get(check, "well"));

		printf("%-12s %s", text_of(check, "name"), is_well ? "well" : "");
		if (!is_well)
			put(text_of(check, "problem"));
		putchar('\n');
	}
}

void show_config(const json_t *config)
{
	const json_t *days = json_object_get(config, "idle-deadline");
	const char *restart = text_of(config, "restart");

	printf("auto %s\n", json_is_true(json_object_get(config, "auto")) ? "on" : "off");
	if (days)
		printf("idle-deadline %lld\n", json_integer_value(days));
	printf("restart %s\n", *restart ? restart : "ask");
	printf("require-seal %s\n",
		json_is_true(json_object_get(config, "require-seal")) ? "yes" : "no");
}
