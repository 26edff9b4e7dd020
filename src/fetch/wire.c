/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/wire.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

struct wire wire_of_nothing(void)
{
	struct wire w = {};

	for (size_t i = 0; i < WIRE_SOCKETS_MAX; i++)
		w.sockets[i].fd = -1;
	return w;
}

static struct wire_socket *socket_of(struct wire *w, int fd)
{
	for (size_t i = 0; i < WIRE_SOCKETS_MAX; i++)
		if (w->sockets[i].fd == fd)
			return &w->sockets[i];
	return NULL;
}

/* A socket that finds no room, or that the kernel has no figures for, is not counted. */
void wire_add(struct wire *w, int fd)
{
	struct wire_socket *s = socket_of(w, -1);

	if (s)
		*s = (struct wire_socket){.fd = fd};
}

static void count_socket(struct wire *w, struct wire_socket *s)
{
	struct tcp_info info = {};
	socklen_t len = sizeof info;
	uint64_t sent, received;

	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
		len < offsetof(struct tcp_info, tcpi_bytes_retrans) +
				sizeof info.tcpi_bytes_retrans)
		return;
	sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	received = info.tcpi_bytes_received;
	w->sent_bytes += sent - s->sent_bytes;
	w->received_bytes += received - s->received_bytes;
	s->sent_bytes = sent;
	s->received_bytes = received;
}

void wire_drop(struct wire *w, int fd)
{
	struct wire_socket *s = socket_of(w, fd);

	if (!s)
		return;
	count_socket(w, s);
	s->fd = -1;
}

void wire_count(struct wire *w)
{
	for (size_t i = 0; i < WIRE_SOCKETS_MAX; i++)
		if (w->sockets[i].fd >= 0)
			count_socket(w, &w->sockets[i]);
}
