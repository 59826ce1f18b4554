// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_message.h"

#include <stdint.h>
#include <string.h>

#include "kit/mem.h"

enum { HEADERS_FIRST = 32 };

static int grow(struct kafka_message_headers *headers, struct mr_error *err)
{
    size_t capacity = headers->capacity == 0 ? HEADERS_FIRST : headers->capacity * 2;
    struct kafka_header *rows = mem_realloc(headers->rows, capacity * sizeof *rows);
    if (rows == NULL) {
        return mr_error_set(err, MR_ENOMEM, "%s", mr_code_text(MR_ENOMEM));
    }
    headers->rows = rows;
    headers->capacity = capacity;
    return 0;
}

void kafka_message_headers_done(struct kafka_message_headers *headers)
{
    mem_free(headers->rows);
    *headers = (struct kafka_message_headers){0};
}

int kafka_message_record(const rd_kafka_message_t *message, struct kafka_message_headers *headers,
                         struct kafka_record *ret_record, struct mr_error *err)
{
    struct kafka_record record = {.key = mr_slice(message->key, message->key_len),
                                  .value = mr_slice(message->payload, message->len)};
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        while (rd_kafka_header_get_all(list, record.header_count, &name, &value, &len) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (record.header_count == headers->capacity && grow(headers, err) != 0) {
                return MR_ENOMEM;
            }
            headers->rows[record.header_count++] =
                (struct kafka_header){.name = name, .value = mr_slice(value, len)};
        }
    }
    record.headers = headers->rows;
    *ret_record = record;
    return 0;
}

static size_t headers_bytes(const struct kafka_record *record)
{
    size_t bytes = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += strlen(record->headers[i].name) + 1 + record->headers[i].value.len;
    }
    return bytes;
}

static size_t record_bytes(const struct kafka_record *record)
{
    return record->key.len + record->value.len + headers_bytes(record);
}

/* Absent stays absent. */
static struct mr_slice put(char **to, struct mr_slice from)
{
    struct mr_slice copy = {from.ptr == NULL ? NULL : *to, from.len};
    if (from.len > 0) {
        memcpy(*to, from.ptr, from.len);
        *to += from.len;
    }
    return copy;
}

/* The rows to `headers`, the bytes to `*to`, which is behind them then. */
static void put_headers(struct kafka_record *record, struct kafka_header *headers, char **to)
{
    for (size_t i = 0; i < record->header_count; i++) {
        const char *name = record->headers[i].name;
        struct mr_slice value = record->headers[i].value;
        headers[i].name = put(to, mr_slice(name, strlen(name) + 1)).ptr;
        headers[i].value = put(to, value);
    }
    record->headers = headers;
}

size_t kafka_headers_size(const struct kafka_record *record)
{
    return record->header_count * sizeof(struct kafka_header) + headers_bytes(record);
}

void kafka_headers_move(struct kafka_record *record, void *to)
{
    struct kafka_header *headers = to;
    char *bytes = (char *)(headers + record->header_count);
    put_headers(record, headers, &bytes);
}

void kafka_message_drop_headers(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *list;
    /* It is ours, and const only by the way it came. */
    if (rd_kafka_message_detach_headers((rd_kafka_message_t *)(uintptr_t)message, &list) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(list);
    }
}

struct kafka_record *kafka_record_copy(const struct kafka_record *record)
{
    size_t rows = record->header_count * sizeof(struct kafka_header);
    struct kafka_record *copy = mem_alloc(sizeof *copy + rows + record_bytes(record) + 1);
    struct kafka_header *headers;
    char *to;
    if (copy == NULL) {
        return NULL;
    }
    headers = (struct kafka_header *)(copy + 1);
    to = (char *)(headers + record->header_count);
    copy->key = put(&to, record->key);
    copy->value = put(&to, record->value);
    copy->headers = record->headers;
    copy->header_count = record->header_count;
    put_headers(copy, headers, &to);
    return copy;
}
