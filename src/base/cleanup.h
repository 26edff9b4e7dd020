/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Ownership, said in the declaration: AUTO_FREE for malloc'ed memory, AUTO_CLOSE for a descriptor,
 * AUTO(noun) for a struct noun * that noun_free() ends. take_ptr() and take_fd() hand ownership on
 * and leave NULL or -EBADF behind. A destructor keeps errno.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void auto_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void auto_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -EBADF;
	errno = saved;
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

#define AUTO_FREE __attribute__((cleanup(auto_freep)))
#define AUTO_CLOSE __attribute__((cleanup(auto_closep)))
#define AUTO(noun) __attribute__((cleanup(noun##_freep)))

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/* Beside the prototype of noun_free(struct noun *): lets AUTO(noun) end a struct noun *. */
#define DEFINE_FREEP(noun)                                                                         \
	static inline void noun##_freep(struct noun **p)                                           \
	{                                                                                          \
		noun##_free(*p);                                                                   \
		*p = NULL;                                                                         \
	}

/* Beside the prototype of noun_done(struct noun *): lets AUTO_DONE(noun) end a struct noun. */
#define AUTO_DONE(noun) __attribute__((cleanup(noun##_done)))
