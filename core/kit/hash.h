// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_HASH_H
#define KIT_HASH_H

/* FNV-1a of 32 bits, for small tables in memory: http://www.isthe.com/chongo/tech/comp/fnv/. Who
 * chooses the bytes can make collisions: a table filled by others bounds what they cost. */

#include <stdint.h>

#include <millrace/slice.h>

enum { HASH_FNV1A_PRIME = 16777619 };

#define HASH_FNV1A_BASIS UINT32_C(2166136261)

/* Goes on from `hash`: HASH_FNV1A_BASIS, or that with something mixed in. */
static inline uint32_t hash_fnv1a(uint32_t hash, struct mr_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * (uint32_t)HASH_FNV1A_PRIME;
    }
    return hash;
}

#endif
