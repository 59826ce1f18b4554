// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_DEVICES_H
#define IDENTITY_DEVICES_H

/* Who may send: what the devices file says, as it was when it was read. Immutable and counted by
 * its owners, so that each loop has it without a lock and goes over to a new one by itself. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bridge/http/identity/identity.h"

enum {
    DEVICES_MAX = 1000000,
    DEVICES_FILE_BYTES_MAX = 256 * 1024 * 1024,
    DEVICES_KINDS_MAX = 16, /* of hashes that unknown names are checked against */
};

/* A device in the file's bytes: 32 bytes each, so that a hundred thousand are 3 MB. */
struct device_entry {
    uint32_t device_at;
    uint32_t application_at; /* of length 0: "default" */
    uint32_t hash_at;
    uint32_t speaks_for_at;
    uint16_t device_len;
    uint16_t application_len;
    uint16_t hash_len; /* 0: it has no password */
    uint16_t speaks_for_len;
    uint32_t line; /* of its section, for messages */
    bool is_enabled;
};

/* Hashes whose check takes as long (password_hash_kind). */
struct devices_kind {
    uint32_t entry; /* one of them */
    uint32_t count;
};

struct devices {
    atomic_uint owners;
    char *bytes; /* the file's; NULL: none */
    size_t bytes_len;
    struct device_entry *entries; /* as the file has them */
    uint32_t count;
    uint32_t capacity;
    uint32_t *index;         /* open addressing by name: entry + 1, or 0 */
    uint32_t index_capacity; /* a power of two, at least twice the count */
    uint64_t seed;           /* the process's, so that nobody can choose names that collide */
    struct devices_kind kinds[DEVICES_KINDS_MAX]; /* in the order of their names */
    uint32_t kind_count;
};

/* One device, borrowed from the devices. */
struct device {
    struct identity identity;
    struct mr_slice hash; /* absent: it has no password */
    bool is_enabled;
};

/* Without any device, owned once. NULL: out of memory. */
struct devices *devices_new(void);
struct devices *devices_own(struct devices *devices); /* once more; any thread */
void devices_disown(struct devices *devices);         /* any thread; takes NULL */

/* Make the index of what was put in, after which nothing is changed. Of entries with one name the
 * first is found. Errors: MR_ENOMEM. */
int devices_finish(struct devices *devices);

/* `index` < count. */
struct device devices_at(const struct devices *devices, uint32_t index);

/* The entry of this name; DEVICES_NONE: there is none. */
enum { DEVICES_NONE = DEVICES_MAX };
uint32_t devices_index_of(const struct devices *devices, struct mr_slice application,
                          struct mr_slice device);

bool devices_find(const struct devices *devices, struct mr_slice application,
                  struct mr_slice device, struct device *ret_device);

/* Whose hash a password of an unknown name is checked against, so that it takes as long as that of
 * a known one, whatever kinds of hashes the file has, and each kind about as often as the file has
 * it. Always of one kind for a name, also when the file is read anew, as long as its kinds and the
 * powers of two of their numbers stay: a name whose time changes would be known for unknown. */
struct mr_slice devices_hash_for_unknown(const struct devices *devices, struct mr_slice application,
                                         struct mr_slice device);

#endif
