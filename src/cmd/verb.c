/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd/verb.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define HELP_COLUMN 30
#define VALUES_MAX 4096

struct given {
	const struct verb_option *option;
	const char *value;
};

struct verb_call {
	const struct program *program;
	const struct verb *verb;
	struct given *given;
	size_t n_given;
	const char **arguments;
	size_t n_arguments;
};

/* What --json prints in the end; NULL while nothing does. A process runs one verb. */
static json_t *document_in_hand;

static const struct verb_option own_options[] = {
	{"help", VERB_FLAG, NULL, "show this help"},
	{"version", VERB_FLAG, NULL, "show the version"},
	{0},
};

static const struct verb_option *find_in(const struct verb_option *options, const char *name,
	size_t len)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static const struct verb *find_verb(const struct program *program, const char *name)
{
	for (const struct verb *v = program->verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static const struct verb_option *find_option(const struct verb_call *call, const char *name,
	size_t len)
{
	const struct verb_option *found = find_in(own_options, name, len);

	if (!found)
		found = find_in(call->program->options, name, len);
	if (!found && call->verb)
		found = find_in(call->verb->options, name, len);
	return found;
}

/* Before the verb is known, an option may be any verb's; what it takes is the same for all. */
static const struct verb_option *find_before_verb(const struct verb_call *call, const char *name,
	size_t len)
{
	const struct verb_option *found = find_option(call, name, len);

	for (const struct verb *v = call->program->verbs; v->name && !found; v++)
		found = find_in(v->options, name, len);
	return found;
}

static void print_options(const struct verb_option *options, FILE *out)
{
	for (; options && options->name; options++) {
		int n = fprintf(out, "  --%s%s%s", options->name, options->value ? " " : "",
			options->value ? options->value : "");

		fprintf(out, "%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", options->help);
	}
}

static void print_program_help(const struct program *program, FILE *out)
{
	fprintf(out, "Usage: %s VERB [OPTIONS] [ARGUMENTS]\n\n%s\n\nVerbs:\n", program->name,
		program->summary);
	for (const struct verb *v = program->verbs; v->name; v++) {
		int n = fprintf(out, "  %s%s%s", v->name, v->arguments ? " " : "",
			v->arguments ? v->arguments : "");

		fprintf(out, "%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", v->help);
	}
	fprintf(out, "\nOptions:\n");
	print_options(program->options, out);
	print_options(own_options, out);
	fprintf(out, "\n'%s VERB --help' tells about a verb; see also %s.\n", program->name,
		program->manual);
}

static void print_verb_help(const struct program *program, const struct verb *verb, FILE *out)
{
	fprintf(out, "Usage: %s %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", program->name, verb->name,
		verb->arguments ? " " : "", verb->arguments ? verb->arguments : "", verb->help);
	print_options(verb->options, out);
	print_options(program->options, out);
	print_options(own_options, out);
	fprintf(out, "\nSee also %s.\n", program->manual);
}

static void print_words(const struct verb_option *options)
{
	for (; options && options->name; options++)
		printf(" --%s", options->name);
}

/* Completes verbs, then the options of the verb that stands on the line; else file names. */
static void print_completion(const struct program *program)
{
	char function[64];
	size_t len = strlen(program->name);

	for (size_t i = 0; i <= len && i < sizeof function - 1; i++)
		function[i] = program->name[i] == '-' ? '_' : program->name[i];
	function[sizeof function - 1] = '\0';

	printf("# bash completion for %s, made from its verb table\n_%s()\n{\n", program->name,
		function);
	printf("\tlocal word=${COMP_WORDS[COMP_CWORD]} verb= options= w\n");
	printf("\tfor w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n");
	printf("\t\t[[ $w == -* ]] || { verb=$w; break; }\n\tdone\n\tcase $verb in\n");
	printf("\t'') options='");
	for (const struct verb *v = program->verbs; v->name; v++)
		printf("%s ", v->name);
	print_words(program->options);
	print_words(own_options);
	printf("' ;;\n");
	for (const struct verb *v = program->verbs; v->name; v++) {
		printf("\t%s) options='", v->name);
		print_words(v->options);
		print_words(program->options);
		print_words(own_options);
		printf("' ;;\n");
	}
	printf("\tesac\n\tif [[ -z $verb || $word == -* ]]; then\n");
	printf("\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n");
	printf("\telse\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n\tfi\n}\n");
	printf("complete -o filenames -F _%s %s\n", function, program->name);
}

static int usage(const struct verb_call *call, struct error *e, const char *what, const char *word)
{
	return error_set(e, -BSI_E_USAGE, "%s '%s'; '%s%s%s --help' shows what there is", what, word,
		call->program->name, call->verb ? " " : "", call->verb ? call->verb->name : "");
}

static bool is_given(const struct verb_call *call, const struct verb_option *option)
{
	for (size_t i = 0; i < call->n_given; i++)
		if (call->given[i].option == option)
			return true;
	return false;
}

/* One "--name", "--name=value" or "--name value"; advances *i where the value is a word of its own. */
static int take_option(struct verb_call *call, int argc, char **argv, int *i, struct error *e)
{
	const char *name = argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const struct verb_option *option = find_option(call, name, len);
	const char *value = NULL;

	if (!option)
		return usage(call, e, "unknown option", argv[*i]);
	if (name[len] == '=')
		value = name + len + 1;
	if (option->kind == VERB_FLAG && value)
		return usage(call, e, "no value is taken by", argv[*i]);
	if (option->kind == VERB_VALUE && is_given(call, option))
		return usage(call, e, "given twice:", argv[*i]);
	if (option->kind != VERB_FLAG && !value) {
		/* the verb's own place is empty: it is no value */
		if (*i + 1 >= argc || !argv[*i + 1])
			return usage(call, e, "a value is missing after", argv[*i]);
		value = argv[++*i];
	}
	call->given[call->n_given++] = (struct given){.option = option, .value = value};
	return 0;
}

static int parse(struct verb_call *call, int argc, char **argv, struct error *e)
{
	bool options_end = false;
	int r;

	/* the verb first, so that its options are known wherever they stand */
	for (int i = 1; i < argc && !call->verb; i++) {
		const struct verb_option *o;

		if (strncmp(argv[i], "--", 2) == 0) {
			o = find_before_verb(call, argv[i] + 2, strcspn(argv[i] + 2, "="));
			if (o && o->kind != VERB_FLAG && !strchr(argv[i], '='))
				i++;
			continue;
		}
		call->verb = find_verb(call->program, argv[i]);
		if (!call->verb)
			return usage(call, e, "unknown verb", argv[i]);
		argv[i] = NULL;
	}
	for (int i = 1; i < argc; i++) {
		if (!argv[i])
			continue;
		if (!options_end && strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (!options_end && strncmp(argv[i], "--", 2) == 0) {
			r = take_option(call, argc, argv, &i, e);
			if (r < 0)
				return r;
		} else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
			return usage(call, e, "unknown option", argv[i]);
		} else {
			call->arguments[call->n_arguments++] = argv[i];
		}
	}
	return 0;
}

static int check_arguments(const struct verb_call *call, struct error *e)
{
	const struct verb *v = call->verb;
	int n = (int)call->n_arguments;

	if (n < v->n_arguments_min)
		return error_set(e, -BSI_E_USAGE, "an argument is missing: %s %s %s",
			call->program->name, v->name, v->arguments);
	if (v->n_arguments_max >= 0 && n > v->n_arguments_max)
		return usage(call, e, "one argument too many:",
			call->arguments[v->n_arguments_max]);
	return 0;
}

/* One document, whatever happened: a result has the error inside. */
static void print_error(const struct verb_call *call, const struct error *e)
{
	json_t *error;
	char id[32];

	fprintf(stderr, "%s: %s\n", call->program->name, e->text);
	if (!call_has(call, "json"))
		return;
	error_id(e->code, id, sizeof id);
	error = json_pack("{s:s, s:s}", "id", id, "text", e->text);
	if (!json_is_object(document_in_hand)) {
		json_decref(document_in_hand);
		document_in_hand = json_object();
	}
	(void)json_object_set_new(document_in_hand, "error", error);
}

static void print_document(void)
{
	if (!document_in_hand)
		return;
	(void)json_dumpf(document_in_hand, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(document_in_hand);
	document_in_hand = NULL;
}

static int run(struct verb_call *call, int argc, char **argv)
{
	struct error e = {0};
	int r;

	r = parse(call, argc, argv, &e);
	if (r == 0 && call_has(call, "version")) {
		printf("%s %s\n", call->program->name, BSI_VERSION);
		return 0;
	}
	if (r == 0 && call_has(call, "help")) {
		if (call->verb)
			print_verb_help(call->program, call->verb, stdout);
		else
			print_program_help(call->program, stdout);
		return 0;
	}
	if (r == 0 && !call->verb) {
		print_program_help(call->program, stderr);
		return error_exit_status(-BSI_E_USAGE);
	}
	if (r == 0)
		r = check_arguments(call, &e);
	if (r == 0)
		r = call->verb->run(call, &e);
	if (r < 0) {
		if (e.text[0] == '\0' || e.code != r)
			(void)error_set(&e, r, "%s: %s", call->verb ? call->verb->name : "command line",
				error_text(r));
		print_error(call, &e);
	}
	print_document();
	return error_exit_status(r);
}

/* A result that did not reach its reader is no success. One who has read enough knows that himself. */
static int end_output(const struct program *program, int status)
{
	int r;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	r = errno > 0 ? -errno : -EIO;
	if (r != -EPIPE)
		fprintf(stderr, "%s: standard output: %s\n", program->name, error_text(r));
	return status == 0 ? error_exit_status(r) : status;
}

int program_main(const struct program *program, int argc, char **argv)
{
	AUTO_FREE struct given *given = NULL;
	AUTO_FREE const char **arguments = NULL;
	struct verb_call call = {.program = program};
	int status;

	if (argc == 2 && strcmp(argv[1], "--completion") == 0) {
		print_completion(program);
		return 0;
	}
	if (argc > VALUES_MAX) {
		fprintf(stderr, "%s: more than %d words\n", program->name, VALUES_MAX);
		return error_exit_status(-BSI_E_USAGE);
	}
	call.given = given = calloc((size_t)argc + 1, sizeof *given);
	call.arguments = arguments = calloc((size_t)argc + 1, sizeof *arguments);
	if (!given || !arguments) {
		fprintf(stderr, "%s: %s\n", program->name, error_text(-ENOMEM));
		return error_exit_status(-ENOMEM);
	}
	status = run(&call, argc, argv);
	return end_output(program, status);
}

const char *call_verb(const struct verb_call *call)
{
	return call->verb->name;
}

bool call_has(const struct verb_call *call, const char *option)
{
	return call_n_values(call, option) > 0;
}

const char *call_value(const struct verb_call *call, const char *option)
{
	return call_value_at(call, option, 0);
}

size_t call_n_values(const struct verb_call *call, const char *option)
{
	size_t n = 0;

	for (size_t i = 0; i < call->n_given; i++)
		n += strcmp(call->given[i].option->name, option) == 0;
	return n;
}

const char *call_value_at(const struct verb_call *call, const char *option, size_t at)
{
	for (size_t i = 0; i < call->n_given; i++)
		if (strcmp(call->given[i].option->name, option) == 0 && at-- == 0)
			return call->given[i].value;
	return NULL;
}

size_t call_n_arguments(const struct verb_call *call)
{
	return call->n_arguments;
}

const char *call_argument(const struct verb_call *call, size_t i)
{
	return i < call->n_arguments ? call->arguments[i] : NULL;
}

int call_number(const struct verb_call *call, const char *option, uint64_t max, uint64_t *ret,
	struct error *reterr)
{
	return call_number_between(call, option, 0, max, ret, reterr);
}

int call_number_between(const struct verb_call *call, const char *option, uint64_t min,
	uint64_t max, uint64_t *ret, struct error *reterr)
{
	const char *text = call_value(call, option), *c = text;
	uint64_t v = 0;

	if (!text)
		return 0;
	for (; *c >= '0' && *c <= '9' && v <= (max - (uint64_t)(*c - '0')) / 10; c++)
		v = v * 10 + (uint64_t)(*c - '0');
	if (*text == '\0' || *c != '\0' || v < min)
		return error_set(reterr, -BSI_E_USAGE,
			"--%s takes a number from %ju to %ju, not '%s'", option, (uintmax_t)min,
			(uintmax_t)max, text);
	*ret = v;
	return 0;
}

void call_print_json(json_t *document)
{
	json_decref(document_in_hand);
	document_in_hand = json_incref(document);
}
