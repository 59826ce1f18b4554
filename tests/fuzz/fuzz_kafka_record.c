// SPDX-License-Identifier: Apache-2.0
/* Any record. The input is lines of "name: value" (a line without ": " is a null header), then an
 * empty line, then the value; without an empty line the value is null. What is an event is written
 * in both encodings and read again. */
#include <stdint.h>
#include <string.h>

#include "event/check.h"
#include "event/kafka_binding.h"
#include "tests/fuzz/event_equal.h"
#include "tests/fuzz/record_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { HEADERS_MAX = 512, VALUE_BYTES_MAX = 1 << 28 };

static void write_and_read(struct mr_event *event)
{
    struct mr_event *again = mr_event_new();
    struct kafka_writer writer;
    struct kafka_record record;
    int rc;

    MUST(again != NULL);
    kafka_writer_init(&writer, VALUE_BYTES_MAX);
    MUST(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL) == 0);
    MUST(kafka_binding_read(&record, again, NULL) == 0);
    must_equal(event, again);

    MUST(kafka_binding_write(event, EVENT_ENCODING_BINARY, &writer, &record, NULL) == 0);
    rc = kafka_binding_read(&record, again, NULL);
    /* What is no string becomes one, which may be longer. */
    MUST(rc == 0 || rc == MR_ELIMIT);
    if (rc == 0) {
        struct mr_slice id = mr_event_string(event, "id");
        MUST(mr_event_count(event) == mr_event_count(again));
        MUST(mr_slice_is(id, mr_event_string(again, "id")));
        MUST(mr_slice_is(mr_event_data(event), mr_event_data(again)));
    }
    kafka_writer_done(&writer);
    mr_event_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct kafka_header headers[HEADERS_MAX];
    char *copy = malloc(size + 1);
    struct mr_slice text = mr_slice(copy, size);
    struct kafka_record record = {.headers = headers};
    struct mr_event *event = mr_event_new();
    struct mr_error err = {0};
    int rc;

    MUST(copy != NULL && event != NULL);
    memcpy(copy, bytes, size);
    copy[size] = '\0'; /* for strstr alone */
    while (record.header_count < HEADERS_MAX &&
           take_header(&text, copy, &headers[record.header_count])) {
        record.header_count++;
    }
    if (text.len > 0 && text.ptr[0] == '\n') {
        record.value = mr_slice(text.ptr + 1, text.len - 1);
    }
    rc = kafka_binding_read(&record, event, &err);
    if (rc == 0) {
        write_and_read(event);
    } else {
        MUST(rc == MR_ENOTEVENT || rc == MR_ELIMIT || rc == MR_ETOMBSTONE);
        MUST((rc == MR_ETOMBSTONE) == (record.value.ptr == NULL));
        MUST((int)err.code == rc && err.text[0] != '\0');
        MUST(check_utf8(mr_slice_of(err.text)));
    }
    mr_event_free(event);
    free(copy);
    return 0;
}
