/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One table describes a program: its verbs, their options and arguments. Parsing, --help, --version
 * and the bash completion come from it, so that they cannot disagree.
 *
 * Options are accepted before and after the verb. A result goes to standard output; words about it
 * go to standard error. With --json there is one document: a failed verb's is {"error": {...}}, or
 * its result with the member "error".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/compiler.h"
#include "base/error.h"

enum verb_option_kind {
	VERB_FLAG,   /* takes no value */
	VERB_VALUE,  /* takes one value; given twice is an error */
	VERB_VALUES, /* takes one value each time it is given */
};

struct verb_option {
	const char *name; /* without the dashes */
	enum verb_option_kind kind;
	const char *value; /* its name in the help: "FILE" */
	const char *help;
};

struct verb_call;

struct verb {
	const char *name;
	const char *arguments; /* for the help: "URL", "[LETTER]" */
	int n_arguments_min, n_arguments_max; /* max < 0: any number */
	const char *help;
	const struct verb_option *options; /* ended by a row without name; may be NULL */
	int (*run)(struct verb_call *call, struct error *reterr);
};

struct program {
	const char *name;
	const char *summary;
	const char *manual; /* "bsi(1)" */
	const struct verb *verbs; /* ended by a row without name */
	const struct verb_option *options; /* of every verb; ended by a row without name */
};

/* Parse, run the verb, print its error; the exit status of the process. */
int program_main(const struct program *program, int argc, char **argv);

/* The name of the verb that runs. */
const char *call_verb(const struct verb_call *call);

/* What the verb was called with. Everything is borrowed from argv. */
bool call_has(const struct verb_call *call, const char *option);
const char *call_value(const struct verb_call *call, const char *option); /* NULL if not given */
size_t call_n_values(const struct verb_call *call, const char *option);
const char *call_value_at(const struct verb_call *call, const char *option, size_t i);
size_t call_n_arguments(const struct verb_call *call);
const char *call_argument(const struct verb_call *call, size_t i); /* NULL beyond the last */
/* An option's value as a number; *ret keeps its value if the option was not given. */
int call_number(const struct verb_call *call, const char *option, uint64_t max, uint64_t *ret,
	struct error *reterr) MUST_CHECK;
int call_number_between(const struct verb_call *call, const char *option, uint64_t min,
	uint64_t max, uint64_t *ret, struct error *reterr) MUST_CHECK;

/* The document of --json, printed when the verb is done: indented, keys in the order in which they
 * were set. Once for each call; it may be an array where the verb then succeeds. */
void call_print_json(json_t *document);
