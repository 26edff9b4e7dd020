/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What this device says it is: its base id and the name that people know. Digests prove the rest. */
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

struct device {
	char *base; /* "debian:12:amd64" */
	char *name; /* "Debian GNU/Linux 12" */
};

/* Reads os-release and the package database below root_fd. -BSI_E_BASE with words. */
int device_read(int root_fd, struct device **ret, struct error *reterr) MUST_CHECK;
void device_free(struct device *d);
DEFINE_FREEP(device)
