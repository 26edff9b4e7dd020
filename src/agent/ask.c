/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/ask.h"

#include "agent/status.h"

int ask_publisher(struct agent *a, const struct asking *asking, struct remote **ret_remote,
	struct decision *ret, struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	int r;

	r = context_begin(a, reterr);
	if (r == 0)
		r = context_remote(a, &remote, reterr);
	if (r == 0)
		r = remote_refresh(remote, reterr);
	if (r == 0)
		r = context_decide(a, remote_index(remote), asking, ret, reterr);
	if (r < 0)
		return r;
	status_keep_decision(a, ret, remote_expires_utc_s(remote));
	*ret_remote = take_ptr(remote);
	return 0;
}

int ask_anew(struct agent *a, struct remote **remote, struct error *reterr)
{
	AUTO(remote) struct remote *now = NULL;
	int r = context_remote(a, &now, reterr);

	if (r == 0 && remote_is_as(*remote, now))
		return 0;
	remote_free(take_ptr(*remote));
	*remote = take_ptr(now);
	return r < 0 ? r : 1;
}

int ask_again(struct agent *a, const struct asking *asking, struct remote **remote,
	struct decision *ret, struct error *reterr)
{
	int r = ask_anew(a, remote, reterr);

	if (r > 0)
		r = remote_refresh(*remote, reterr);
	if (r == 0)
		r = context_decide(a, remote_index(*remote), asking, ret, reterr);
	if (r < 0)
		return r;
	status_keep_decision(a, ret, remote_expires_utc_s(*remote));
	return 0;
}
