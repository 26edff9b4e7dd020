/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Built without libsystemd: nothing can be asked. */
#include "agent/systemd.h"

#define ABSENT "this bsi was built without libsystemd"

int systemd_open(struct systemd **ret, struct error *reterr)
{
	*ret = NULL;
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

void systemd_free(struct systemd *s)
{
	(void)s;
}

int systemd_progress(struct systemd_progress *ret, struct error *reterr)
{
	*ret = (struct systemd_progress){0};
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

int systemd_unit_of(struct systemd *s, pid_t pid, char ret_unit[static CGROUP_UNIT_MAX])
{
	(void)s;
	(void)pid;
	ret_unit[0] = '\0';
	return -BSI_E_UNSUPPORTED;
}

int systemd_unit_facts(struct systemd *s, const char *unit, struct unit_facts *ret,
	struct error *reterr)
{
	(void)s;
	(void)unit;
	*ret = (struct unit_facts){0};
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

void unit_facts_done(struct unit_facts *f)
{
	*f = (struct unit_facts){0};
}

int systemd_restart(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
{
	(void)s;
	(void)unit;
	(void)timeout_s;
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

int systemd_settle(struct systemd *s, const char *unit, unsigned timeout_s, struct unit_end *ret,
	struct error *reterr)
{
	(void)s;
	(void)unit;
	(void)timeout_s;
	*ret = (struct unit_end){0};
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

int systemd_start(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
{
	(void)s;
	(void)unit;
	(void)timeout_s;
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}

int systemd_reexecute(struct systemd *s, unsigned timeout_s, struct error *reterr)
{
	(void)s;
	(void)timeout_s;
	return error_set(reterr, -BSI_E_UNSUPPORTED, ABSENT);
}
