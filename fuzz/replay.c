/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over files, so that every build replays the corpus, whatever the compiler. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#include <fcntl.h>

#define INPUT_MAX_BYTES (16U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		AUTO_DONE(buffer) struct buffer input = buffer_of(INPUT_MAX_BYTES);
		AUTO_CLOSE int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		int r = fd < 0 ? -1 : file_read_fd(fd, INPUT_MAX_BYTES, &input);

		if (r < 0) {
			fprintf(stderr, "%s: cannot be read\n", argv[i]);
			return EXIT_FAILURE;
		}
		(void)LLVMFuzzerTestOneInput(input.data ? input.data : (const uint8_t *)"", input.len);
	}
	printf("%d inputs replayed\n", argc - 1);
	return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
