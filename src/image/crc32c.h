/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* CRC-32C (Castagnoli) as the EROFS superblock has it: start value ~0, no inversion at the end. */
#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t len);
