// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an Avro CloudEvent. What is an event is written and read again as the same event;
 * its JSON data is JSON; and its memory is bounded by the input. */
#include <stdint.h>
#include <string.h>

#include "event/check.h"
#include "event/format_avro.h"
#include "event/json_scan.h"
#include "tests/fuzz/event_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { OUT_BYTES_MAX = 1 << 28 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_event *event = mr_event_new();
    struct mr_event *again = mr_event_new();
    struct mr_error err = {0};
    struct mr_buf out;
    int rc;

    MUST(event != NULL && again != NULL);
    buf_init(&out, OUT_BYTES_MAX);
    rc = event_avro_decode(mr_slice(bytes, size), event, &err);
    if (rc == 0) {
        struct mr_slice data = mr_event_data(event);
        bool is_borrowed =
            data.ptr >= (const char *)bytes && data.ptr <= (const char *)bytes + size;
        MUST(data.ptr == NULL || is_borrowed || json_is_valid(data));
        MUST(data.len <= 8 * size + 64);
        MUST(event_avro_encode(event, &out, NULL) == 0);
        MUST(event_avro_decode(buf_slice(&out), again, NULL) == 0);
        must_equal(event, again);
    } else {
        MUST(rc == MR_ENOTEVENT || rc == MR_ELIMIT);
        MUST((int)err.code == rc && err.text[0] != '\0');
        MUST(check_utf8(mr_slice_of(err.text)));
    }
    buf_done(&out);
    mr_event_free(event);
    mr_event_free(again);
    return 0;
}
