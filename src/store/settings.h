/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Small things that stay: the owner's configuration, where the device is enrolled, and the time
 * that a clock may not go behind. The objects are the caller's; the store keeps them whole.
 */
#include <stdint.h>

#include "base/json.h"
#include "store/store.h"

#define SETTINGS_MAX_BYTES (64U << 10)

/* An empty object where nothing was configured. The caller owns *ret. */
int store_config_load(struct store *s, json_t **ret, struct error *reterr) MUST_CHECK;
int store_config_save(struct store *s, const json_t *config, struct error *reterr) MUST_CHECK;

/* {"url":..., "base":..., ...}; -BSI_E_ENROL where the device is not enrolled. */
int store_enrolment_load(struct store *s, json_t **ret, struct error *reterr) MUST_CHECK;
int store_enrolment_save(struct store *s, const json_t *enrolment, struct error *reterr)
	MUST_CHECK;
/* 0 also when there was none. */
int store_enrolment_drop(struct store *s, struct error *reterr) MUST_CHECK;

/* Newest time of issue seen in offline-signed metadata; 0 on a fresh device. */
int store_floor_get(struct store *s, int64_t *ret_utc_s, struct error *reterr) MUST_CHECK;
/* Another publisher's times say nothing about this one's: the floor begins anew. */
int store_floor_reset(struct store *s, struct error *reterr) MUST_CHECK;
/* Raises the floor; a lower value changes nothing and is no error. */
int store_floor_set(struct store *s, int64_t utc_s, struct error *reterr) MUST_CHECK;
