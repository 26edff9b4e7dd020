/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What crosses the wire, as the kernel counts it: TCP payload in both directions, TLS and framing
 * included, and a FIN as one byte. libcurl's own figures stop above TLS.
 */
#include <stdint.h>

#define WIRE_SOCKETS_MAX 8

/* Sockets of libcurl's that are open, with what was counted of them so far. */
struct wire {
	struct wire_socket {
		int fd; /* -1: free */
		uint64_t sent_bytes, received_bytes;
	} sockets[WIRE_SOCKETS_MAX];
	uint64_t sent_bytes, received_bytes;
};

struct wire wire_of_nothing(void);
void wire_add(struct wire *w, int fd);
/* Count what came since the last look; before the socket is closed. */
void wire_drop(struct wire *w, int fd);
void wire_count(struct wire *w);
