/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ISSUED_UTC_S 1764000000

static char *text(const char *t)
{
	char *copy = strdup(t);

	assert_non_null(copy);
	return copy;
}

static void *room(size_t n, size_t bytes)
{
	void *p = calloc(n, bytes);

	assert_non_null(p);
	return p;
}

struct digest example_digest(uint8_t byte)
{
	struct digest d;

	memset(d.bytes, byte, sizeof d.bytes);
	return d;
}

static void fill_files(struct component *c)
{
	c->n_files = 2;
	c->files = room(2, sizeof *c->files);
	c->files[0] = (struct patched_file){text("usr/lib/x86_64-linux-gnu/libcrypto.so.3"),
		{.mode = 0644}, 4709512, example_digest(0x11), false};
	c->files[1] = (struct patched_file){text("usr/lib/x86_64-linux-gnu/libssl.so.3"),
		{.mode = 0644}, 696496, example_digest(0x12), false};
	c->n_sets = 2;
	c->sets = room(2, sizeof *c->sets);
	for (uint8_t i = 0; i < 2; i++) {
		c->sets[i].name = text(i == 0 ? "3.0.11-1~deb12u1" : "3.0.11-1~deb12u2");
		c->sets[i].files = room(2, sizeof *c->sets[i].files);
		for (uint8_t j = 0; j < 2; j++)
			c->sets[i].files[j] = (struct set_file){true,
				example_digest((uint8_t)(0x20 + 0x10 * i + j)), c->files[j].access};
	}
}

static void fill_openssl(struct component *c)
{
	c->name = text("openssl");
	c->n_packages = 1;
	c->packages = room(1, sizeof *c->packages);
	c->packages[0].name = text("libssl3");
	c->packages[0].n_from = 2;
	c->packages[0].from = room(2, sizeof *c->packages[0].from);
	c->packages[0].from[0] = text("3.0.11-1~deb12u1");
	c->packages[0].from[1] = text("3.0.11-1~deb12u2");
	c->packages[0].to = text("3.0.11-1~deb12u3");
	c->n_cves = 2;
	c->cves = room(2, sizeof *c->cves);
	c->cves[0] = text("CVE-2026-0001");
	c->cves[1] = text("CVE-2026-123456");
	c->image = (struct image_ref){example_digest(0xaa), 5550080, example_digest(0xab), {0xac},
		5505024, example_digest(0xad)};
	fill_files(c);
	c->n_payloads = 2;
	c->payloads = room(2, sizeof *c->payloads);
	c->payloads[0] = (struct payload){text("full"), 1, text("aa.full.zst"), 2000000,
		example_digest(0xba), 16777216, NULL};
	c->payloads[1] = (struct payload){text("delta"), 7, text("aa.u2.delta"), 20000,
		example_digest(0xbb), 33554432, text("3.0.11-1~deb12u2")};
}

static void fill_su(struct component *c)
{
	c->name = text("su");
	c->activation = ACTIVATION_IDLE;
	c->image = (struct image_ref){example_digest(0xca), 81920, example_digest(0xcb), {0xcc},
		73728, example_digest(0xcd)};
	c->n_files = 1;
	c->files = room(1, sizeof *c->files);
	c->files[0] = (struct patched_file){text("usr/bin/su"), {.gid = 12, .mode = 04755}, 72000,
		example_digest(0x13), true};
	c->n_sets = 2;
	c->sets = room(2, sizeof *c->sets);
	c->sets[0].name = text("old");
	c->sets[0].files = room(1, sizeof *c->sets[0].files);
	c->sets[0].files[0] = (struct set_file){true, example_digest(0x41),
		{.uid = 7, .gid = 13, .mode = 0750, .has_attributes = true,
			.attributes = example_digest(0x51)}};
	c->sets[1].name = text("without");
	c->sets[1].files = room(1, sizeof *c->sets[1].files);
	c->n_payloads = 1;
	c->payloads = room(1, sizeof *c->payloads);
	c->payloads[0] = (struct payload){text("full"), 1, text("ca.full.zst"), 30000,
		example_digest(0xbc), 16777216, NULL};
}

struct manifest *example_manifest(void)
{
	struct manifest *m = room(1, sizeof *m);

	m->base = text("debian:12:amd64");
	m->name = text("Debian GNU/Linux 12");
	m->letter = text("b");
	m->build = 2;
	m->issued_utc_s = ISSUED_UTC_S;
	m->severity = text("high");
	m->text = text("Fixes a heap overflow, \"quoted\" and \\ too: Gr\xc3\xbc\xc3\x9f" "e");
	m->n_components = 2;
	m->components = room(2, sizeof *m->components);
	fill_openssl(&m->components[0]);
	fill_su(&m->components[1]);
	return m;
}

struct index *example_index(void)
{
	struct index *index = room(1, sizeof *index);

	index->base = text("debian:12:amd64");
	index->name = text("Debian GNU/Linux 12");
	index->issued_utc_s = ISSUED_UTC_S;
	index->minimum = text("b");
	index->n_entries = 3;
	index->entries = room(3, sizeof *index->entries);
	index->entries[0] = (struct index_entry){text("a"), 1, text("manifest-1.json"),
		ISSUED_UTC_S - 200, WITHDRAW_REMOVE, text("breaks sshd"), ISSUED_UTC_S - 100};
	index->entries[1] = (struct index_entry){text("b"), 2, text("manifest-2.json"),
		ISSUED_UTC_S - 90, WITHDRAW_STOP, text("slow"), ISSUED_UTC_S - 50};
	index->entries[2] = (struct index_entry){text("c"), 5, text("manifest-5.json"),
		ISSUED_UTC_S, WITHDRAW_NONE, NULL, 0};
	return index;
}

char *example_replaced(const char *from_text, const char *from, const char *to)
{
	const char *at = strstr(from_text, from);
	char *out;

	if (!at)
		fail_msg("the example does not hold %s", from);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - from_text), from_text, to,
			    at + strlen(from)) > 0);
	return out;
}
