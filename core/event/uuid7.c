// SPDX-License-Identifier: Apache-2.0
#include "event/uuid7.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    COUNTER_BITS = 26,
    COUNTER_LOW_BITS = 14, /* those that lie in rand_b */
    RANDOM_BYTES = 6,      /* of one id */
    SEED_BYTES = 4,
    ID_BYTES = 16,
};

static const uint64_t ms_max = (UINT64_C(1) << 48) - 1;

_Noreturn static void fail_no_random(const char *what)
{
    (void)fprintf(stderr, "millrace: no random bits for event ids: %s: %s\n", what,
                  strerror(errno));
    abort();
}

/* Where getrandom(2) is missing or forbidden. */
static void read_device(unsigned char *bytes, size_t len)
{
    static const char path[] = "/dev/urandom";
    size_t have = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_no_random(path);
    }
    while (have < len) {
        ssize_t got = read(fd, bytes + have, len - have);
        if (got > 0) {
            have += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            fail_no_random(path);
        }
    }
    (void)close(fd);
}

static void refill(struct uuid7 *uuid)
{
    size_t have = 0;
    while (have < sizeof uuid->pool) {
        ssize_t got = getrandom(uuid->pool + have, sizeof uuid->pool - have, 0);
        if (got > 0) {
            have += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            read_device(uuid->pool + have, sizeof uuid->pool - have);
            break;
        }
    }
    uuid->used = 0;
}

/* `len` bytes that nobody gets again. */
static const unsigned char *take(struct uuid7 *uuid, unsigned len)
{
    const unsigned char *bytes;
    if (sizeof uuid->pool - uuid->used < len) {
        refill(uuid);
    }
    bytes = uuid->pool + uuid->used;
    uuid->used += len;
    return bytes;
}

/* At random, with the highest bit left zero as room to count (RFC 9562 6.2). */
static void seed_counter(struct uuid7 *uuid)
{
    memcpy(&uuid->counter, take(uuid, SEED_BYTES), SEED_BYTES);
    uuid->counter &= (UINT32_C(1) << (COUNTER_BITS - 1)) - 1;
}

void uuid7_init(struct uuid7 *uuid)
{
    uuid->last_ms = 0;
    refill(uuid);
    seed_counter(uuid);
}

static void advance(struct uuid7 *uuid, uint64_t unix_ms)
{
    if (unix_ms > ms_max) {
        unix_ms = ms_max;
    }
    if (unix_ms > uuid->last_ms) {
        uuid->last_ms = unix_ms;
        seed_counter(uuid);
        return;
    }
    /* The same millisecond, or the clock stepped back. */
    uuid->counter++;
    if (uuid->counter >> COUNTER_BITS != 0) {
        uuid->last_ms = (uuid->last_ms + 1) & ms_max;
        seed_counter(uuid);
    }
}

static void format(const unsigned char id[ID_BYTES], char ret_text[UUID7_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;
    for (unsigned i = 0; i < ID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = digits[id[i] >> 4];
        *at++ = digits[id[i] & 0x0f];
    }
    *at++ = '\0';
    assert(at == ret_text + UUID7_BYTES);
}

void uuid7_next(struct uuid7 *uuid, uint64_t unix_ms, char ret_text[UUID7_BYTES])
{
    unsigned char id[ID_BYTES];
    uint32_t high;
    uint32_t low;

    advance(uuid, unix_ms);
    high = uuid->counter >> COUNTER_LOW_BITS;
    low = uuid->counter & ((1u << COUNTER_LOW_BITS) - 1);
    for (unsigned i = 0; i < 6; i++) {
        id[i] = (unsigned char)(uuid->last_ms >> (40 - 8 * i));
    }
    id[6] = (unsigned char)(0x70 | high >> 8); /* version 7 */
    id[7] = (unsigned char)high;
    id[8] = (unsigned char)(0x80 | low >> 8); /* variant 10 */
    id[9] = (unsigned char)low;
    memcpy(id + 10, take(uuid, RANDOM_BYTES), RANDOM_BYTES);
    format(id, ret_text);
}
