/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutated deltas against the decoder that does not compare digests: it must end, within the work
 * and the memory that are allowed, and without an access out of bounds. Half of them have bytes
 * changed. In the other half decisions are changed, each as a hostile encoder could make it, with
 * those that follow kept: lengths, places, modes, members and tables that lie.
 *
 * How many: the environment's MUTATIONS, or a few. MUTATION_SEED: where the random numbers begin.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "base/checked.h"
#include "base/compiler.h"
#include "delta/coder.h"
#include "delta/encode.h"
#include "delta/header.h"

#define MUTATIONS_DEFAULT 4000U
#define MEMORY_MAX (64U << 20)
#define HEADER_FIELDS_AT 5U
#define OLDS_MAX 4U
#define E_MACHINE_AT 18U
#define E_MACHINE_AARCH64 183U
/* No decoding may make more decisions than this for each byte that it makes, and some for tables. */
#define DECISIONS_PER_BYTE 200U
#define DECISIONS_FIXED 200000U

/* A sound delta, its base files, and all its decisions. */
struct seed {
	const char *name;
	struct buffer olds[OLDS_MAX];
	size_t n_olds;
	struct buffer delta;
	struct buffer trace; /* a byte for each decision */
	uint64_t output;
};

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void seed_make(struct seed *s, const struct buffer *news, size_t n_news, bool has_old,
		      bool has_earlier)
{
	struct delta_input references[OLDS_MAX];
	struct delta_input_file files[4] = {0};
	struct delta_set set = {.references = references, .n_references = s->n_olds,
				.files = files, .n_files = n_news,
				.meta = (const uint8_t *)"meta", .meta_len = n_news > 1 ? 4 : 0};
	struct error e = {0};

	for (size_t i = 0; i < s->n_olds; i++)
		references[i] = (struct delta_input){"usr/lib/old", s->olds[i].data, s->olds[i].len};
	for (size_t i = 0; i < n_news; i++) {
		files[i] = (struct delta_input_file){.data = news[i].data, .len = news[i].len};
		for (size_t j = 0; j < s->n_olds && has_old; j++)
			files[i].references[files[i].n_references++] = (uint32_t)((i + j) % s->n_olds);
		files[i].has_earlier = has_earlier && i;
		files[i].earlier = 0;
		s->output += news[i].len;
	}
	s->delta = buffer_of(1U << 20);
	if (delta_encode(&set, NULL, &s->delta, &e) < 0)
		fail_msg("%s: %s", s->name, e.text);
}

static struct buffer for_arm(const char *name)
{
	struct buffer b = fixture_golden(name);

	b.data[E_MACHINE_AT] = E_MACHINE_AARCH64;
	return b;
}

/* ar archive of two programs */
static struct buffer in_archive(const struct buffer *program)
{
	struct buffer b = buffer_of(1U << 20);
	char header[64];

	buffer_put(&b, "!<arch>\n", 8);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(header, sizeof(header), "%-16s%-12d%-6d%-6d%-8s%-10zu`\n",
			       i ? "two.so/" : "one.so/", 0, 0, 0, "100644", program->len);
		buffer_put(&b, header, 60);
		buffer_put(&b, program->data, program->len);
	}
	return b;
}

#define N_SEEDS 13U

static void seeds_make(struct seed *s)
{
	static const struct {
		const char *name, *old, *new;
	} pairs[] = {
		{"packed relocations, call sites, versions", "rich-old.elf", "rich-new.elf"},
		{"Go", "go-old.elf", "go-new.elf"},
		{"a library of AArch64", "a64-old.elf", "a64-new.elf"},
	};
	struct random r = {41};
	struct buffer old = fixture_golden("old.elf"), new = fixture_golden("new.elf");
	struct buffer arm = for_arm("new.elf"), text = random_bytes(&r, 900);
	struct buffer edited = random_edits(&r, &text, 3), none = buffer_of(0);
	struct buffer members = in_archive(&new);
	struct buffer small = fixture_golden("i386-new.elf"), object = fixture_golden("object-new.elf");
	struct buffer tables = fixture_golden("arm-new.elf");
	struct buffer several[3] = {edited, text, none};

	s[0] = (struct seed){.name = "x86-64", .olds = {old}, .n_olds = 1};
	seed_make(&s[0], &new, 1, true, false);
	s[1] = (struct seed){.name = "aarch64", .olds = {for_arm("old.elf")}, .n_olds = 1};
	seed_make(&s[1], &arm, 1, true, false);
	s[2] = (struct seed){.name = "bytes", .olds = {text}, .n_olds = 1};
	seed_make(&s[2], &edited, 1, true, false);
	s[3] = (struct seed){.name = "no old file"};
	seed_make(&s[3], &edited, 1, false, false);
	s[4] = (struct seed){.name = "several files", .olds = {text, edited}, .n_olds = 2};
	seed_make(&s[4], several, 3, true, false);
	s[5] = (struct seed){.name = "earlier file"};
	seed_make(&s[5], several, 2, false, true);
	s[6] = (struct seed){.name = "archive", .olds = {in_archive(&old)}, .n_olds = 1};
	seed_make(&s[6], &members, 1, true, false);
	s[7] = (struct seed){.name = "32-bit x86", .olds = {fixture_golden("i386-old.elf")}, .n_olds = 1};
	seed_make(&s[7], &small, 1, true, false);
	s[8] = (struct seed){.name = "object", .olds = {fixture_golden("object-old.elf")}, .n_olds = 1};
	seed_make(&s[8], &object, 1, true, false);
	s[9] = (struct seed){.name = "jump tables", .olds = {fixture_golden("arm-old.elf")}, .n_olds = 1};
	seed_make(&s[9], &tables, 1, true, false);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		AUTO_DONE(buffer) struct buffer made = fixture_golden(pairs[i].new);

		s[10 + i] = (struct seed){
			.name = pairs[i].name, .olds = {fixture_golden(pairs[i].old)}, .n_olds = 1};
		seed_make(&s[10 + i], &made, 1, true, false);
	}
	buffer_done(&tables);
	buffer_done(&small);
	buffer_done(&object);
	buffer_done(&members);
	buffer_done(&arm);
	buffer_done(&new);
}

/* The guide of a run: first the trace with its changes, then what is likely. */
struct run {
	struct random *r;
	const struct buffer *trace;
	struct buffer *record;
	size_t at, next_change;
	unsigned kind;
	uint64_t n_changes, n_decisions;
};

static void run_plan_change(struct run *run)
{
	size_t left = run->trace->len > run->at ? run->trace->len - run->at : 1;
	uint64_t far = random_below(run->r, left);

	/* tables, parts and operations come first: a square root of all changes hits them */
	if (random_below(run->r, 2))
		far = random_below(run->r, 1 + far / 16);
	run->next_change = run->n_changes ? run->at + (size_t)far : SIZE_MAX;
	run->kind = (unsigned)random_below(run->r, 5);
	if (run->n_changes)
		run->n_changes--;
}

static unsigned run_decide(void *ctx, uint32_t p1)
{
	struct run *run = ctx;
	bool likely = random_below(run->r, 65536) < p1;
	unsigned bit = run->at < run->trace->len ? run->trace->data[run->at] : likely;

	run->n_decisions++;
	if (run->at == run->next_change) {
		switch (run->kind) {
		case 0: /* another decision */
			bit ^= 1;
			run_plan_change(run);
			break;
		case 1: /* a run of ones: a number as large as it gets */
		case 2: /* or of zeros */
			bit = run->kind == 1;
			run->next_change++;
			if (random_below(run->r, 24) == 0)
				run_plan_change(run);
			break;
		case 3: /* decisions left out */
			run->at += (size_t)random_below(run->r, 64);
			run_plan_change(run);
			break;
		default: /* decisions made twice */
			run->at -= run->at < 64 ? run->at : (size_t)random_below(run->r, 64);
			run_plan_change(run);
			break;
		}
	}
	run->at++;
	return bit;
}

static void run_see(void *ctx, unsigned bit)
{
	struct run *run = ctx;

	run->n_decisions++;
	if (run->record)
		buffer_put_u8(run->record, (uint8_t)bit);
}

static int run_decode(const struct seed *s, const struct buffer *delta, struct run *run, bool guided)
{
	const struct coder_guide guide = {run, guided ? run_decide : NULL, run_see};
	AUTO_DONE(device) struct device d = device_of(s->olds, s->n_olds, delta);
	int r;

	d.memory_max = MEMORY_MAX;
	d.any_length = true;
	coder_guide = &guide;
	r = device_decode(&d, NULL);
	coder_guide = NULL;
	assert_true(run->n_decisions <= DECISIONS_FIXED + DECISIONS_PER_BYTE * (d.output + 4096));
	return r;
}

/* Bytes: header fields and the first bytes of the tables, or anywhere; or the end cut off. */
static void mutate_bytes(struct random *r, struct buffer *b)
{
	uint64_t n = random_below(r, 4) + 1;

	if (random_below(r, 16) == 0) {
		b->len = (size_t)random_below(r, b->len);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		size_t room = b->len - HEADER_FIELDS_AT;

		if (random_below(r, 2) && room > 60)
			room = 60;
		b->data[HEADER_FIELDS_AT + random_below(r, room)] = (uint8_t)random_next(r);
	}
}

/* The header as it was but with more memory, or nothing would get far. */
static void more_memory(struct buffer *b)
{
	struct buffer out = buffer_of(1U << 20);
	struct delta_header h;
	size_t used;

	if (delta_header_decode(b->data, b->len, &h, &used, NULL) < 0)
		return;
	h.memory_bytes = MEMORY_MAX;
	if (h.model_bits > 16)
		h.model_bits = 16;
	delta_header_encode(&h, &out);
	buffer_put(&out, b->data + used, b->len - used);
	buffer_done(b);
	*b = out;
}

static double seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_decoder_survives_mutations(void **state)
{
	static struct seed seeds[N_SEEDS];
	uint64_t n = number_of("MUTATIONS", MUTATIONS_DEFAULT);
	struct random r = {number_of("MUTATION_SEED", 101)};
	uint64_t n_made[2] = {0}, n_of[2] = {0};
	double start, slowest = 0;

	(void)state;
	seeds_make(seeds);
	for (size_t i = 0; i < N_SEEDS; i++) {
		struct run run = {.record = &seeds[i].trace};

		seeds[i].trace = buffer_of(16U << 20);
		assert_int_equal(run_decode(&seeds[i], &seeds[i].delta, &run, false), 0);
	}
	start = seconds_now();
	for (uint64_t i = 0; i < n; i++) {
		const struct seed *s = &seeds[random_below(&r, N_SEEDS)];
		AUTO_DONE(buffer) struct buffer bad = buffer_of(1U << 20);
		struct run run = {.r = &r, .trace = &s->trace};
		bool guided = i & 1;
		double before = seconds_now(), took;

		buffer_put(&bad, s->delta.data, s->delta.len);
		run.n_changes = random_below(&r, 4) + 1;
		run_plan_change(&run);
		if (!guided)
			mutate_bytes(&r, &bad);
		if (guided || random_below(&r, 4))
			more_memory(&bad);
		n_made[guided] += run_decode(s, &bad, &run, guided) == 0;
		n_of[guided]++;
		took = seconds_now() - before;
		if (took > slowest)
			slowest = took;
	}
	print_message("# %llu mutations, half of them by structure, in %.0f s; slowest %.3f s; made: "
		      "%llu by bytes, %llu by structure\n",
		      (unsigned long long)n, seconds_now() - start, slowest,
		      (unsigned long long)n_made[0], (unsigned long long)n_made[1]);
	/* both happen on both ways, or the mutations are no test */
	for (unsigned i = 0; i < 2 && n >= 1000; i++) {
		assert_true(n_made[i] > 0);
		assert_true(n_made[i] < n_of[i]);
	}
}

#ifdef LIMITED
/* As prlimit --as --cpu would; a lower limit that is there stays. */
static bool limit(__rlimit_resource_t resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return false;
	now.rlim_max = now.rlim_max == RLIM_INFINITY || now.rlim_max > most ? most : now.rlim_max;
	now.rlim_cur = now.rlim_max;
	return setrlimit(resource, &now) == 0;
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_decoder_survives_mutations)};

#ifdef LIMITED
	if (!limit(RLIMIT_AS, 512UL << 20) || !limit(RLIMIT_CPU, 4 * 3600))
		return 99;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
