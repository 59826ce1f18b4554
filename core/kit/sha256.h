// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_SHA256_H
#define KIT_SHA256_H

/* SHA-256 (FIPS 180-4, 6.2) of bytes in memory. Pure. For naming what was cut off, not for secrets:
 * no effort is made against timing. */

#include <millrace/slice.h>

enum { SHA256_HEX_BYTES = 65 }; /* 64 lower-case digits and the terminator */

void sha256_hex(struct mr_slice bytes, char ret_hex[SHA256_HEX_BYTES]);

#endif
