// SPDX-License-Identifier: Apache-2.0
/* A message as a dead letter, and its copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/mqtt/dead_message.h"
#include "bridge/mqtt/message_copy.h"
#include "kit/mem.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

enum { PLENTY = 1 << 20, CAME_MS = 1262304000 };

static const struct mqtt_user_property properties[] = {
    {MR_SLICE_INIT("device"), MR_SLICE_INIT("d7")},
    {MR_SLICE_INIT("device"), MR_SLICE_INIT("d8")}, /* 3.3.2.3.7: it may stand there twice */
    {MR_SLICE_INIT(""), MR_SLICE_INIT("")},
    {MR_SLICE_INIT("millrace_dead_reason"), MR_SLICE_INIT("mine")},
};

static const struct mqtt_message full = {
    .topic = MR_SLICE_INIT("plant/d7/temp"),
    .payload = MR_SLICE_INIT("\x00\xff{"),
    .packet_id = 7,
    .qos = 1,
    .retain = true,
    .content_type = MR_SLICE_INIT("application/cloudevents+json"),
    .response_topic = MR_SLICE_INIT("answers/d7"),
    .correlation = MR_SLICE_INIT("\x00\x01"),
    .payload_format = 1,
    .expiry_seconds = 60,
    .properties = properties,
    .property_count = 4,
};

static const struct mqtt_message plain = {
    .topic = MR_SLICE_INIT("t"),
    .payload = MR_SLICE_INIT(""),
    .packet_id = 1,
    .payload_format = -1,
    .expiry_seconds = -1,
};

static struct dead_message dead_of(const struct mqtt_message *message)
{
    return (struct dead_message){
        .message = message,
        .reason = DEAD_MESSAGE_NOT_AN_EVENT,
        .text = "no id",
        .kafka_topic = "events",
        .came_ms = CAME_MS,
    };
}

static struct dead_message_writer *new_writer(void)
{
    struct dead_message_writer *writer = malloc(sizeof *writer);
    assert_non_null(writer);
    dead_message_writer_init(writer);
    return writer;
}

static void free_writer(struct dead_message_writer *writer)
{
    dead_message_writer_done(writer);
    free(writer);
}

static struct kafka_record write_record(struct dead_message_writer *writer,
                                        const struct dead_message *dead, size_t bytes_max)
{
    struct kafka_record record;
    struct mr_error err = {0};
    assert_int_equal(dead_message_write(dead, bytes_max, writer, &record, &err), 0);
    return record;
}

static void assert_headers(const struct kafka_record *record, const struct kafka_header *expected,
                           size_t count)
{
    assert_int_equal(record->header_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(record->headers[i].name, expected[i].name);
        assert_int_equal(record->headers[i].value.len, expected[i].value.len);
        assert_memory_equal(record->headers[i].value.ptr, expected[i].value.ptr,
                            expected[i].value.len);
    }
}

static void test_all_that_a_message_has(void **state)
{
    static const struct kafka_header expected[] = {
        {"content-type", MR_SLICE_INIT("application/cloudevents+json")},
        {"mqtt_topic", MR_SLICE_INIT("plant/d7/temp")},
        {"mqtt_qos", MR_SLICE_INIT("1")},
        {"mqtt_retain", MR_SLICE_INIT("true")},
        {"mqtt_response_topic", MR_SLICE_INIT("answers/d7")},
        {"mqtt_correlation_data", MR_SLICE_INIT("\x00\x01")},
        {"mqtt_payload_format", MR_SLICE_INIT("1")},
        {"mqtt_message_expiry", MR_SLICE_INIT("60")},
        {"mqtt_property_device", MR_SLICE_INIT("d7")},
        {"mqtt_property_device", MR_SLICE_INIT("d8")},
        {"mqtt_property_", MR_SLICE_INIT("")},
        {"mqtt_property_millrace_dead_reason", MR_SLICE_INIT("mine")},
        {"millrace_dead_reason", MR_SLICE_INIT("not-an-event")},
        {"millrace_dead_text", MR_SLICE_INIT("no id")},
        {"millrace_dead_topic", MR_SLICE_INIT("events")},
        {"millrace_dead_timestamp", MR_SLICE_INIT("1262304000")},
    };
    struct dead_message_writer *writer = new_writer();
    const struct dead_message dead = dead_of(&full);
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct kafka_record record = write_record(writer, &dead, PLENTY);
        assert_true(mr_slice_is(record.key, full.topic));
        assert_true(mr_slice_is(record.value, full.payload));
        assert_headers(&record, expected, MR_COUNT_OF(expected));
    }
    free_writer(writer);
}

static void test_what_a_message_does_not_have(void **state)
{
    static const struct kafka_header expected[] = {
        {"mqtt_topic", MR_SLICE_INIT("t")},
        {"mqtt_qos", MR_SLICE_INIT("0")},
        {"mqtt_retain", MR_SLICE_INIT("false")},
        {"millrace_dead_reason", MR_SLICE_INIT("no-route")},
        {"millrace_dead_text", MR_SLICE_INIT("")},
        {"millrace_dead_topic", MR_SLICE_INIT("events")},
        {"millrace_dead_timestamp", MR_SLICE_INIT("1262304000")},
    };
    struct dead_message_writer *writer = new_writer();
    struct dead_message dead = dead_of(&plain);
    struct kafka_record record;
    (void)state;
    dead.reason = DEAD_MESSAGE_NO_ROUTE;
    dead.text = NULL;
    record = write_record(writer, &dead, PLENTY);
    assert_non_null(record.value.ptr); /* empty, not a tombstone */
    assert_int_equal(record.value.len, 0);
    assert_headers(&record, expected, MR_COUNT_OF(expected));
    free_writer(writer);
}

static struct mr_slice header_of(const struct kafka_record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) == 0) {
            return record->headers[i].value;
        }
    }
    return mr_slice(NULL, 0);
}

static void test_properties_beyond_the_bound_are_counted(void **state)
{
    struct dead_message_writer *writer = new_writer();
    struct mqtt_message message = plain;
    const struct dead_message dead = dead_of(&message);
    struct mqtt_user_property many[MQTT_USER_PROPERTIES_MAX];
    struct kafka_record record;
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(many); i++) {
        many[i] = properties[0];
    }
    message.properties = many;
    message.property_count = MR_COUNT_OF(many);
    message.properties_left_out = 44;
    record = write_record(writer, &dead, PLENTY);
    /* 3 of the message's own and 256 properties, of which a record takes 242 */
    assert_slice(header_of(&record, "millrace_dead_text"),
                 "no id (44 user properties left out) (17 headers left out)");
    assert_slice(header_of(&record, "mqtt_topic"), "t");
    free_writer(writer);
}

static void test_the_memory_of_a_large_one_is_given_back(void **state)
{
    static char name[60000];
    const struct mqtt_user_property large[] = {{mr_slice(name, sizeof name), MR_SLICE("")},
                                               {mr_slice(name, sizeof name), MR_SLICE("")}};
    struct dead_message_writer *writer = new_writer();
    struct mqtt_message message = plain;
    const struct dead_message dead = dead_of(&message);
    (void)state;
    memset(name, 'n', sizeof name);
    message.properties = large;
    message.property_count = MR_COUNT_OF(large);
    (void)write_record(writer, &dead, PLENTY);
    assert_true(writer->texts.capacity > MR_COUNT_OF(large) * sizeof name);
    message.property_count = 0;
    (void)write_record(writer, &dead, PLENTY);
    assert_true(writer->texts.capacity < sizeof name);
    free_writer(writer);
}

static void test_over_the_limit_the_payload_is_cut(void **state)
{
    static const char payload[2 * DEAD_BYTES_MIN];
    struct dead_message_writer *writer = new_writer();
    struct mqtt_message message = full;
    const struct dead_message dead = dead_of(&message);
    struct kafka_record record;
    (void)state;
    message.payload = mr_slice(payload, sizeof payload);
    record = write_record(writer, &dead, DEAD_BYTES_MIN);
    assert_true(record.value.len < DEAD_BYTES_MIN);
    assert_slice(header_of(&record, "millrace_dead_size"), "65536");
    /* head -c 65536 /dev/zero | sha256sum */
    assert_slice(header_of(&record, "millrace_dead_sha256"),
                 "de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31");
    free_writer(writer);
}

static void test_without_memory(void **state)
{
    struct dead_message_writer *writer = new_writer();
    const struct dead_message dead = dead_of(&full);
    struct kafka_record record;
    struct mr_error err;
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        int rc;
        heap_fail_at(n);
        rc = dead_message_write(&dead, PLENTY, writer, &record, &err);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 2);
    free_writer(writer);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

/* --- the copy --- */

static void assert_copied(struct mr_slice copy, struct mr_slice of, const char *begin,
                          const char *end)
{
    if (of.ptr == NULL) {
        assert_null(copy.ptr);
        return;
    }
    assert_true(mr_slice_is(copy, of));
    assert_true(copy.ptr >= begin && copy.ptr + copy.len <= end);
}

static void assert_is_copy(const struct mqtt_message *of)
{
    size_t bytes = message_copy_bytes(of);
    char *memory = malloc(bytes + 1);
    struct mqtt_message copy;
    assert_non_null(memory);
    assert_ptr_equal(message_copy_into(of, memory, &copy), memory + bytes);
    assert_copied(copy.topic, of->topic, memory, memory + bytes);
    assert_copied(copy.payload, of->payload, memory, memory + bytes);
    assert_copied(copy.content_type, of->content_type, memory, memory + bytes);
    assert_copied(copy.response_topic, of->response_topic, memory, memory + bytes);
    assert_copied(copy.correlation, of->correlation, memory, memory + bytes);
    assert_int_equal(copy.property_count, of->property_count);
    for (size_t i = 0; i < of->property_count; i++) {
        assert_copied(copy.properties[i].name, of->properties[i].name, memory, memory + bytes);
        assert_copied(copy.properties[i].value, of->properties[i].value, memory, memory + bytes);
    }
    assert_int_equal(copy.packet_id, of->packet_id);
    assert_int_equal(copy.qos, of->qos);
    assert_int_equal(copy.retain, of->retain);
    assert_int_equal(copy.payload_format, of->payload_format);
    assert_int_equal(copy.expiry_seconds, of->expiry_seconds);
    free(memory);
}

static void test_a_copy_has_all_of_its_own(void **state)
{
    (void)state;
    assert_is_copy(&full);
    assert_is_copy(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_a_message_has),
        cmocka_unit_test(test_what_a_message_does_not_have),
        cmocka_unit_test(test_properties_beyond_the_bound_are_counted),
        cmocka_unit_test(test_the_memory_of_a_large_one_is_given_back),
        cmocka_unit_test(test_over_the_limit_the_payload_is_cut),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_a_copy_has_all_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
