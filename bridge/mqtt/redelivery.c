// SPDX-License-Identifier: Apache-2.0
/* Entries are in three lists: `known`, in the order in which the broker sent them first; `held`,
 * those of the present connection whose acknowledgement is still ours; and a bucket by packet id.
 * `replay` is the first of `known` that the broker may still send again on this connection. */
#include "bridge/mqtt/redelivery.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    REDELIVERY_MAGIC = 0x3ede117e,
    REDELIVERY_ENTRY_MAGIC = 0x3edee271,
    BUCKETS = 256,
    DIGEST_BYTES = 32,
};

struct link {
    struct link *prev;
    struct link *next;
};

struct redelivery_entry {
    unsigned magic;
    enum redelivery_state state;
    uint16_t packet_id;
    bool is_known;       /* it can be recognised; otherwise it is pending, and forgotten */
    uint8_t id_bytes;    /* 0: no id */
    uint64_t connection; /* on which it came last */
    struct link order;   /* in `known`, or in `forgotten` */
    struct link held;
    struct link bucket;
    unsigned char digest[DIGEST_BYTES];
    char id[REDELIVERY_ID_BYTES];
};

struct redelivery {
    unsigned magic;
    size_t max;
    size_t count; /* of `known` */
    uint64_t connection;
    struct link known;
    struct link forgotten;
    struct link held;
    struct link *replay; /* in `known`; &known: nothing is expected any more */
    struct link buckets[BUCKETS];
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

/* --- lists --- */

static void link_init(struct link *link)
{
    link->prev = link;
    link->next = link;
}

static void link_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link_init(link);
}

static void link_append(struct link *list, struct link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static struct redelivery_entry *of_order(struct link *link)
{
    return CONTAINER_OF(link, struct redelivery_entry, order);
}

/* --- the table --- */

int redelivery_new(size_t max, struct redelivery **ret_redelivery, struct mr_error *err)
{
    struct redelivery *redelivery = mem_zalloc(sizeof *redelivery);
    assert(max > 0);
    if (redelivery == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    redelivery->magic = REDELIVERY_MAGIC;
    redelivery->max = max;
    link_init(&redelivery->known);
    link_init(&redelivery->forgotten);
    link_init(&redelivery->held);
    redelivery->replay = &redelivery->known;
    for (size_t i = 0; i < BUCKETS; i++) {
        link_init(&redelivery->buckets[i]);
    }
    redelivery->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    redelivery->context = EVP_MD_CTX_new();
    if (redelivery->sha256 == NULL || redelivery->context == NULL) {
        redelivery_free(redelivery);
        return mr_error_set(err, MR_ENOMEM, "OpenSSL: no SHA-256");
    }
    *ret_redelivery = redelivery;
    return 0;
}

static void free_entry(struct redelivery_entry *entry)
{
    link_remove(&entry->order);
    link_remove(&entry->held);
    link_remove(&entry->bucket);
    entry->magic = 0;
    mem_free(entry);
}

void redelivery_free(struct redelivery *redelivery)
{
    if (redelivery == NULL) {
        return;
    }
    while (redelivery->known.next != &redelivery->known) {
        free_entry(of_order(redelivery->known.next));
    }
    while (redelivery->forgotten.next != &redelivery->forgotten) {
        free_entry(of_order(redelivery->forgotten.next));
    }
    EVP_MD_CTX_free(redelivery->context);
    EVP_MD_free(redelivery->sha256);
    redelivery->magic = 0;
    mem_free(redelivery);
}

bool redelivery_expects(const struct redelivery *redelivery)
{
    return redelivery->replay != &redelivery->known;
}

size_t redelivery_count(const struct redelivery *redelivery)
{
    return redelivery->count;
}

/* It can't come again. One that is pending is somebody's still, until it is settled. */
static void forget(struct redelivery *redelivery, struct redelivery_entry *entry)
{
    redelivery->count--;
    if (redelivery->replay == &entry->order) {
        redelivery->replay = entry->order.next;
    }
    if (entry->state != REDELIVERY_PENDING) {
        free_entry(entry);
        return;
    }
    entry->is_known = false;
    link_remove(&entry->order);
    link_remove(&entry->held);
    link_remove(&entry->bucket);
    link_append(&redelivery->forgotten, &entry->order);
}

static struct link *bucket_of(struct redelivery *redelivery, uint16_t packet_id)
{
    return &redelivery->buckets[packet_id % BUCKETS];
}

/* A packet id stands there once. */
static struct redelivery_entry *find(struct redelivery *redelivery, uint16_t packet_id)
{
    struct link *bucket = bucket_of(redelivery, packet_id);
    for (struct link *at = bucket->next; at != bucket; at = at->next) {
        struct redelivery_entry *entry = CONTAINER_OF(at, struct redelivery_entry, bucket);
        if (entry->packet_id == packet_id) {
            return entry;
        }
    }
    return NULL;
}

/* --- what a message is known by --- */

static bool add_bytes(EVP_MD_CTX *context, struct mr_slice bytes)
{
    uint64_t len = bytes.ptr == NULL ? UINT64_MAX : bytes.len;
    return EVP_DigestUpdate(context, &len, sizeof len) == 1 &&
           (bytes.ptr == NULL || bytes.len == 0 ||
            EVP_DigestUpdate(context, bytes.ptr, bytes.len) == 1);
}

static bool add_message(EVP_MD_CTX *context, const struct mqtt_message *message)
{
    const uint64_t numbers[] = {message->retain, (uint64_t)message->payload_format,
                                message->property_count, message->properties_left_out};
    bool is_added = EVP_DigestUpdate(context, numbers, sizeof numbers) == 1 &&
                    add_bytes(context, message->topic) && add_bytes(context, message->payload) &&
                    add_bytes(context, message->content_type) &&
                    add_bytes(context, message->response_topic) &&
                    add_bytes(context, message->correlation);
    for (size_t i = 0; i < message->property_count && is_added; i++) {
        is_added = add_bytes(context, message->properties[i].name) &&
                   add_bytes(context, message->properties[i].value);
    }
    return is_added;
}

static int make_digest(struct redelivery *redelivery, const struct mqtt_message *message,
                       unsigned char ret_digest[DIGEST_BYTES], struct mr_error *err)
{
    if (EVP_DigestInit_ex2(redelivery->context, redelivery->sha256, NULL) != 1 ||
        !add_message(redelivery->context, message) ||
        EVP_DigestFinal_ex(redelivery->context, ret_digest, NULL) != 1) {
        return mr_error_set(err, MR_ENOMEM, "SHA-256: out of memory");
    }
    return 0;
}

/* --- a message --- */

/* Of what is older than `end` the broker sends nothing again any more. */
static void pass(struct redelivery *redelivery, const struct link *end)
{
    while (redelivery->replay != end && redelivery->replay != &redelivery->known) {
        struct redelivery_entry *entry = of_order(redelivery->replay);
        if (entry->connection != redelivery->connection) {
            forget(redelivery, entry);
        } else {
            redelivery->replay = entry->order.next;
        }
    }
}

/* A message that was here before, by its packet id and its digest. */
static bool is_same(const struct redelivery *redelivery, const struct redelivery_entry *entry,
                    const struct mqtt_message *message, const unsigned char digest[DIGEST_BYTES])
{
    if (message->is_first) {
        return false;
    }
    if (entry->state == REDELIVERY_SENT && entry->connection == redelivery->connection) {
        return false; /* the broker has the acknowledgement, and uses the packet id again */
    }
    return memcmp(entry->digest, digest, DIGEST_BYTES) == 0;
}

static enum redelivery_verdict recognise(struct redelivery *redelivery,
                                         struct redelivery_entry *entry)
{
    if (entry->connection != redelivery->connection) {
        pass(redelivery, &entry->order);
        redelivery->replay = entry->order.next;
        entry->connection = redelivery->connection;
        link_append(&redelivery->held, &entry->held);
    }
    switch (entry->state) {
        case REDELIVERY_PENDING:
            return REDELIVERY_WAITS;
        case REDELIVERY_SETTLED:
            return REDELIVERY_STORED;
        case REDELIVERY_SENT:
        default:
            entry->state = REDELIVERY_PENDING;
            return REDELIVERY_AGAIN;
    }
}

static int make_entry(struct redelivery *redelivery, uint16_t packet_id,
                      const unsigned char digest[DIGEST_BYTES], struct redelivery_entry **ret_entry,
                      struct mr_error *err)
{
    struct redelivery_entry *entry = mem_zalloc(sizeof *entry);
    if (entry == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (redelivery->count == redelivery->max) {
        forget(redelivery, of_order(redelivery->known.next));
    }
    entry->magic = REDELIVERY_ENTRY_MAGIC;
    entry->state = REDELIVERY_PENDING;
    entry->packet_id = packet_id;
    entry->is_known = true;
    entry->connection = redelivery->connection;
    memcpy(entry->digest, digest, DIGEST_BYTES);
    link_append(&redelivery->known, &entry->order);
    link_append(&redelivery->held, &entry->held);
    link_append(bucket_of(redelivery, packet_id), &entry->bucket);
    redelivery->count++;
    *ret_entry = entry;
    return 0;
}

int redelivery_take(struct redelivery *redelivery, const struct mqtt_message *message,
                    enum redelivery_verdict *ret_verdict, struct redelivery_entry **ret_entry,
                    struct mr_error *err)
{
    unsigned char digest[DIGEST_BYTES];
    struct redelivery_entry *entry;
    int rc;
    MAGIC_CHECK(redelivery, REDELIVERY_MAGIC);
    rc = make_digest(redelivery, message, digest, err);
    if (rc != 0) {
        return rc;
    }
    entry = find(redelivery, message->packet_id);
    if (entry != NULL && is_same(redelivery, entry, message, digest)) {
        *ret_verdict = recognise(redelivery, entry);
        *ret_entry = entry;
        return 0;
    }
    if (entry != NULL) {
        forget(redelivery, entry);
    }
    pass(redelivery, &redelivery->known);
    *ret_verdict = REDELIVERY_NEW;
    return make_entry(redelivery, message->packet_id, digest, ret_entry, err);
}

void redelivery_set_id(struct redelivery_entry *entry, struct mr_slice id)
{
    MAGIC_CHECK(entry, REDELIVERY_ENTRY_MAGIC);
    entry->id_bytes = 0;
    if (id.ptr != NULL && id.len <= REDELIVERY_ID_BYTES) {
        memcpy(entry->id, id.ptr, id.len);
        entry->id_bytes = (uint8_t)id.len;
    }
}

struct mr_slice redelivery_id(const struct redelivery_entry *entry)
{
    MAGIC_CHECK(entry, REDELIVERY_ENTRY_MAGIC);
    return entry->id_bytes == 0 ? mr_slice(NULL, 0) : mr_slice(entry->id, entry->id_bytes);
}

/* --- what became of it --- */

void redelivery_settled(struct redelivery *redelivery, struct redelivery_entry *entry)
{
    MAGIC_CHECK(redelivery, REDELIVERY_MAGIC);
    MAGIC_CHECK(entry, REDELIVERY_ENTRY_MAGIC);
    assert(entry->state == REDELIVERY_PENDING);
    entry->state = REDELIVERY_SETTLED;
    if (!entry->is_known) {
        free_entry(entry);
    }
}

void redelivery_sent(struct redelivery *redelivery)
{
    struct link *at;
    MAGIC_CHECK(redelivery, REDELIVERY_MAGIC);
    at = redelivery->held.next;
    while (at != &redelivery->held) {
        struct redelivery_entry *entry = CONTAINER_OF(at, struct redelivery_entry, held);
        at = at->next;
        if (entry->state == REDELIVERY_SETTLED) {
            entry->state = REDELIVERY_SENT;
            link_remove(&entry->held);
        }
    }
}

void redelivery_connected(struct redelivery *redelivery, bool session_present)
{
    MAGIC_CHECK(redelivery, REDELIVERY_MAGIC);
    redelivery->connection++;
    while (redelivery->held.next != &redelivery->held) {
        link_remove(redelivery->held.next);
    }
    redelivery->replay = redelivery->known.next;
    if (!session_present) {
        pass(redelivery, &redelivery->known);
    }
}
