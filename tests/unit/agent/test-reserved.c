/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/reserved.h"
#include "base/file.h"

static void test_reserved_last_rule_decides(void **state)
{
	static const char text[] = "# sessions\n\n  getty@*.service\t \ndbus.service   reboot\n"
				   "*.scope ask\nearly.service boot\n!getty@tty9.service\nlast.service";
	static const struct {
		const char *unit;
		enum reserved_kind kind;
	} rows[] = {{"getty@tty1.service", RESERVED_ASK}, {"getty@tty9.service", RESERVED_NO},
		{"dbus.service", RESERVED_REBOOT}, {"dbus.service.d", RESERVED_NO},
		{"session-1.scope", RESERVED_ASK}, {"ssh.service", RESERVED_NO},
		{"early.service", RESERVED_BOOT}, {"# sessions", RESERVED_NO}, {"last.service", RESERVED_ASK}};
	struct reserved r = {0};
	struct error e;

	(void)state;
	assert_int_equal(reserved_parse(text, sizeof text - 1, &r, &e), 0);
	assert_int_equal(r.n_rules, 6);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(reserved_find(&r, rows[i].unit), rows[i].kind);
	reserved_done(&r);
}

static void test_reserved_refuses_by_line(void **state)
{
	static const char *const bad[] = {"\n!", "\n! a.service", "\na b", "\na ask now", "\n!a boot", "\na boots", "\n!a ask",
		"\na/b", "\na\001b", "\na.service\r", "\nrebooted.service REBOOT"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct reserved r = {0};
		struct error e = {0};

		assert_int_equal(reserved_parse(bad[i], strlen(bad[i]), &r, &e), -BSI_E_FORMAT);
		assert_non_null(strstr(e.text, "line 2"));
		assert_int_equal(r.n_rules, 0);
		reserved_done(&r);
	}
}

/* Cut at each byte: never a crash, and never more rules than lines. */
static void test_reserved_bears_any_cut(void **state)
{
	static const char text[] = "a ask\n!b*\nc reboot\n# x\n";

	(void)state;
	for (size_t n = 0; n < sizeof text; n++) {
		char *copy = malloc(n + 1);
		struct reserved r = {0};
		struct error e;

		assert_non_null(copy);
		memcpy(copy, text, n);
		(void)!reserved_parse(copy, n, &r, &e);
		assert_true(r.n_rules <= 4);
		reserved_done(&r);
		free(copy);
	}
}

static void put(int root, const char *path, const char *text)
{
	assert_int_equal(file_replace(root, path, text, strlen(text), 0644), 0);
}

static void test_reserved_owner_replaces_and_adds(void **state)
{
	char dir[] = "/tmp/test-reserved.XXXXXX";
	struct reserved r = {0};
	struct error e = {0};
	int root, tmp;

	(void)state;
	assert_non_null(mkdtemp(dir));
	root = open(dir, O_PATH | O_DIRECTORY);
	assert_true(root >= 0);
	assert_int_equal(reserved_load(root, &r, &e), 0);
	assert_int_equal(r.n_rules, 0);

	assert_int_equal(file_make_dirs(root, RESERVED_SHIPPED, 0755), 0);
	assert_int_equal(file_make_dirs(root, RESERVED_OWNERS, 0755), 0);
	put(root, RESERVED_SHIPPED "/50-bsi.conf", "a.service\nb.service\n");
	put(root, RESERVED_SHIPPED "/10-first.conf", "c.service\n");
	put(root, RESERVED_OWNERS "/10-first.conf", "");
	put(root, RESERVED_OWNERS "/60-own.conf", "!b.service\nd.service reboot\n");
	put(root, RESERVED_OWNERS "/70-no-list", "e.service\n");
	assert_int_equal(reserved_load(root, &r, &e), 0);
	assert_int_equal(reserved_find(&r, "a.service"), RESERVED_ASK);
	assert_int_equal(reserved_find(&r, "b.service"), RESERVED_NO);
	assert_int_equal(reserved_find(&r, "c.service"), RESERVED_NO);
	assert_int_equal(reserved_find(&r, "d.service"), RESERVED_REBOOT);
	assert_int_equal(reserved_find(&r, "e.service"), RESERVED_NO);
	reserved_done(&r);

	put(root, RESERVED_OWNERS "/60-own.conf", "two words here\n");
	assert_int_equal(reserved_load(root, &r, &e), -BSI_E_FORMAT);
	assert_non_null(strstr(e.text, "/etc/bsi/reserved.d/60-own.conf"));
	(void)close(root);
	tmp = open("/tmp", O_PATH | O_DIRECTORY);
	assert_int_equal(file_remove_tree(tmp, dir + strlen("/tmp/")), 0);
	(void)close(tmp);
}

/* What takes away the network, sessions, containers or the bus; names as Debian's packages have them. */
static void test_reserved_ships_what_a_restart_would_break(void **state)
{
	static const char *const units[] = {"dbus.service", "systemd-logind.service", "gdm3.service",
		"getty@tty1.service", "NetworkManager.service", "systemd-networkd.service",
		"ModemManager.service", "bluetooth.service", "hostapd.service", "wpa_supplicant.service",
		"openvpn@office.service", "wg-quick@wg0.service", "tinc@net.service", "strongswan.service",
		"ipsec.service", "ppp@dsl.service", "xl2tpd.service", "bird.service", "bird6.service",
		"frr.service", "quagga.service", "keepalived.service", "docker.service", "lxc@a.service",
		"rc-local.service", "libvirt-guests.service", "virtlogd.service", "mythtv-backend.service",
		"networkd-dispatcher.service", "xendomains.service", "zfs-fuse.service", "bsi.service"};
	struct reserved r = {0};
	struct error e = {0};
	char text[16384];
	size_t n;
	FILE *f = fopen(getenv("BSI_RESERVED_CONF"), "re");

	(void)state;
	assert_non_null(f);
	n = fread(text, 1, sizeof text, f);
	assert_in_range(n, 1, sizeof text - 1);
	(void)fclose(f);
	assert_int_equal(reserved_parse(text, n, &r, &e), 0);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (reserved_find(&r, units[i]) == RESERVED_NO)
			fail_msg("%s would be restarted", units[i]);
	assert_int_equal(reserved_find(&r, "nginx.service"), RESERVED_NO);
	assert_int_equal(reserved_find(&r, "ssh.service"), RESERVED_NO);
	reserved_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserved_last_rule_decides),
		cmocka_unit_test(test_reserved_refuses_by_line),
		cmocka_unit_test(test_reserved_bears_any_cut),
		cmocka_unit_test(test_reserved_owner_replaces_and_adds),
		cmocka_unit_test(test_reserved_ships_what_a_restart_would_break),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
