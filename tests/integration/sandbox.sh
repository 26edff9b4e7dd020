#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
exec "$BSI_BUILD/tests/integration/sandbox"
