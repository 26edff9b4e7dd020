/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Transfer from a file address: a repository on a disk, or mounted from somewhere. */
#include "fetch/session.h"

/* As fetch_get(), for a file address; ret->bytes is the offset at first. */
int local_get(const struct fetch_request *request, struct fetch_result *ret,
	struct error *reterr) MUST_CHECK;
