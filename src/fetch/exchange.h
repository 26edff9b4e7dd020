/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One question to a web server and its answer, over a libcurl handle that the session has set up:
 * the header is judged before the body is taken, and each byte of the body is counted before it is
 * written.
 */
#include "fetch/answer.h"
#include "fetch/libcurl.h"
#include "fetch/session.h"

struct exchange {
	const struct fetch_request *request;
	const char *url; /* of this question: after a redirect another than the request's */
	struct question question;
	struct answer answer;
	enum answer_kind kind;
	bool header_complete;
	uint64_t position; /* where the next byte of the body goes */
	uint64_t dropped_bytes, received_bytes;
	int verdict; /* why a callback ended the transfer; its words are in *reterr */
	struct error *reterr;
	char words[CURL_ERROR_SIZE];
};

/*
 * Ask. timeout_s is what is left for the whole file. 0: *x says what came, and for ANSWER_BODY and
 * ANSWER_WHOLE the body is complete in out_fd. Errors as fetch_get().
 */
int exchange_run(struct exchange *x, CURL *easy, long timeout_s) MUST_CHECK;
