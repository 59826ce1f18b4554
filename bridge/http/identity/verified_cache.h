// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_VERIFIED_CACHE_H
#define IDENTITY_VERIFIED_CACHE_H

/* Which passwords have been found right, of one loop: so that only a device's first request costs
 * what crypt(3) costs. Kept are SHA-256 digests, made with a random key that no one sees, of
 * where the request came from, the device, its hash and the password: another hash or another
 * address is another digest, and nothing has to be taken out when the devices change. Bounded: what
 * wasn't used for longest, roughly (second chance), makes room. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum { VERIFIED_DIGEST_BYTES = 32 };

struct verified_digest {
    unsigned char bytes[VERIFIED_DIGEST_BYTES];
};

struct verified_cache;

/* At most `count_max` digests; 0: none is kept. Errors: MR_ENOMEM, MR_EIO (no random bytes). */
int verified_cache_new(size_t count_max, struct verified_cache **ret_cache, struct mr_error *err);
void verified_cache_free(struct verified_cache *cache); /* takes NULL */

/* Digests are those of the other from now on; none may have been added. */
void verified_cache_take_key(struct verified_cache *cache, const struct verified_cache *other);

/* Of all the parts, each with its length. False if OpenSSL can't (out of memory). */
bool verified_cache_digest(struct verified_cache *cache, const struct mr_slice *parts, size_t count,
                           struct verified_digest *ret_digest);

bool verified_cache_has(struct verified_cache *cache, const struct verified_digest *digest);

/* One that isn't there. When there is no memory it is not kept. */
void verified_cache_add(struct verified_cache *cache, const struct verified_digest *digest);

bool verified_digest_is(const struct verified_digest *a, const struct verified_digest *b);

#endif
