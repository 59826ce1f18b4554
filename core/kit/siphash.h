// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_SIPHASH_H
#define KIT_SIPHASH_H

/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"; one round a word, three
 * at the end): who doesn't know the key can't choose bytes that collide. For tables of what
 * outsiders name; no signature.
 *
 *     siphash_begin -> siphash_word for each 8 bytes -> siphash_end with the rest */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kit/random.h"

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash {
    uint64_t v0, v1, v2, v3;
};

static inline struct siphash_key siphash_key_random(void)
{
    return (struct siphash_key){random_seed(), random_seed()};
}

static inline uint64_t siphash_rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void siphash_round(struct siphash *hash)
{
    hash->v0 += hash->v1;
    hash->v1 = siphash_rotate(hash->v1, 13) ^ hash->v0;
    hash->v0 = siphash_rotate(hash->v0, 32);
    hash->v2 += hash->v3;
    hash->v3 = siphash_rotate(hash->v3, 16) ^ hash->v2;
    hash->v0 += hash->v3;
    hash->v3 = siphash_rotate(hash->v3, 21) ^ hash->v0;
    hash->v2 += hash->v1;
    hash->v1 = siphash_rotate(hash->v1, 17) ^ hash->v2;
    hash->v2 = siphash_rotate(hash->v2, 32);
}

static inline void siphash_begin(struct siphash *hash, struct siphash_key key)
{
    *hash = (struct siphash){
        key.k0 ^ UINT64_C(0x736f6d6570736575), key.k1 ^ UINT64_C(0x646f72616e646f6d),
        key.k0 ^ UINT64_C(0x6c7967656e657261), key.k1 ^ UINT64_C(0x7465646279746573)};
}

/* The next eight bytes, the first of them the lowest. */
static inline void siphash_word(struct siphash *hash, uint64_t word)
{
    hash->v3 ^= word;
    siphash_round(hash);
    hash->v0 ^= word;
}

/* Fewer than eight bytes as a word, without a copy of a length that the compiler doesn't know. */
static inline uint64_t siphash_tail(const char *bytes, size_t len)
{
    if (len >= sizeof(uint32_t)) {
        uint32_t low;
        uint32_t high;
        memcpy(&low, bytes, sizeof low);
        memcpy(&high, bytes + len - sizeof high, sizeof high);
        return low | (uint64_t)high << (8 * (len - sizeof high));
    }
    if (len >= sizeof(uint16_t)) {
        uint16_t low;
        uint16_t high;
        memcpy(&low, bytes, sizeof low);
        memcpy(&high, bytes + len - sizeof high, sizeof high);
        return low | (uint64_t)high << (8 * (len - sizeof high));
    }
    return len == 0 ? 0 : (unsigned char)*bytes;
}

/* One of several texts, its length first, so that no two lists of texts are the same words. The
 * hash ends with siphash_end(hash, 0, 0). */
static inline void siphash_text(struct siphash *hash, const char *bytes, size_t len)
{
    siphash_word(hash, len);
    for (; len >= sizeof(uint64_t); bytes += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        siphash_word(hash, word);
    }
    if (len > 0) {
        siphash_word(hash, siphash_tail(bytes, len));
    }
}

/* `tail`: the last `len % 8` bytes, as a word; `len`: of all. */
static inline uint64_t siphash_end(struct siphash *hash, uint64_t tail, size_t len)
{
    siphash_word(hash, tail | (uint64_t)len << 56);
    hash->v2 ^= 0xff;
    siphash_round(hash);
    siphash_round(hash);
    siphash_round(hash);
    return hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3;
}

#endif
