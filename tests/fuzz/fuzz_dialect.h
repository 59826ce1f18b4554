// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_DIALECT_H
#define TESTS_FUZZ_DIALECT_H

/* What the fuzz targets of the dialects share. The input is a byte that chooses who is
 * authenticated, then a request as it comes over the network; the target's dialect reads it, and
 * what becomes an event goes to Kafka and comes back the same. */

#include <string.h>

#include "bridge/http/dialects/dialect.h"
#include "bridge/http/identity/speaks_for.h"
#include "event/check.h"
#include "event/kafka_binding.h"
#include "net/http_reader.h"
#include "tests/fuzz/event_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct identity fuzz_identities[] = {
    {.device = {NULL, 0}}, /* nobody was asked */
    {.application = MR_SLICE_INIT("a"), .device = MR_SLICE_INIT("d")},
    {.application = MR_SLICE_INIT("a"),
     .device = MR_SLICE_INIT("gw"),
     .speaks_for = MR_SLICE_INIT("d* *-x")},
};

static inline struct mr_slice fuzz_header(const void *from, const char *name, unsigned *ret_count)
{
    return http_reader_header(from, name, ret_count);
}

static inline bool fuzz_header_at(const void *from, unsigned index, struct mr_slice *ret_name,
                                  struct mr_slice *ret_value)
{
    return http_reader_header_at(from, index, ret_name, ret_value);
}

/* The answer is one that a dialect may give, and its text can be shown. */
static inline void fuzz_must_be_refusal(const struct refusal *refusal)
{
    int status = refusal->status;
    MUST(status == 400 || status == 403 || status == 404);
    MUST(refusal->headers == NULL);
    MUST(refusal->detail[0] != '\0' && strlen(refusal->detail) < sizeof refusal->detail);
    MUST(check_utf8(mr_slice_of(refusal->detail)));
}

/* Nobody speaks for another without leave. */
static inline void fuzz_must_be_allowed(const struct mr_event *event,
                                        const struct identity *identity)
{
    struct mr_slice device = mr_event_string(event, "device");
    struct mr_slice gateway = mr_event_string(event, "gateway");
    MUST(device.len > 0 && device.len <= IDENTITY_NAME_BYTES_MAX);
    if (identity_is_known(identity)) {
        MUST(mr_slice_is(mr_event_string(event, "application"), identity->application));
        MUST(speaks_for_allows(identity, device));
        MUST((gateway.ptr == NULL) == mr_slice_is(device, identity->device));
        MUST(gateway.ptr == NULL || mr_slice_is(gateway, identity->device));
    }
}

static inline void fuzz_must_survive_kafka(const struct mr_event *event)
{
    struct mr_event *again = mr_event_new();
    struct kafka_writer writer;
    struct kafka_record record;
    MUST(again != NULL);
    kafka_writer_init(&writer, 1 << 24);
    MUST(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL) == 0);
    MUST(record.key.len > 0); /* application and device, or the source */
    MUST(kafka_binding_read(&record, again, NULL) == 0);
    must_equal(event, again);
    kafka_writer_done(&writer);
    mr_event_free(again);
}

static inline void fuzz_must_be_event(struct mr_event *event, const struct dialect_request *request)
{
    struct mr_error err;
    struct mr_slice data = mr_event_data(event);
    MUST(data.ptr != NULL && mr_slice_is(data, request->body));
    MUST(mr_event_string(event, "subject").len > 0);
    fuzz_must_be_allowed(event, &request->identity);
    if (mr_event_complete(event, &err) == 0) {
        fuzz_must_survive_kafka(event);
    } else {
        MUST(err.code == MR_ELIMIT); /* the other attributes fill it */
    }
}

static inline struct dialect_request fuzz_request_of(const struct http_reader *reader,
                                                     const struct identity *identity)
{
    return (struct dialect_request){
        .method = http_reader_method(reader),
        .path = http_reader_path(reader),
        .query = http_reader_query(reader),
        .body = http_reader_body(reader),
        .header = fuzz_header,
        .header_at = fuzz_header_at,
        .from = reader,
        .identity = *identity,
    };
}

static inline void fuzz_read(const struct dialect *dialect, const struct http_reader *reader,
                             const struct identity *identity, bool may_hold_nothing)
{
    const struct dialect_request request = fuzz_request_of(reader, identity);
    struct refusal refusal = {0};
    struct mr_event *event;
    if (!dialect->is_mine(request.path)) {
        return;
    }
    event = mr_event_new();
    MUST(event != NULL);
    switch (dialect->read(&request, event, &refusal)) {
        case DIALECT_EVENT:
            fuzz_must_be_event(event, &request);
            break;
        case DIALECT_NOT_STORED:
            MUST(may_hold_nothing && mr_event_count(event) == 0);
            break;
        default:
            fuzz_must_be_refusal(&refusal);
    }
    mr_event_free(event);
}

static inline int fuzz_dialect(const struct dialect *dialect, bool may_hold_nothing,
                               const uint8_t *bytes, size_t size)
{
    static const struct http_limits limits = {.head_bytes_max = 16384, .body_bytes_max = 65536};
    struct http_reader reader;
    if (size == 0) {
        return 0;
    }
    http_reader_init(&reader, &limits);
    (void)http_reader_feed(&reader, (const char *)bytes + 1, size - 1);
    if (reader.state == HTTP_READER_COMPLETE) {
        fuzz_read(dialect, &reader, &fuzz_identities[bytes[0] % MR_COUNT_OF(fuzz_identities)],
                  may_hold_nothing);
    }
    http_reader_done(&reader);
    return 0;
}

#endif
