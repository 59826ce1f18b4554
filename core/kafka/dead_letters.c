// SPDX-License-Identifier: Apache-2.0
#include "kafka/dead_letters.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "event/timestamp.h"
#include "kit/utf8.h"

#define REPLAYS DEAD_PREFIX "replays"

enum {
    OURS_MAX = 14, /* reason to replays */
    ORIGINALS_MAX = DEAD_HEADERS_MAX - OURS_MAX,
    NAME_BYTES_MAX = 32,                   /* of our headers' names */
    NOTE_BYTES_MAX = 96,                   /* of what is said about left-out headers */
    NUMBERS_BYTES_MAX = 512,               /* of all our values but texts and names */
    FIELD_BYTES_MAX = DEAD_TEXT_BYTES_MAX, /* of each string that is given to us */
    STRINGS = 5,                           /* reason, text, topic, group, server */
    WRITER_BYTES_MAX = STRINGS * FIELD_BYTES_MAX + NOTE_BYTES_MAX + NUMBERS_BYTES_MAX,
};

_Static_assert(WRITER_BYTES_MAX + OURS_MAX * (NAME_BYTES_MAX + DEAD_HEADER_OVERHEAD) <=
                   DEAD_BYTES_MIN,
               "our own headers always fit");

/* What is taken over of the original. */
struct plan {
    size_t originals; /* how many of its headers, from the first, that aren't ours */
    size_t left_out;
    bool key;
    size_t value_bytes;
    struct mr_slice replays; /* ptr NULL: none */
};

void dead_writer_init(struct dead_writer *writer)
{
    buf_init(&writer->text, WRITER_BYTES_MAX);
}

void dead_writer_done(struct dead_writer *writer)
{
    buf_done(&writer->text);
}

/* A replay would not bring back what it was. */
static bool is_whole(const struct plan *plan, const struct kafka_record *original)
{
    return plan->value_bytes == original->value.len && plan->left_out == 0 && plan->key;
}

static bool is_ours(const struct kafka_header *header)
{
    return strncmp(header->name, DEAD_PREFIX, sizeof(DEAD_PREFIX) - 1) == 0;
}

static size_t header_bytes(const struct kafka_header *header)
{
    return strlen(header->name) + header->value.len + DEAD_HEADER_OVERHEAD;
}

/* At most FIELD_BYTES_MAX bytes of `string`, not ending inside a UTF-8 sequence. */
static struct mr_slice bounded(const char *string)
{
    return utf8_cut(mr_slice_of(string), FIELD_BYTES_MAX);
}

/* Our headers with every number at its longest. */
static size_t our_bytes(const struct dead_letter *letter, struct mr_slice replays)
{
    return bounded(letter->reason).len + bounded(letter->text).len + bounded(letter->topic).len +
           bounded(letter->group).len + bounded(letter->server).len + replays.len + NOTE_BYTES_MAX +
           NUMBERS_BYTES_MAX + OURS_MAX * (NAME_BYTES_MAX + DEAD_HEADER_OVERHEAD);
}

static struct mr_slice find_replays(const struct kafka_record *original)
{
    struct mr_slice replays = {NULL, 0};
    for (size_t i = 0; i < original->header_count; i++) {
        const struct kafka_header *header = &original->headers[i];
        if (strcmp(header->name, REPLAYS) == 0 && header->value.len <= NAME_BYTES_MAX) {
            replays = header->value;
        }
    }
    return replays;
}

/* The key, then headers from the first, then as much of the value as there is room for. */
static struct plan make_plan(const struct dead_letter *letter, size_t bytes_max)
{
    const struct kafka_record *original = &letter->original;
    struct plan plan = {.replays = find_replays(original)};
    size_t left = bytes_max < DEAD_BYTES_MIN ? DEAD_BYTES_MIN : bytes_max;
    bool full = false;
    left -= our_bytes(letter, plan.replays);
    plan.key = original->key.len <= left;
    left -= plan.key ? original->key.len : 0;
    for (size_t i = 0; i < original->header_count; i++) {
        if (is_ours(&original->headers[i])) {
            continue;
        }
        full =
            full || plan.originals == ORIGINALS_MAX || header_bytes(&original->headers[i]) > left;
        if (full) {
            plan.left_out++;
        } else {
            left -= header_bytes(&original->headers[i]);
            plan.originals++;
        }
    }
    plan.value_bytes = original->value.len > left ? left : original->value.len;
    return plan;
}

/* The writer's buffer was reserved whole, so that what is added doesn't move what was. */
static void add_header(struct dead_writer *writer, size_t *count, const char *name, size_t from)
{
    writer->headers[*count] = (struct kafka_header){
        .name = name, .value = mr_slice(writer->text.ptr + from, writer->text.len - from)};
    (*count)++;
}

static void add_slice(struct dead_writer *writer, size_t *count, const char *name,
                      struct mr_slice value)
{
    size_t from = writer->text.len;
    if (value.ptr != NULL) {
        (void)buf_add_slice(&writer->text, value);
        add_header(writer, count, name, from);
    }
}

static void add_integer(struct dead_writer *writer, size_t *count, const char *name, int64_t value)
{
    size_t from = writer->text.len;
    (void)buf_addf(&writer->text, "%lld", (long long)value);
    add_header(writer, count, name, from);
}

/* -1: unknown. */
static void add_known(struct dead_writer *writer, size_t *count, const char *name, int64_t value)
{
    if (value >= 0) {
        add_integer(writer, count, name, value);
    }
}

static void add_time(struct dead_writer *writer, size_t *count, const char *name, int64_t ms)
{
    char text[TIMESTAMP_BYTES];
    if (ms < 0) {
        return;
    }
    (void)timestamp_format(ms * 1000000, text);
    add_slice(writer, count, name, mr_slice_of(text));
}

static void add_text(struct dead_writer *writer, size_t *count, const struct dead_letter *letter,
                     const struct plan *plan)
{
    size_t from = writer->text.len;
    (void)buf_add_slice(&writer->text, bounded(letter->text == NULL ? "" : letter->text));
    if (plan->left_out > 0) {
        (void)buf_addf(&writer->text, " (%zu headers left out)", plan->left_out);
    }
    if (!plan->key) {
        (void)buf_addf(&writer->text, " (key of %zu bytes left out)", letter->original.key.len);
    }
    add_header(writer, count, DEAD_PREFIX "text", from);
}

/* What the whole value was. */
static int add_whole(struct dead_writer *writer, size_t *count, struct mr_slice value,
                     struct mr_error *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    size_t from;
    if (SHA256((const unsigned char *)value.ptr, value.len, digest) == NULL) {
        return mr_error_set(err, MR_ENOMEM, "SHA-256: out of memory");
    }
    add_integer(writer, count, DEAD_PREFIX "size", (int64_t)value.len);
    from = writer->text.len;
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)buf_addf(&writer->text, "%02x", digest[i]);
    }
    add_header(writer, count, DEAD_PREFIX "sha256", from);
    return 0;
}

static void add_ours(struct dead_writer *writer, size_t *count, const struct dead_letter *letter,
                     const struct plan *plan)
{
    add_slice(writer, count, DEAD_PREFIX "reason", bounded(letter->reason));
    add_text(writer, count, letter, plan);
    add_slice(writer, count, DEAD_PREFIX "topic", bounded(letter->topic));
    add_known(writer, count, DEAD_PREFIX "partition", letter->partition);
    add_known(writer, count, DEAD_PREFIX "offset", letter->offset);
    add_known(writer, count, DEAD_PREFIX "timestamp", letter->timestamp_ms);
    add_slice(writer, count, DEAD_PREFIX "group", bounded(letter->group));
    if (letter->attempts > 0) {
        add_integer(writer, count, DEAD_PREFIX "attempts", letter->attempts);
    }
    add_time(writer, count, DEAD_PREFIX "first", letter->first_ms);
    add_time(writer, count, DEAD_PREFIX "last", letter->last_ms);
    add_slice(writer, count, DEAD_PREFIX "server", bounded(letter->server));
    add_slice(writer, count, REPLAYS, plan->replays);
}

int dead_letter_write(const struct dead_letter *letter, size_t bytes_max,
                      struct dead_writer *writer, struct kafka_record *ret_record,
                      struct mr_error *err)
{
    const struct kafka_record *original = &letter->original;
    struct plan plan = make_plan(letter, bytes_max);
    size_t count = 0;
    int rc;
    buf_clear(&writer->text);
    if (buf_reserve(&writer->text, WRITER_BYTES_MAX) != 0) {
        return buf_check(&writer->text, err);
    }
    for (size_t i = 0; count < plan.originals; i++) {
        if (!is_ours(&original->headers[i])) {
            writer->headers[count++] = original->headers[i];
        }
    }
    add_ours(writer, &count, letter, &plan);
    rc = is_whole(&plan, original) ? 0 : add_whole(writer, &count, original->value, err);
    if (rc != 0) {
        return rc;
    }
    *ret_record = (struct kafka_record){
        .key = plan.key ? original->key : mr_slice(NULL, 0),
        .value = mr_slice(original->value.ptr, plan.value_bytes),
        .headers = writer->headers,
        .header_count = count,
    };
    return 0;
}
