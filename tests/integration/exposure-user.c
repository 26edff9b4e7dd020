/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that runs code in one of the ways that hide where it comes from, and then waits. Prints
 * "ready" when it does. Needs no library, so that it can be linked statically.
 *
 *   memfd FILE      maps a copy of FILE that lies in memory alone
 *   anonymous FILE  copies FILE into memory of its own, and makes that executable
 *   compiler        makes memory executable that holds a few instructions
 *   packed          moves its own code into memory, and lets go of its file
 *   nothing         waits
 *   workers         maps nothing, and has three children that wait
 *   execute FILE    becomes FILE, which is read into memory first; it waits by itself
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_MAX_BYTES (64U << 20)
#define ROWS_MAX_BYTES 65536

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *read_whole(const char *path, size_t *ret_len)
{
	char *bytes = malloc(FILE_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*ret_len = 0;
	if (!bytes || fd < 0)
		fail(path);
	while ((n = read(fd, bytes + *ret_len, FILE_MAX_BYTES - *ret_len)) > 0)
		*ret_len += (size_t)n;
	(void)close(fd);
	return bytes;
}

static int in_memory(const char *path)
{
	size_t len;
	char *bytes = read_whole(path, &len);
	int fd = memfd_create("a name", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		fail("memfd");
	free(bytes);
	return fd;
}

static void map_memfd(const char *path)
{
	int fd = in_memory(path);

	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		fail("mmap");
}

static void make_code(const void *bytes, size_t len)
{
	void *to = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED)
		fail("mmap");
	memcpy(to, bytes, len);
	if (mprotect(to, len, PROT_READ | PROT_EXEC) < 0)
		fail("mprotect");
}

static void copy_file(const char *path)
{
	size_t len;
	char *bytes = read_whole(path, &len);

	make_code(bytes, len);
	free(bytes);
}

/* Every mapping of a file gives its place to a copy in memory; the code goes on in the copy. */
static void let_go_of_files(void)
{
	static char rows[ROWS_MAX_BYTES];
	size_t len;
	char *text = read_whole("/proc/self/maps", &len);

	if (len >= sizeof rows)
		fail("maps");
	memcpy(rows, text, len);
	free(text);
	for (char *line = rows, *end; (end = strchr(line, '\n')); line = end + 1) {
		uintptr_t start, stop;
		char permissions[5];
		void *copy;
		int p;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &stop, permissions) != 3 ||
			!memchr(line, '/', (size_t)(end - line)))
			continue;
		copy = mmap(NULL, stop - start, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (copy == MAP_FAILED)
			fail("mmap");
		memcpy(copy, (const void *)start, stop - start);
		p = permissions[2] == 'x' ? PROT_READ | PROT_EXEC :
		    permissions[1] == 'w' ? PROT_READ | PROT_WRITE :
					    PROT_READ;
		if (mprotect(copy, stop - start, p) < 0 ||
			mremap(copy, stop - start, stop - start, MREMAP_MAYMOVE | MREMAP_FIXED,
				(void *)start) == MAP_FAILED)
			fail("mremap");
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";

	if (strcmp(how, "memfd") == 0)
		map_memfd(path);
	else if (strcmp(how, "anonymous") == 0)
		copy_file(path);
	else if (strcmp(how, "compiler") == 0)
		make_code("\x90\x90\xc3", 3);
	else if (strcmp(how, "packed") == 0)
		let_go_of_files();
	else if (strcmp(how, "execute") == 0)
		(void)fexecve(in_memory(path), (char *[]){argv[2], argv[3], NULL}, (char *[]){NULL});
	else if (strcmp(how, "workers") == 0)
		for (int i = 0; i < 3; i++)
			if (fork() == 0)
				break;
	(void)!write(STDOUT_FILENO, "ready\n", 6);
	for (;;)
		(void)pause();
}
