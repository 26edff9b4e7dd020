/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The image of a component in the store, proved before it is used. */
#include "agent/context.h"
#include "agent/fit.h"

/*
 * Measure the image of a component that fits through the descriptor that will be mounted, and keep
 * it as image_fd. Where it is missing or damaged the component's problem says so, image_fd stays
 * -EBADF, and a damaged one is dropped from the store. What is measured already is left alone.
 */
int images_measure(struct agent *a, struct fit_component *c, struct error *reterr) MUST_CHECK;

/* Whether every component that fits has its image, measured. True without a fit. */
bool images_are_whole(const struct fit *fit);
