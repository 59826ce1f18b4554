// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_message.h"

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
