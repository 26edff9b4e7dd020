/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cgroup.h"
#include "base/error.h"

#define NOBODY ((uid_t)-1)
#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct row {
	const char *text;
	enum cgroup_kind kind;
	const char *unit;
	uid_t user;
	bool is_manager;
} rows[] = {
	{"0::/system.slice/ssh.service\n", CGROUP_SERVICE, "ssh.service", NOBODY, false},
	{"0::/init.scope\n", CGROUP_INIT, "init.scope", NOBODY, false},
	{"0::/\n", CGROUP_NONE, "", NOBODY, false},
	{"", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/system-getty.slice/getty@tty1.service\n", CGROUP_SERVICE,
		"getty@tty1.service", NOBODY, false},
	{"0::/system.slice/postgresql@15-main.service\n", CGROUP_SERVICE, "postgresql@15-main.service",
		NOBODY, false},
	{"0::/system.slice/systemd-udevd.service/udev\n", CGROUP_SERVICE, "systemd-udevd.service",
		NOBODY, false},
	{"0::/system.slice/dev-disk-by\\x2duuid-1.swap\n", CGROUP_UNIT, "dev-disk-by\\x2duuid-1.swap",
		NOBODY, false},
	{"0::/system.slice/docker-0123456789ab.scope\n", CGROUP_UNIT, "docker-0123456789ab.scope",
		NOBODY, false},
	{"0::/system.slice/_cpu.service\n", CGROUP_SERVICE, "cpu.service", NOBODY, false},
	{"0::/ssh.service\n", CGROUP_SERVICE, "ssh.service", NOBODY, false},
	/* sessions */
	{"0::/user.slice/user-1000.slice/session-3.scope\n", CGROUP_SESSION, "session-3.scope", 1000,
		false},
	{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", CGROUP_SESSION,
		"user@1000.service", 1000, true},
	{"0::/user.slice/user-0.slice/user@0.service/app.slice/vim.service\n", CGROUP_SESSION,
		"user@0.service", 0, false},
	/* what users and containers name themselves stands below, and counts for nothing */
	{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service\n", CGROUP_SESSION,
		"user@1000.service", 1000, false},
	{"0::/user.slice/user-1000.slice/user@1000.service/system.slice/ssh.service\n", CGROUP_SESSION,
		"user@1000.service", 1000, false},
	{"0::/system.slice/docker-0123.scope/system.slice/ssh.service\n", CGROUP_UNIT,
		"docker-0123.scope", NOBODY, false},
	{"0::/docker/0123/system.slice/ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/lxc.payload.box/system.slice/ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/user.slice/user-1000.slice/x.service\n", CGROUP_SERVICE, "x.service", NOBODY,
		false},
	{"0::/machine.slice/user-1000.slice/x.service\n", CGROUP_SERVICE, "x.service", NOBODY, false},
	{"0::/user.slice/user-99999999999.slice/x.service\n", CGROUP_SERVICE, "x.service", NOBODY,
		false},
	{"0::/user.slice/user-4294967295.slice/x.service\n", CGROUP_SERVICE, "x.service", NOBODY,
		false},
	/* names that no unit has */
	{"0::/system.slice/ssh.service; reboot\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/$(reboot).service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/ssh .service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/..service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/ssh.service (deleted)\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice//ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/../ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/../../system.slice/ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/\033[2Jssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"0::/system.slice/" LONG_64 LONG_64 LONG_64 LONG_64 ".service\n", CGROUP_NONE, "", NOBODY,
		false},
	/* the older hierarchies */
	{"9:name=systemd:/system.slice/cron.service\n8:pids:/system.slice/cron.service\n0::/\n",
		CGROUP_SERVICE, "cron.service", NOBODY, false},
	{"1:name=systemd:/user.slice/user-5.slice/session-c1.scope\n", CGROUP_SESSION,
		"session-c1.scope", 5, false},
	{"9:name=systemd:/system.slice/evil.service\n0::/system.slice/ssh.service\n", CGROUP_SERVICE,
		"ssh.service", NOBODY, false},
	{"5:cpu,cpuacct:/system.slice/ssh.service\n", CGROUP_NONE, "", NOBODY, false},
	{"4:memory:/a:b:c\n0::/system.slice/ssh.service\n", CGROUP_SERVICE, "ssh.service", NOBODY,
		false},
};

static void test_cgroup_names_the_unit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct cgroup g;

		print_message("# row %zu\n", i);
		assert_int_equal(cgroup_parse(rows[i].text, strlen(rows[i].text), &g), 0);
		assert_string_equal(g.unit, rows[i].unit);
		assert_int_equal(g.kind, rows[i].kind);
		assert_int_equal(g.user, rows[i].user);
		assert_int_equal(g.is_manager, rows[i].is_manager);
	}
}

static void test_cgroup_refuses_other_text(void **state)
{
	static const char *const bad[] = {"\n", "0:/a\n", "x::/a\n", "::/a\n", "0::a\n", "0::\n", "0\n",
		"0::/a\n\n0::/b\n", "-1::/\n", " 0::/\n"};
	struct cgroup g;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(cgroup_parse(bad[i], strlen(bad[i]), &g), -BSI_E_FORMAT);
	assert_int_equal(cgroup_parse("0::/a\0b\n", 8, &g), -BSI_E_FORMAT);
	assert_int_equal(cgroup_parse(bad[0], CGROUP_TEXT_MAX_BYTES + 1, &g), -BSI_E_FORMAT);
}

/* Cut anywhere and with any bit flipped: no unit comes out that was not written there. */
static void test_cgroup_damage_names_no_other_unit(void **state)
{
	static const char text[] = "4:pids:/system.slice/a.service\n0::/user.slice/user-1000.slice/b.scope\n";
	const size_t len = sizeof text - 1;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		char *copy = malloc(n + 1);
		struct cgroup g;

		assert_non_null(copy);
		memcpy(copy, text, n);
		if (cgroup_parse(copy, n, &g) == 0)
			assert_true(g.unit[0] == '\0' || strstr(text, g.unit));
		free(copy);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		char copy[sizeof text];
		struct cgroup g;

		memcpy(copy, text, sizeof text);
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		if (cgroup_parse(copy, len, &g) == 0)
			for (const char *c = g.unit; *c; c++)
				assert_true((unsigned char)*c > 0x20 && *c != '/' && *c != '\x7f');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup_names_the_unit),
		cmocka_unit_test(test_cgroup_refuses_other_text),
		cmocka_unit_test(test_cgroup_damage_names_no_other_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
