// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/verified_shared.h"

#include <pthread.h>

#include "kit/mem.h"

struct verified_shared {
    pthread_mutex_t mutex;
    struct verified_cache *cache;
};

int verified_shared_new(size_t count_max, struct verified_shared **ret_shared, struct mr_error *err)
{
    struct verified_shared *shared = mem_zalloc(sizeof *shared);
    int rc;
    if (shared == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    rc = verified_cache_new(count_max, &shared->cache, err);
    if (rc != 0) {
        mem_free(shared);
        return rc;
    }
    (void)pthread_mutex_init(&shared->mutex, NULL);
    *ret_shared = shared;
    return 0;
}

void verified_shared_free(struct verified_shared *shared)
{
    if (shared != NULL) {
        verified_cache_free(shared->cache);
        (void)pthread_mutex_destroy(&shared->mutex);
        mem_free(shared);
    }
}

int verified_shared_join(const struct verified_shared *shared, size_t count_max,
                         struct verified_cache **ret_cache, struct mr_error *err)
{
    int rc = verified_cache_new(count_max, ret_cache, err);
    if (rc == 0) {
        verified_cache_take_key(*ret_cache, shared->cache);
    }
    return rc;
}

bool verified_shared_has(struct verified_shared *shared, const struct verified_digest *digest)
{
    bool is_there;
    (void)pthread_mutex_lock(&shared->mutex);
    is_there = verified_cache_has(shared->cache, digest);
    (void)pthread_mutex_unlock(&shared->mutex);
    return is_there;
}

void verified_shared_add(struct verified_shared *shared, const struct verified_digest *digest)
{
    (void)pthread_mutex_lock(&shared->mutex);
    if (!verified_cache_has(shared->cache, digest)) {
        verified_cache_add(shared->cache, digest);
    }
    (void)pthread_mutex_unlock(&shared->mutex);
}
