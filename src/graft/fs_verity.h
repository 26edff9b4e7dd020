/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The kernel's own seal of a file, where its file system has it (ext4 and f2fs with the feature,
 * btrfs): no byte of it can be written any more, and each read is checked against a hash tree
 * beside it. Linux filesystems/fsverity.
 */
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"

/*
 * 1 if the file behind fd is sealed; 0 if it, or a file in that folder, could be; else
 * -BSI_E_UNSUPPORTED.
 */
int fs_verity_probe(int fd) MUST_CHECK;

/*
 * Seal the file behind fd, which is open for reading alone, unless it is sealed already: SHA-256,
 * blocks of 4096 bytes, no salt. Then compare what the kernel calls its digest with the signed one.
 *
 * -BSI_E_UNSEALED if that is another one; -BSI_E_UNSUPPORTED where it cannot be sealed, -ETXTBSY
 * if somebody has it open for writing, or what else the file system says.
 */
int fs_verity_seal(int fd, const struct digest *want, struct error *reterr) MUST_CHECK;
