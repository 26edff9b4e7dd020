/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cutat N[:ERRNO] COMMAND...: kill COMMAND and all it started before the Nth system call of them
 * all, or let that one fail with a number of errno. N = 0 changes nothing and prints the count.
 * cutat N!OTHER COMMAND...: before the Nth call the shell command OTHER runs, from start to end.
 * Exit status 137 says that the cut was reached by a kill; otherwise it is COMMAND's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cut.h"

#define STATUS_KILLED 137
#define STATUS_USAGE 2

struct interruption {
	long at, n_calls;
	const char *command;
};

static void interrupt(void *ctx, const struct cut_call *call)
{
	struct interruption *i = ctx;

	(void)call;
	if (++i->n_calls == i->at)
		(void)!system(i->command); /* its own words and effects tell what became of it */
}

static int run_command(void *ctx)
{
	char **argv = ctx;

	(void)execvp(argv[0], argv);
	perror(argv[0]);
	return 127;
}

int main(int argc, char **argv)
{
	struct cut_plan plan = {0};
	struct interruption interruption = {0};
	struct cut_result result;
	char *end;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: cutat N[:ERRNO] | N!OTHER COMMAND...\n");
		return STATUS_USAGE;
	}
	plan.at = strtol(argv[1], &end, 10);
	if (*end == ':')
		plan.error = (int)strtol(end + 1, &end, 10);
	if (*end == '!' && plan.at > 0) {
		interruption = (struct interruption){.at = plan.at, .command = end + 1};
		plan = (struct cut_plan){.see = interrupt, .ctx = &interruption};
		end += strlen(end);
	}
	if (*end != '\0' || plan.at < 0 || plan.error < 0 ||
		(plan.error > 0 && !cut_can_fail_calls())) {
		fprintf(stderr, "cutat: \"%s\" is no place to cut\n", argv[1]);
		return STATUS_USAGE;
	}
	r = cut_run(&plan, run_command, argv + 2, &result);
	if (r < 0) {
		errno = -r;
		perror("cutat");
		return EXIT_FAILURE;
	}
	if (plan.at == 0 && !plan.see)
		fprintf(stderr, "%ld\n", result.n_calls);
	return result.was_cut && plan.error == 0 ? STATUS_KILLED : result.status;
}
