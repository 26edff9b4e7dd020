/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where keys lie, and the passphrase that opens them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/bsi-publish.h"

#define PASSPHRASE_MAX_BYTES 1024
/* How soon a signal is noticed while a passphrase is asked for. */
#define PROMPT_STEP_MS 200

int publish_keys_path(const struct verb_call *call, const char *repository, const char *option,
	const char *suffix, char **ret)
{
	const char *given = call_value(call, option);
	size_t len = strlen(repository);

	while (len > 1 && repository[len - 1] == '/')
		len--;
	if (given)
		*ret = strdup(given);
	else if (asprintf(ret, "%.*s%s", (int)len, repository, suffix) < 0)
		*ret = NULL;
	return *ret ? 0 : -ENOMEM;
}

void publish_secret_done(struct publish_secret *s)
{
	if (s->text) {
		explicit_bzero(s->text, s->len);
		free(s->text);
	}
	*s = (struct publish_secret){};
}

/* The first line of a descriptor. */
static int read_line(int fd, const char *what, struct publish_secret *ret, struct error *reterr)
{
	char text[PASSPHRASE_MAX_BYTES + 1];
	size_t len = 0;
	int r = 0;

	while (len < sizeof text) {
		ssize_t n = read(fd, text + len, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = error_set(reterr, -errno, "%s: %s", what, strerrordesc_np(errno));
		if (n <= 0 || text[len] == '\n')
			break;
		len++;
	}
	if (r == 0 && len == sizeof text)
		r = error_set(reterr, -BSI_E_LIMIT, "%s: longer than %d bytes", what,
			PASSPHRASE_MAX_BYTES);
	if (r == 0 && len == 0)
		r = error_set(reterr, -BSI_E_USAGE, "%s: the passphrase is empty", what);
	if (r == 0 && memchr(text, '\0', len))
		r = error_set(reterr, -BSI_E_USAGE, "%s: the passphrase holds a NUL byte", what);
	if (r == 0) {
		ret->text = calloc(len + 1, 1);
		r = ret->text ? 0 : -ENOMEM;
	}
	if (r == 0) {
		memcpy(ret->text, text, len);
		ret->len = len;
	}
	explicit_bzero(text, sizeof text);
	return r;
}

/* While the terminal is silent nothing may end or stop this process: the shell would be, too. */
static void hold_signals(sigset_t *ret_before)
{
	static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		(void)sigaddset(&set, held[i]);
	(void)sigprocmask(SIG_BLOCK, &set, ret_before);
}

/*
 * Wait for a line, or for a signal that is held, which gives -EINTR. The descriptor is ready when
 * the terminal has a whole line.
 */
static int wait_line(int tty)
{
	struct pollfd ready = {.fd = tty, .events = POLLIN};
	const struct timespec step = {.tv_nsec = PROMPT_STEP_MS * 1000 * 1000};

	for (;;) {
		sigset_t pending;
		int n = ppoll(&ready, 1, &step, NULL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return 0;
		if (sigpending(&pending) == 0 && !sigisemptyset(&pending))
			return -EINTR;
	}
}

/* Ask on the terminal, which does not show what is typed. */
static int prompt_held(int tty, const char *question, struct publish_secret *ret,
	struct error *reterr)
{
	struct termios before, silent;
	int r;

	if (tcgetattr(tty, &before) < 0)
		return error_set(reterr, -errno, "terminal: %s", strerrordesc_np(errno));
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)dprintf(tty, "%s: ", question);
	if (tcsetattr(tty, TCSAFLUSH, &silent) < 0)
		return error_set(reterr, -errno, "terminal: %s", strerrordesc_np(errno));
	r = wait_line(tty);
	r = r < 0 ? error_set(reterr, r, "terminal: %s", error_text(r))
		  : read_line(tty, "terminal", ret, reterr);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	(void)dprintf(tty, "\n");
	return r;
}

static int prompt(int tty, const char *question, struct publish_secret *ret, struct error *reterr)
{
	sigset_t before;
	int r;

	hold_signals(&before);
	r = prompt_held(tty, question, ret, reterr);
	/* what came in the meantime takes effect now */
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int ask_terminal(const char *what, enum publish_secret_flags flags,
	struct publish_secret *ret, struct error *reterr)
{
	__attribute__((cleanup(publish_secret_done))) struct publish_secret again = {};
	AUTO_CLOSE int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char question[256];
	int r;

	if (tty < 0)
		return error_set(reterr, -BSI_E_USAGE,
			"no terminal to ask for the passphrase: give --passphrase-file, "
			"--passphrase-fd or --no-passphrase");
	(void)snprintf(question, sizeof question, "Passphrase of %s", what);
	r = prompt(tty, question, ret, reterr);
	if (r < 0 || !(flags & PUBLISH_SECRET_NEW))
		return r;
	r = prompt(tty, "Once more", &again, reterr);
	if (r == 0 && strcmp(ret->text, again.text) != 0)
		r = error_set(reterr, -BSI_E_USAGE, "the two passphrases differ");
	if (r < 0)
		publish_secret_done(ret);
	return r;
}

int publish_ask_secret(const struct verb_call *call, enum publish_secret_flags flags,
	const char *what, struct publish_secret *ret, struct error *reterr)
{
	const char *file = call_value(call, "passphrase-file");
	uint64_t number = 0;
	int r;

	if (call_has(call, "passphrase-file") + call_has(call, "passphrase-fd") +
			call_has(call, "no-passphrase") >
		1)
		return error_set(reterr, -BSI_E_USAGE,
			"--passphrase-file, --passphrase-fd and --no-passphrase exclude each other");
	if (call_has(call, "no-passphrase"))
		return 0;
	if (file) {
		AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return error_set(reterr, -errno, "%s: %s", file, strerrordesc_np(errno));
		return read_line(fd, file, ret, reterr);
	}
	if (!call_has(call, "passphrase-fd"))
		return ask_terminal(what, flags, ret, reterr);
	r = call_number(call, "passphrase-fd", 1 << 20, &number, reterr);
	return r < 0 ? r : read_line((int)number, "--passphrase-fd", ret, reterr);
}

static int open_folder(const char *path, struct keyring_folder *ret, struct error *reterr)
{
	*ret = (struct keyring_folder){.path = path};
	ret->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->fd < 0)
		return error_set(reterr, -errno, "keys: %s: %s", path, strerrordesc_np(errno));
	return 0;
}

int publish_load_offline(const struct verb_call *call, const char *repository, const char *role,
	struct publish_secret *secret, struct keyring *ret, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	struct keyring_folder folder;
	int r;

	r = publish_keys_path(call, repository, "keys", "-keys", &path);
	if (r == 0)
		r = open_folder(path, &folder, reterr);
	if (r < 0)
		return r;
	r = keyring_is_encrypted(&folder, role);
	if (r > 0 && !secret->text)
		r = publish_ask_secret(call, 0, path, secret, reterr);
	folder.passphrase = secret->text;
	if (r >= 0)
		r = keyring_load(&folder, role, ret, reterr);
	(void)close(folder.fd);
	return r;
}

int publish_load_online(const struct verb_call *call, const char *repository,
	struct keyring *ret_snapshot, struct keyring *ret_timestamp, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	struct keyring_folder folder;
	int r;

	r = publish_keys_path(call, repository, "online-keys", "-online", &path);
	if (r == 0)
		r = open_folder(path, &folder, reterr);
	if (r < 0)
		return r;
	r = keyring_load(&folder, "snapshot", ret_snapshot, reterr);
	if (r == 0) {
		r = keyring_load(&folder, "timestamp", ret_timestamp, reterr);
		if (r < 0)
			keyring_done(ret_snapshot);
	}
	(void)close(folder.fd);
	return r;
}
