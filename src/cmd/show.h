/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The documents of the agent as text for a person: standard output, colours only on a terminal. */
#include <jansson.h>

void show_status(const json_t *status);
void show_change(const json_t *change);
void show_check(const json_t *check);
void show_plan(const json_t *plan);
void show_exposure(const json_t *exposure);
void show_history(const json_t *rows);
void show_verify(const json_t *verify);
void show_doctor(const json_t *doctor);
void show_config(const json_t *config);
