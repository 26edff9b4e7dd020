/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A worker may do nothing but its work, and whatever becomes of it, its caller gets an error and
 * goes on. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/worker.h"
#include "base/cleanup.h"

#define MEMORY ((uint64_t)64 << 20)
#define FDS_LOOKED_AT 256

static const struct confine_limits enough = {
	.memory_bytes = MEMORY, .file_bytes = 4096, .processor_s = 60};

static int run(int (*work)(void *, struct error *), void *ctx, const int *fds, size_t n_fds,
	struct error *e)
{
	const struct worker_task task = {.name = "test-worker",
		.work = work,
		.ctx = ctx,
		.fds = fds,
		.n_fds = n_fds,
		.limits = enough};

	return worker_run(&task, e);
}

static int new_file(void)
{
	int fd = memfd_create("worker", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static unsigned count_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Nothing of a worker is left: no process, no descriptor. */
static unsigned before;

static int setup(void **state)
{
	(void)state;
	before = count_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_open(), before);
	return 0;
}

/* With cmocka's own word for it meson would call it a failure. */
static bool is_left_out(const char *why)
{
	if (CONFINE_IS_INSTRUMENTED)
		print_message("# left out: %s\n", why);
	return CONFINE_IS_INSTRUMENTED;
}

/* What it has to be able to do. */

struct copy {
	int from, to;
	size_t memory;
};

static int copy(void *ctx, struct error *reterr)
{
	const struct copy *c = ctx;
	uint8_t *memory = malloc(c->memory);
	ssize_t n;

	(void)reterr;
	if (!memory)
		return -ENOMEM;
	memset(memory, 1, c->memory);
	n = pread(c->from, memory, 100, 0);
	if (n < 0)
		return -errno;
	n = pwrite(c->to, memory, (size_t)n, 0);
	free(memory);
	return n < 0 ? -errno : 0;
}

static void test_worker_works(void **state)
{
	AUTO_CLOSE int from = new_file();
	AUTO_CLOSE int to = new_file();
	struct copy c = {from, to, MEMORY / 2};
	const int fds[] = {to, -EBADF, from, -1};
	struct error e = {0};
	char text[8] = "";

	(void)state;
	assert_int_equal(pwrite(from, "content", 7, 0), 7);
	assert_int_equal(run(copy, &c, fds, ARRAY_SIZE(fds), &e), 0);
	assert_int_equal(pread(to, text, sizeof text, 0), 7);
	assert_string_equal(text, "content");
}

static int find_fault(void *ctx, struct error *reterr)
{
	(void)ctx;
	return error_set(reterr, -BSI_E_DIGEST, "file \"x\"\x1b[31m is another one");
}

static void test_worker_hands_back_code_and_words(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(find_fault, NULL, NULL, 0, &e), -BSI_E_DIGEST);
	assert_int_equal(e.code, -BSI_E_DIGEST);
	assert_string_equal(e.text, "file \"x\"?[31m is another one");
}

static int fail_without_words(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	return -EIO;
}

static void test_worker_code_alone_has_words(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(fail_without_words, NULL, NULL, 0, &e), -EIO);
	assert_string_equal(e.text, error_text(-EIO));
}

/* What it may not do. Each gives 0 if it was refused. */

static int refused(long result)
{
	return result < 0 ? 0 : 1;
}

static int try_open(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	return refused(open("/", O_RDONLY | O_DIRECTORY)) +
	       refused(open("/proc/self/status", O_RDONLY));
}

static int try_change_files(void *ctx, struct error *reterr)
{
	(void)reterr;
	return refused(unlink(ctx)) + refused(mkdir("/tmp/worker", 0700)) +
	       refused(chmod(ctx, 0777)) + refused(rename(ctx, "/tmp/worker"));
}

static int try_network(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	return refused(socket(AF_INET, SOCK_STREAM, 0)) + refused(socket(AF_UNIX, SOCK_STREAM, 0)) +
	       refused(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_descriptors(void *ctx, struct error *reterr)
{
	int ends[2];

	(void)reterr;
	return refused(dup(*(int *)ctx)) + refused(pipe(ends)) + refused(memfd_create("x", 0));
}

static int try_processes(void *ctx, struct error *reterr)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	pid_t pid = fork();

	(void)reterr;
	if (pid == 0)
		_exit(0);
	return refused(pid) + refused(execv("/bin/true", argv)) +
	       refused(kill(*(pid_t *)ctx, SIGURG)) +
	       refused(ptrace(PTRACE_ATTACH, *(pid_t *)ctx, 0, 0)) + refused(setresuid(0, 0, 0));
}

static int try_code(void *ctx, struct error *reterr)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)ctx;
	(void)reterr;
	if (page == MAP_FAILED)
		return -ENOMEM;
	return refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)) +
	       refused((long)mmap(
		       NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) +
	       refused((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

static void test_worker_may_not_open(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(try_open, NULL, NULL, 0, &e), 0);
}

static void test_worker_may_not_change_files(void **state)
{
	char name[] = "/tmp/worker-XXXXXX";
	int fd = mkstemp(name);
	struct error e = {0};
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(run(try_change_files, name, NULL, 0, &e), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)unlink(name);
	(void)close(fd);
}

static void test_worker_has_no_network(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(try_network, NULL, NULL, 0, &e), 0);
}

static void test_worker_gets_no_descriptors(void **state)
{
	AUTO_CLOSE int fd = new_file();
	struct error e = {0};

	(void)state;
	assert_int_equal(run(try_descriptors, &fd, &fd, 1, &e), 0);
}

static void test_worker_starts_and_harms_no_process(void **state)
{
	pid_t self = getpid();
	struct error e = {0};

	(void)state;
	assert_int_equal(run(try_processes, &self, NULL, 0, &e), 0);
}

static void test_worker_runs_no_new_code(void **state)
{
	struct error e = {0};

	(void)state;
	if (is_left_out("sanitizers go without the filter of system calls"))
		return;
	assert_int_equal(run(try_code, NULL, NULL, 0, &e), 0);
}

/* The two that it was given, and one pipe: what answers. */
static int list_open(void *ctx, struct error *reterr)
{
	const int *fds = ctx;
	unsigned n_pipes = 0;
	char byte;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++) {
		bool is_given = fd == fds[0] || fd == fds[1];
		int why = pread(fd, &byte, 1, 0) < 0 ? errno : 0;

		n_pipes += why == ESPIPE;
		if (is_given ? why != 0 : why != EBADF && why != ESPIPE)
			return error_set(reterr, -EMFILE, "%d: %s", fd, error_text(-why));
	}
	return n_pipes == 1 ? 0 : error_set(reterr, -EMFILE, "%u pipes", n_pipes);
}

static void test_worker_has_only_what_it_was_given(void **state)
{
	AUTO_CLOSE int first = new_file();
	AUTO_CLOSE int other = new_file();
	AUTO_CLOSE int second = new_file();
	int fds[] = {second, first};
	struct error e = {0};
	int r;

	(void)state;
	if (is_left_out("sanitizers have descriptors of their own"))
		return;
	r = run(list_open, fds, fds, ARRAY_SIZE(fds), &e);
	assert_string_equal(e.text, "");
	assert_int_equal(r, 0);
	assert_true(other >= 0);
}

/* What it wrote beyond the length is not there. */
static int write_beyond(void *ctx, struct error *reterr)
{
	(void)reterr;
	return pwrite(*(int *)ctx, "x", 1, 4096) < 0 ? -errno : 0;
}

static void test_worker_makes_no_file_longer(void **state)
{
	AUTO_CLOSE int fd = new_file();
	struct error e = {0};
	struct stat st;

	(void)state;
	assert_int_equal(run(write_beyond, &fd, &fd, 1, &e), -BSI_E_WORKER);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* How it may end. */

static int end_by(void *ctx, struct error *reterr)
{
	volatile int *nowhere = ctx;

	(void)reterr;
	return *nowhere;
}

static void test_worker_that_crashes(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(end_by, NULL, NULL, 0, &e), -BSI_E_WORKER);
	if (!CONFINE_IS_INSTRUMENTED)
		assert_string_equal(
			e.text, "test-worker was ended by signal 11 (Segmentation fault)");
}

static void test_worker_whose_file_is_cut(void **state)
{
	AUTO_CLOSE int fd = new_file();
	struct error e = {0};
	int *mapped;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(mapped != MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(run(end_by, mapped, NULL, 0, &e), -BSI_E_WORKER);
	if (!CONFINE_IS_INSTRUMENTED)
		assert_string_equal(e.text, "test-worker was ended by signal 7 (Bus error)");
	(void)munmap(mapped, 4096);
}

static int give_up(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	abort();
}

static void test_worker_that_aborts(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(give_up, NULL, NULL, 0, &e), -BSI_E_WORKER);
}

static int leave(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	_exit(0);
}

static void test_worker_that_leaves(void **state)
{
	struct error e = {0};

	(void)state;
	assert_int_equal(run(leave, NULL, NULL, 0, &e), -BSI_E_WORKER);
	assert_string_equal(e.text, "test-worker ended without an answer");
}

static int want_more(void *ctx, struct error *reterr)
{
	struct copy c = {.memory = (size_t)MEMORY * 2};

	(void)ctx;
	return copy(&c, reterr);
}

static void test_worker_that_wants_more_memory(void **state)
{
	struct error e = {0};

	(void)state;
	if (is_left_out("sanitizers go without the limit on memory"))
		return;
	assert_int_equal(run(want_more, NULL, NULL, 0, &e), -BSI_E_WORKER);
	assert_string_equal(
		e.text, "test-worker needs more than the 67 MB of memory that it may have");
}

static int turn(void *ctx, struct error *reterr)
{
	(void)ctx;
	(void)reterr;
	for (volatile unsigned i = 0;; i++)
		;
	return 0;
}

static void test_worker_that_does_not_end(void **state)
{
	const struct worker_task task = {.name = "test-worker",
		.work = turn,
		.limits = {.memory_bytes = MEMORY, .processor_s = 1}};
	struct error e = {0};

	(void)state;
	assert_int_equal(worker_run(&task, &e), -BSI_E_WORKER);
	assert_true(strstr(e.text, "processor time") || strstr(e.text, "an end"));
}

/* Words that are no answer, on every descriptor that takes them. */
static int lie(void *ctx, struct error *reterr)
{
	char text[4096];

	(void)reterr;
	memset(text, 'x', sizeof text);
	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		if (write(fd, text, *(size_t *)ctx) < 0 && errno != EBADF)
			break;
	_exit(0);
}

static void test_worker_that_lies(void **state)
{
	static const size_t lengths[] = {1, 4, 100, 4096};

	(void)state;
	if (is_left_out("sanitizers write what the answer is looked for in"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t length = lengths[i];
		struct error e = {0};

		assert_int_equal(run(lie, &length, NULL, 0, &e), -BSI_E_WORKER);
		assert_string_equal(e.text, "test-worker answered what it cannot have to say");
	}
}

static int answer_nonsense(void *ctx, struct error *reterr)
{
	(void)reterr;
	return *(int *)ctx;
}

static void test_worker_with_a_code_that_is_none(void **state)
{
	int codes[] = {1, -BSI_E_MAX, INT32_MIN};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct error e = {0};

		assert_int_equal(run(answer_nonsense, &codes[i], NULL, 0, &e), -BSI_E_WORKER);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_worker_works),
		TEST(test_worker_hands_back_code_and_words),
		TEST(test_worker_code_alone_has_words),
		TEST(test_worker_may_not_open),
		TEST(test_worker_may_not_change_files),
		TEST(test_worker_has_no_network),
		TEST(test_worker_gets_no_descriptors),
		TEST(test_worker_starts_and_harms_no_process),
		TEST(test_worker_runs_no_new_code),
		TEST(test_worker_has_only_what_it_was_given),
		TEST(test_worker_makes_no_file_longer),
		TEST(test_worker_that_crashes),
		TEST(test_worker_whose_file_is_cut),
		TEST(test_worker_that_aborts),
		TEST(test_worker_that_leaves),
		TEST(test_worker_that_wants_more_memory),
		TEST(test_worker_that_does_not_end),
		TEST(test_worker_that_lies),
		TEST(test_worker_with_a_code_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
