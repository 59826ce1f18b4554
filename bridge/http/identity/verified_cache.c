// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/verified_cache.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <string.h>

#include "kit/mem.h"

enum { FIRST_CAPACITY = 64, NONE = 0 };

struct verified {
    struct verified_digest digest;
    uint32_t next; /* in its bucket: index + 1, NONE at the end */
    bool is_used;  /* since the hand has passed */
};

struct verified_cache {
    unsigned char key[32];
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    struct verified *entries;
    uint32_t *buckets; /* as many as there is room for entries: index + 1, or NONE */
    size_t count;
    size_t capacity; /* a power of two times FIRST_CAPACITY, at most count_max rounded up */
    size_t count_max;
    size_t hand;
};

int verified_cache_new(size_t count_max, struct verified_cache **ret_cache, struct mr_error *err)
{
    struct verified_cache *cache = mem_zalloc(sizeof *cache);
    if (cache == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    cache->count_max = count_max;
    cache->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    cache->context = EVP_MD_CTX_new();
    if (cache->sha256 == NULL || cache->context == NULL) {
        verified_cache_free(cache);
        return mr_error_set(err, MR_ENOMEM, "OpenSSL: no SHA-256");
    }
    if (RAND_bytes(cache->key, (int)sizeof cache->key) != 1) {
        verified_cache_free(cache);
        return mr_error_set(err, MR_EIO, "OpenSSL: no random bytes");
    }
    *ret_cache = cache;
    return 0;
}

void verified_cache_free(struct verified_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    EVP_MD_CTX_free(cache->context);
    EVP_MD_free(cache->sha256);
    explicit_bzero(cache->key, sizeof cache->key);
    mem_free(cache->entries);
    mem_free(cache->buckets);
    mem_free(cache);
}

void verified_cache_take_key(struct verified_cache *cache, const struct verified_cache *other)
{
    assert(cache->count == 0);
    memcpy(cache->key, other->key, sizeof cache->key);
}

bool verified_cache_digest(struct verified_cache *cache, const struct mr_slice *parts, size_t count,
                           struct verified_digest *ret_digest)
{
    EVP_MD_CTX *context = cache->context;
    bool is_made = EVP_DigestInit_ex2(context, cache->sha256, NULL) == 1 &&
                   EVP_DigestUpdate(context, cache->key, sizeof cache->key) == 1;
    for (size_t i = 0; i < count && is_made; i++) {
        uint64_t len = parts[i].len;
        is_made = EVP_DigestUpdate(context, &len, sizeof len) == 1 &&
                  (len == 0 || EVP_DigestUpdate(context, parts[i].ptr, parts[i].len) == 1);
    }
    return is_made && EVP_DigestFinal_ex(context, ret_digest->bytes, NULL) == 1;
}

bool verified_digest_is(const struct verified_digest *a, const struct verified_digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static uint32_t *bucket_of(struct verified_cache *cache, const struct verified_digest *digest)
{
    uint64_t head;
    memcpy(&head, digest->bytes, sizeof head);
    return &cache->buckets[head & (cache->capacity - 1)];
}

bool verified_cache_has(struct verified_cache *cache, const struct verified_digest *digest)
{
    uint32_t at;
    if (cache->count == 0) {
        return false;
    }
    for (at = *bucket_of(cache, digest); at != NONE; at = cache->entries[at - 1].next) {
        if (verified_digest_is(&cache->entries[at - 1].digest, digest)) {
            cache->entries[at - 1].is_used = true;
            return true;
        }
    }
    return false;
}

static void link_entry(struct verified_cache *cache, size_t index)
{
    struct verified *entry = &cache->entries[index];
    uint32_t *bucket = bucket_of(cache, &entry->digest);
    entry->next = *bucket;
    *bucket = (uint32_t)index + 1;
}

static void unlink_entry(struct verified_cache *cache, size_t index)
{
    uint32_t *at = bucket_of(cache, &cache->entries[index].digest);
    while (*at != index + 1) {
        at = &cache->entries[*at - 1].next;
    }
    *at = cache->entries[index].next;
}

static bool grow(struct verified_cache *cache)
{
    size_t capacity = cache->capacity == 0 ? FIRST_CAPACITY : cache->capacity * 2;
    struct verified *entries = mem_realloc(cache->entries, capacity * sizeof *cache->entries);
    uint32_t *buckets;
    if (entries == NULL) {
        return false;
    }
    cache->entries = entries;
    buckets = mem_zalloc(capacity * sizeof *buckets);
    if (buckets == NULL) {
        return false;
    }
    mem_free(cache->buckets);
    cache->buckets = buckets;
    cache->capacity = capacity;
    for (size_t i = 0; i < cache->count; i++) {
        link_entry(cache, i);
    }
    return true;
}

/* The place of one that hasn't been used since the hand was here last. */
static size_t make_room(struct verified_cache *cache)
{
    for (;;) {
        size_t index = cache->hand;
        cache->hand = (cache->hand + 1) % cache->count;
        if (!cache->entries[index].is_used) {
            unlink_entry(cache, index);
            return index;
        }
        cache->entries[index].is_used = false;
    }
}

void verified_cache_add(struct verified_cache *cache, const struct verified_digest *digest)
{
    size_t index;
    if (cache->count_max == 0) {
        return;
    }
    if (cache->count < cache->count_max && cache->count == cache->capacity) {
        (void)grow(cache);
    }
    if (cache->capacity == 0) {
        return;
    }
    index = cache->count < cache->count_max && cache->count < cache->capacity ? cache->count++
                                                                              : make_room(cache);
    cache->entries[index] = (struct verified){.digest = *digest};
    link_entry(cache, index);
}
