// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_VERIFIED_SHARED_H
#define IDENTITY_VERIFIED_SHARED_H

/* The right passwords of all loops, behind a mutex: asked when the loop's own cache
 * (verified_cache.h) doesn't have one, so that a device whose next connection comes to another loop
 * neither waits for crypt(3) again nor is refused for others' wrong passwords. Any thread. */

#include "bridge/http/identity/verified_cache.h"

struct verified_shared;

/* At most `count_max` digests. Errors: MR_ENOMEM, MR_EIO (no random bytes). */
int verified_shared_new(size_t count_max, struct verified_shared **ret_shared,
                        struct mr_error *err);
void verified_shared_free(struct verified_shared *shared); /* takes NULL */

/* A loop's own cache, whose digests are those of the shared one. Errors: as verified_cache_new. */
int verified_shared_join(const struct verified_shared *shared, size_t count_max,
                         struct verified_cache **ret_cache, struct mr_error *err);

bool verified_shared_has(struct verified_shared *shared, const struct verified_digest *digest);

/* Nothing, if it is there already. When there is no memory it is not kept. */
void verified_shared_add(struct verified_shared *shared, const struct verified_digest *digest);

#endif
