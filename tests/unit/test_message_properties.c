// SPDX-License-Identifier: Apache-2.0
/* What libmosquitto hands over, made with its own functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mqtt_protocol.h>

#include "bridge/mqtt/message_properties.h"
#include "lib/event_asserts.h"

struct fixture {
    mosquitto_property *properties;
    struct message_properties memory;
    struct mqtt_message message;
};

static void read(struct fixture *f, const struct mosquitto_message *received)
{
    struct mr_error err = {0};
    assert_int_equal(
        message_properties_read(received, f->properties, &f->memory, &f->message, &err), 0);
}

static void end(struct fixture *f)
{
    message_properties_clear(&f->memory);
    assert_int_equal(f->memory.copy_count, 0);
    mosquitto_property_free_all(&f->properties);
}

static void a_message_of_3_1_1_has_topic_and_payload(void **state)
{
    static struct fixture f;
    struct mosquitto_message received = {.mid = 65535,
                                         .topic = (char[]){"a/b"},
                                         .payload = (char[]){"x\0y"},
                                         .payloadlen = 3,
                                         .qos = 1,
                                         .retain = true};
    (void)state;
    read(&f, &received);
    assert_slice(f.message.topic, "a/b");
    assert_true(mr_slice_is(f.message.payload, mr_slice("x\0y", 3)));
    assert_int_equal(f.message.packet_id, 65535);
    assert_int_equal(f.message.qos, 1);
    assert_true(f.message.retain);
    assert_null(f.message.content_type.ptr);
    assert_null(f.message.response_topic.ptr);
    assert_null(f.message.correlation.ptr);
    assert_int_equal(f.message.payload_format, -1);
    assert_int_equal(f.message.expiry_seconds, -1);
    assert_int_equal(f.message.property_count, 0);
    end(&f);
}

static void nothing_is_a_payload_too(void **state)
{
    static struct fixture f;
    struct mosquitto_message received = {.mid = 7, .topic = (char[]){"a"}};
    (void)state;
    read(&f, &received);
    assert_slice(f.message.payload, "");
    assert_int_equal(f.message.packet_id, 0); /* QoS 0 has none: MQTT 5.0, 2.2.1 */
    assert_int_equal(f.message.qos, 0);
    assert_false(f.message.retain);
    end(&f);
}

/* MQTT 5.0, 3.3.2.3 */
static void every_property_has_its_place(void **state)
{
    static struct fixture f;
    struct mosquitto_message received = {.mid = 1, .topic = (char[]){"a"}, .qos = 1};
    mosquitto_property **p = &f.properties;
    (void)state;
    assert_int_equal(mosquitto_property_add_byte(p, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1), 0);
    assert_int_equal(
        mosquitto_property_add_int32(p, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 4294967295U), 0);
    assert_int_equal(mosquitto_property_add_string_pair(p, MQTT_PROP_USER_PROPERTY, "b", "1"), 0);
    assert_int_equal(mosquitto_property_add_string(p, MQTT_PROP_CONTENT_TYPE, "text/csv"), 0);
    assert_int_equal(mosquitto_property_add_string(p, MQTT_PROP_CONTENT_TYPE, "second"), 0);
    assert_int_equal(mosquitto_property_add_string(p, MQTT_PROP_RESPONSE_TOPIC, "r/1"), 0);
    assert_int_equal(mosquitto_property_add_binary(p, MQTT_PROP_CORRELATION_DATA, "\x00\xff", 2),
                     0);
    assert_int_equal(mosquitto_property_add_varint(p, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, 5), 0);
    assert_int_equal(mosquitto_property_add_string_pair(p, MQTT_PROP_USER_PROPERTY, "a", ""), 0);
    assert_int_equal(mosquitto_property_add_string_pair(p, MQTT_PROP_USER_PROPERTY, "b", "2"), 0);
    read(&f, &received);
    assert_int_equal(f.message.payload_format, 1);
    assert_true(f.message.expiry_seconds == INT64_C(4294967295));
    assert_slice(f.message.content_type, "text/csv");
    assert_slice(f.message.response_topic, "r/1");
    assert_true(mr_slice_is(f.message.correlation, mr_slice("\x00\xff", 2)));
    assert_int_equal(f.message.property_count, 3);
    assert_slice(f.message.properties[0].name, "b");
    assert_slice(f.message.properties[0].value, "1");
    assert_slice(f.message.properties[1].name, "a");
    assert_slice(f.message.properties[1].value, "");
    assert_slice(f.message.properties[2].name, "b");
    assert_slice(f.message.properties[2].value, "2");
    assert_int_equal(f.message.properties_left_out, 0);
    end(&f);
}

static void empty_is_not_absent(void **state)
{
    static struct fixture f;
    struct mosquitto_message received = {.mid = 1, .topic = (char[]){"a"}, .qos = 1};
    mosquitto_property **p = &f.properties;
    (void)state;
    assert_int_equal(mosquitto_property_add_binary(p, MQTT_PROP_CORRELATION_DATA, NULL, 0), 0);
    assert_int_equal(mosquitto_property_add_string(p, MQTT_PROP_CONTENT_TYPE, ""), 0);
    assert_int_equal(mosquitto_property_add_int32(p, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 0), 0);
    assert_int_equal(mosquitto_property_add_byte(p, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 0), 0);
    read(&f, &received);
    assert_slice(f.message.correlation, "");
    assert_slice(f.message.content_type, "");
    assert_int_equal(f.message.expiry_seconds, 0);
    assert_int_equal(f.message.payload_format, 0);
    end(&f);
}

static void user_properties_are_bounded(void **state)
{
    static struct fixture f;
    struct mosquitto_message received = {.mid = 1, .topic = (char[]){"a"}, .qos = 1};
    char name[8];
    (void)state;
    for (int i = 0; i < MQTT_USER_PROPERTIES_MAX + 3; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(
            mosquitto_property_add_string_pair(&f.properties, MQTT_PROP_USER_PROPERTY, name, "v"),
            0);
    }
    assert_int_equal(
        mosquitto_property_add_string(&f.properties, MQTT_PROP_CONTENT_TYPE, "text/csv"), 0);
    for (int i = 0; i < 2; i++) { /* the memory is used again */
        read(&f, &received);
        assert_int_equal(f.message.property_count, MQTT_USER_PROPERTIES_MAX);
        assert_int_equal(f.message.properties_left_out, 3);
        assert_slice(f.message.properties[255].name, "n255");
        assert_slice(f.message.content_type, "text/csv");
        message_properties_clear(&f.memory);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_of_3_1_1_has_topic_and_payload),
        cmocka_unit_test(nothing_is_a_payload_too),
        cmocka_unit_test(every_property_has_its_place),
        cmocka_unit_test(empty_is_not_absent),
        cmocka_unit_test(user_properties_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
