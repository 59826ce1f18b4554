// SPDX-License-Identifier: Apache-2.0
/* What a message becomes that is no CloudEvent: the table of docs/millrace-mqtt.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "event/timestamp.h"
#include "kit/clock.h"
#include "lib/heap.h"
#include "lib/message_fixture.h"

/* ---- plain messages -------------------------------------------------------------------------- */

static void a_plain_message_becomes_a_whole_event(void **state)
{
    struct message_fixture f;
    int64_t before = clock_wall_ns();
    int64_t time;
    (void)state;
    message_begin(&f, "");
    message_expect(&f,
                   &(struct publish){.topic = "temp/d1",
                                     .payload = "{\"c\": 21.5}",
                                     .properties = {"application", "farm 1"},
                                     .response_topic = "r/1",
                                     .correlation = "\xff\x01",
                                     .retain = true,
                                     .id = "I"},
                   " time ",
                   "application=farm 1 datacontenttype=application/json device=d1 id=I "
                   "mqttcorrelation=/wE= mqttresponsetopic=r/1 mqttretain=true mqtttopic=temp/d1 "
                   "source=/farm%201/d1 specversion=1.0 subject=temp type=io.millrace.event.v1");
    assert_int_equal(mr_event_find(f.event, MR_SLICE("mqttretain"))->type, MR_VALUE_BOOLEAN);
    assert_int_equal(mr_event_find(f.event, MR_SLICE("mqttcorrelation"))->type, MR_VALUE_BINARY);
    assert_int_equal(timestamp_parse(mr_event_string(f.event, "time"), &time, NULL), 0);
    assert_true(time >= before && time <= clock_wall_ns());
    message_end(&f);
}

static void who_sent_it_is_the_route_s_word_before_the_property_s(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f,
                  "[mqtt]\nroutes.ready = none\n"
                  "[route t]\ntopic = t/{application}/{device}/{channel}\n"
                  "[route c]\ntopic = c/#\napplication = a\ndevice = d\nchannel = ch\n"
                  "[route p]\ntopic = {channel}\n");
    message_becomes(&f, "application=a device=d mqtttopic=t/a/d/ch subject=ch",
                    .topic = "t/a/d/ch");
    message_becomes(
        &f,
        "application=a device=d mqttproperties=[[\"device\",\"x\"],[\"application\",\"y\"]] "
        "mqtttopic=t/a/d/ch subject=ch",
        .topic = "t/a/d/ch", .properties = {"device", "x", "application", "y"});
    message_becomes(&f, "application=a device=d mqtttopic=t/a/d/ch subject=ch", .topic = "t/a/d/ch",
                    .properties = {"device", "d"}); /* it says the same */
    message_becomes(&f, "application=a device=d mqtttopic=c/x subject=ch", .topic = "c/x");
    message_becomes(&f, "application=default device=x mqtttopic=temp subject=temp", .topic = "temp",
                    .properties = {"device", "x"});
    message_becomes(&f, "application=y device=x mqtttopic=temp subject=temp", .topic = "temp",
                    .properties = {"application", "y", "device", "x"});
    message_end(&f);
}

static void the_channel_is_what_the_topic_says(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f,
                  "[mqtt]\nroutes.ready = telemetry\n"
                  "[route a]\ntopic = a/{device}/{channel}/{suffix...}\n"
                  "[route b]\ntopic = b/{device}/{suffix...}\n"
                  "[route c]\ntopic = c/{device}/{suffix...}\nchannel = ch\n"
                  "[route d]\ntopic = d/{device}/+/x/#\n");
    message_becomes(&f, "application=default device=1 mqtttopic=a/1/t subject=t", .topic = "a/1/t");
    message_becomes(&f, "application=default device=1 mqtttopic=a/1/t/u/v subject=t/u/v",
                    .topic = "a/1/t/u/v");
    message_becomes(&f, "application=default device=1 mqtttopic=a/1/t/ subject=t",
                    .topic = "a/1/t/");
    message_becomes(&f, "application=default device=1 mqtttopic=b/1/u/v subject=u/v",
                    .topic = "b/1/u/v");
    message_becomes(&f, "application=default device=1 mqtttopic=b/1 subject=b", .topic = "b/1");
    message_becomes(&f, "application=default device=1 mqtttopic=c/1 subject=ch", .topic = "c/1");
    message_becomes(&f, "application=default device=1 mqtttopic=c/1/u subject=ch/u",
                    .topic = "c/1/u");
    message_becomes(&f, "application=default device=1 mqtttopic=d/1/y/x/z subject=d/y/x/z",
                    .topic = "d/1/y/x/z");
    /* The ready-made ones. */
    message_becomes(&f, "application=default device=1 mqtttopic=telemetry/1 subject=telemetry",
                    .topic = "telemetry/1");
    message_becomes(&f, "application=default device=1 mqtttopic=telemetry/1/ subject=telemetry",
                    .topic = "telemetry/1/");
    message_becomes(&f, "application=default device=1 mqtttopic=sensors/1/a/b subject=a/b",
                    .topic = "sensors/1/a/b");
    message_becomes(&f, "application=default device=plug mqtttopic=tele/plug/SENSOR subject=SENSOR",
                    .topic = "tele/plug/SENSOR");
    message_becomes(
        &f, "application=default device=lamp mqtttopic=zigbee2mqtt/lamp subject=zigbee2mqtt",
        .topic = "zigbee2mqtt/lamp");
    message_becomes(&f, "application=farm device=1 mqtttopic=farm/1/telemetry subject=telemetry",
                    .topic = "farm/1/telemetry");
    message_end(&f);
}

static void other_names_of_a_pattern_are_extensions(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route a]\ntopic = {site}/{device}/{line}/x/{path...}\nchannel = c\n");
    message_becomes(
        &f, "application=default device=1 line= mqtttopic=s/1//x/p/q path=p/q site=s subject=c",
        .topic = "s/1//x/p/q");
    message_becomes(&f,
                    "application=default device=1 line=l mqttproperties=[[\"site\",\"other\"]] "
                    "mqtttopic=s/1/l/x site=s subject=c",
                    .topic = "s/1/l/x", .properties = {"site", "other", "line", "l"});
    message_end(&f);
}

static void who_sent_it_must_be_known(void **state)
{
    struct message_fixture f;
    char topic[2000] = "t/a/";
    (void)state;
    message_begin(&f,
                  "[mqtt]\nroutes.ready = none\n"
                  "[route t]\ntopic = t/{application}/{device}/{channel}\n"
                  "[route p]\ntopic = {channel}\n"
                  "[route n]\ntopic = n/{device}/#\n");
    message_refused(
        &f, MR_EFORMAT, "no-device",
        "no device: expected {device} or `device` in the route, or a user property `device`",
        .topic = "temp");
    message_refused(&f, MR_EFORMAT, "no-device", "device: its name is empty", .topic = "t/a//c");
    message_refused(&f, MR_EFORMAT, "no-device", "device: its name is empty", .topic = "temp",
                    .properties = {"device", ""});
    message_refused(&f, MR_EFORMAT, "bad-message", "user property device: given twice",
                    .topic = "temp", .properties = {"device", "a", "x", "y", "device", "a"});
    message_refused(&f, MR_EFORMAT, "bad-message", "application: it is empty", .topic = "t//d/c");
    message_refused(&f, MR_EFORMAT, "bad-message", "channel: it is empty", .topic = "t/a/d/");
    message_refused(
        &f, MR_EFORMAT, "bad-message",
        "attribute device: it is not text, expected UTF-8 without control characters and "
        "noncharacters",
        .topic = "temp", .properties = {"device", "a\x01"});
    memset(topic + 4, 'd', 1025);
    memcpy(topic + 4 + 1025, "/c", 3);
    message_refused(&f, MR_ELIMIT, "limit", "device: more than 1024 bytes", .topic = topic);
    message_end(&f);
}

static void topics_must_be_text(void **state)
{
    static const char *const bad[] = {"t/\x01", "t/\xc2\x9f", "t/\xff", "t/\xed\xa0\x80",
                                      "t/\xef\xbf\xbf"};
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route t]\ntopic = t/+\ndevice = d\n");
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        message_refused(&f, MR_EFORMAT, "bad-message",
                        "topic: expected UTF-8 without control characters", .topic = bad[i]);
    }
    message_refused(&f, MR_EFORMAT, "bad-message",
                    "attribute mqttresponsetopic: it is not text, expected UTF-8 without control "
                    "characters and noncharacters",
                    .topic = "t/1", .response_topic = "\x01");
    message_becomes(
        &f, "application=default device=d mqtttopic=t/\xf0\x9f\x8c\xa1 subject=t/\xf0\x9f\x8c\xa1",
        .topic = "t/\xf0\x9f\x8c\xa1");
    message_end(&f);
}

static void the_content_type_is_the_message_s_else_the_route_s_else_guessed(void **state)
{
    static const struct {
        const char *topic;
        struct publish publish;
        const char *wanted;
    } cases[] = {
        {.publish = {.topic = "g", .payload = "{\"a\":1}"}, .wanted = "application/json"},
        {.publish = {.topic = "g", .payload = "21.5"}, .wanted = "application/json"},
        {.publish = {.topic = "g", .payload = ""}, .wanted = "application/octet-stream"},
        {.publish = {.topic = "g", .payload = "ON"}, .wanted = "application/octet-stream"},
        {.publish = {.topic = "g", .payload = "ON", .is_utf8 = true},
         .wanted = "text/plain; charset=utf-8"},
        {.publish = {.topic = "g", .payload = "\xff", .is_utf8 = true},
         .wanted = "application/octet-stream"},
        {.publish = {.topic = "g", .payload = "{}", .is_utf8 = true}, .wanted = "application/json"},
        {.publish = {.topic = "g", .payload = "{}", .content_type = "text/plain"},
         .wanted = "text/plain"},
        {.publish = {.topic = "g", .payload = "{}", .content_type = ""},
         .wanted = "application/json"},
        {.publish = {.topic = "r", .payload = "{}"}, .wanted = "text/csv"},
        {.publish = {.topic = "r", .payload = "{}", .content_type = "text/plain"},
         .wanted = "text/plain"},
        {.publish = {.topic = "r", .payload = "{}", .content_type = "csv"}, .wanted = "text/csv"},
    };
    struct message_fixture f;
    (void)state;
    message_begin(&f,
                  "[route g]\ntopic = g\ndevice = d\n"
                  "[route r]\ntopic = r\ndevice = d\ncontent = text/csv\n");
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_int_equal(message_make(&f, &cases[i].publish), 0);
        assert_slice(mr_event_string(f.event, "datacontenttype"), cases[i].wanted);
        assert_slice(mr_event_data(f.event), cases[i].publish.payload);
    }
    /* Some text, as MQTT allows. */
    message_becomes(&f, "application=default device=d mqttcontenttype=csv mqtttopic=g subject=g",
                    .topic = "g", .content_type = "csv");
    message_refused(
        &f, MR_EFORMAT, "bad-message",
        "attribute mqttcontenttype: it is not text, expected UTF-8 without control characters "
        "and noncharacters",
        .topic = "g", .content_type = "\x02");
    message_end(&f);
}

static void properties_become_attributes(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f,
                  "[route g]\ntopic = g\ndevice = d\ntype = t1\ndataschema = urn:s:1\n"
                  "[route h]\ntopic = h\ndevice = d\n");
    message_expect(&f,
                   &(struct publish){.topic = "g",
                                     .properties = {"time", "2026-01-02T03:04:05.678Z", "id", "k-1",
                                                    "type", "t2", "dataschema", "urn:s:2"},
                                     .id = "I"},
                   " application device source subject mqtttopic ",
                   "datacontenttype=application/json dataschema=urn:s:2 id=k-1 specversion=1.0 "
                   "time=2026-01-02T03:04:05.678Z type=t2");
    message_expect(&f, &(struct publish){.topic = "g", .id = "I"},
                   " application device source subject mqtttopic time ",
                   "datacontenttype=application/json dataschema=urn:s:1 id=I specversion=1.0 "
                   "type=t1");
    message_expect(
        &f,
        &(struct publish){
            .topic = "h", .properties = {"a", "1", "gateway", "gw", "x2", ""}, .id = "I"},
        " application device source subject mqtttopic time datacontenttype type "
        "specversion ",
        "a=1 gateway=gw id=I x2=");
    message_end(&f);
}

static void attributes_of_cloudevents_must_be_right(void **state)
{
    static const struct {
        const char *properties[PAIRS_MAX];
        const char *text;
    } cases[] = {
        {{"time", "yesterday"},
         "user property: attribute time: it is \"yesterday\", expected a timestamp such as "
         "2010-01-31T12:00:00Z (RFC 3339)"},
        {{"id", ""}, "user property: attribute id: it is empty, expected a non-empty string"},
        {{"type", ""}, "user property: attribute type: it is empty, expected a non-empty string"},
        {{"dataschema", "x"},
         "user property: attribute dataschema: it is \"x\", expected an absolute URI (RFC 3986 "
         "4.3)"},
        {{"id", "a\x01"},
         "user property: attribute id: it is not text, expected UTF-8 without control characters "
         "and noncharacters"},
        {{"id", "1", "id", "1"}, "user property id: given twice"},
        {{"time", "2026-01-02T03:04:05Z", "time", "2026-01-02T03:04:05Z"},
         "user property time: given twice"},
    };
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route g]\ntopic = g\ndevice = d\n");
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct publish publish = {.topic = "g", .id = "I"};
        memcpy(publish.properties, cases[i].properties, sizeof cases[i].properties);
        message_expect_refusal(&f, &publish, MR_EFORMAT, "bad-message", cases[i].text);
    }
    message_end(&f);
}

/* RFC 8259 7 for what is escaped. */
static void what_has_no_legal_name_is_kept(void **state)
{
    static const struct {
        const char *properties[2 * PAIRS_MAX];
        const char *wanted;
    } cases[] = {
        {{"device_id", "7", "b", "x", "Unit", "\xc2\xb0"},
         "b=x mqttproperties=[[\"device_id\",\"7\"],[\"Unit\",\"\xc2\xb0\"]]"},
        {{"a", "1", "b", "2", "a", "1"}, "b=2 mqttproperties=[[\"a\",\"1\"],[\"a\",\"1\"]]"},
        {{"source", "/x", "subject", "y", "datacontenttype", "z", "data", "d"},
         "mqttproperties=[[\"source\",\"/x\"],[\"subject\",\"y\"],[\"datacontenttype\",\"z\"],"
         "[\"data\",\"d\"]]"},
        {{"mqttretain", "true", "mqttx", "1", "mqttproperties", "[]"},
         "mqttproperties=[[\"mqttretain\",\"true\"],[\"mqttx\",\"1\"],[\"mqttproperties\","
         "\"[]\"]]"},
        {{"", ""}, "mqttproperties=[[\"\",\"\"]]"},
        {{"a", "x\ny\"\\\xc2\x85", "c", "\xef\xbf\xbe", "d", "\xf4\x8f\xbf\xbf\"", "e",
          "\xef\xb7\x90\\"},
         "mqttproperties=[[\"a\",\"x\\u000ay\\\"\\\\\\u0085\"],[\"c\",\"\\ufffe\"],"
         "[\"d\",\"\\udbff\\udfff\\\"\"],[\"e\",\"\\ufdd0\\\\\"]]"},
    };
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route g]\ntopic = g\ndevice = d\n");
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct publish publish = {.topic = "g", .id = "I"};
        memcpy(publish.properties, cases[i].properties, sizeof cases[i].properties);
        message_expect(&f, &publish,
                       " application device source subject mqtttopic time datacontenttype type "
                       "specversion id ",
                       cases[i].wanted);
    }
    message_refused(&f, MR_EFORMAT, "bad-message", "user property 2: its value is not UTF-8",
                    .topic = "g", .properties = {"a", "1", "b", "\xff"});
    message_refused(&f, MR_EFORMAT, "bad-message", "user property 1: its name is not UTF-8",
                    .topic = "g", .properties = {"\xc0\x80", "1"});
    message_end(&f);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void many_properties_are_bounded(void **state)
{
    static struct mqtt_user_property properties[MQTT_USER_PROPERTIES_MAX];
    static char names[MQTT_USER_PROPERTIES_MAX][8];
    static char large[MR_EVENT_ATTRIBUTES_BYTES_MAX];
    struct mqtt_message message = {.topic = MR_SLICE("g"),
                                   .payload = MR_SLICE("{}"),
                                   .payload_format = -1,
                                   .properties = properties,
                                   .property_count = MQTT_USER_PROPERTIES_MAX};
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route g]\ntopic = g\ndevice = d\n");
    for (size_t i = 0; i < MQTT_USER_PROPERTIES_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        properties[i] = (struct mqtt_user_property){mr_slice_of(names[i]), MR_SLICE("v")};
    }
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), 0);
    assert_slice(mr_event_string(f.event, "n63"), "v"); /* the first 64 */
    assert_null(mr_event_find(f.event, MR_SLICE("n64")));
    assert_int_equal(strncmp(mr_event_string(f.event, "mqttproperties").ptr,
                             "[[\"n64\",\"v\"],[\"n65\",\"v\"],", 24),
                     0);
    message.properties_left_out = 1;
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), MR_ELIMIT);
    assert_string_equal(f.err.text, "more than 256 user properties");
    assert_string_equal(mqtt_event_reason(f.maker), "limit");
    message.properties_left_out = 0;
    memset(large, 'x', sizeof large);
    properties[0].value = mr_slice(large, sizeof large);
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), MR_ELIMIT);
    assert_string_equal(f.err.text,
                        "attribute n0: names and values are more than 65536 bytes together");
    properties[0].name = MR_SLICE("N0");
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), MR_ELIMIT);
    properties[1] = properties[2] = properties[0];
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), MR_ELIMIT);
    assert_string_equal(mqtt_event_reason(f.maker), "limit");
    message_end(&f);
}

/* ---- the id ---------------------------------------------------------------------------------- */

static void the_id_is_the_message_s_then_the_given_one_then_new(void **state)
{
    static const struct {
        struct publish publish;
        const char *wanted; /* NULL: a new one */
    } cases[] = {
        {{.topic = "g", .properties = {"id", "p"}, .payload = "{\"id\":\"j\"}", .id = "I"}, "p"},
        {{.topic = "j", .properties = {"id", "p"}, .payload = "{\"id\":\"j\"}", .id = "I"}, "p"},
        {{.topic = "j", .payload = "{\"id\":\"j\"}", .id = "I"}, "j"},
        {{.topic = "j", .payload = "{\"id\":12e3}", .id = "I"}, "12e3"},
        {{.topic = "j", .payload = "{\"id\":\"a\\u00e9\\n\\\"\"}"}, NULL}, /* see below */
        {{.topic = "j", .payload = "{\"id\":\"a\\u00e9\\\"\"}", .id = "I"}, "a\xc3\xa9\""},
        {{.topic = "j", .payload = "{\"id\":null}", .id = "I"}, "I"},
        {{.topic = "j", .payload = "{\"x\":1}", .id = "I"}, "I"},
        {{.topic = "j", .payload = "21.5", .id = "I"}, "I"},
        {{.topic = "j", .payload = "not JSON", .id = "I"}, "I"},
        {{.topic = "g", .payload = "{\"id\":\"j\"}", .id = "I"}, "I"},
        {{.topic = "g", .payload = "{\"id\":\"j\"}"}, NULL},
        {{.topic = "j", .payload = "{}"}, NULL},
    };
    struct message_fixture f;
    (void)state;
    message_begin(
        &f, "[route g]\ntopic = g\ndevice = d\n[route j]\ntopic = j\ndevice = d\nid = $.id\n");
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (i == 4) {
            message_refused(
                &f, MR_EFORMAT, "bad-message",
                "$.id: attribute id: it is not text, expected UTF-8 without control characters "
                "and noncharacters",
                .topic = "j", .payload = "{\"id\":\"a\\u00e9\\n\\\"\"}");
            continue;
        }
        assert_int_equal(message_make(&f, &cases[i].publish), 0);
        if (cases[i].wanted != NULL) {
            assert_slice(mr_event_string(f.event, "id"), cases[i].wanted);
        } else {
            assert_int_equal(mr_event_string(f.event, "id").len, 36); /* a UUID: RFC 9562 4 */
        }
    }
    message_refused(&f, MR_EFORMAT, "bad-message", "id: $.id is neither a string nor a number",
                    .topic = "j", .payload = "{\"id\":[1]}");
    message_refused(&f, MR_EFORMAT, "bad-message", "id: $.id is neither a string nor a number",
                    .topic = "j", .payload = "{\"id\":true}");
    message_refused(&f, MR_EFORMAT, "bad-message", "id: $.id is given twice", .topic = "j",
                    .payload = "{\"id\":1,\"id\":1}");
    message_refused(&f, MR_EFORMAT, "bad-message",
                    "$.id: attribute id: it is empty, expected a non-empty string", .topic = "j",
                    .payload = "{\"id\":\"\"}");
    message_end(&f);
}

static void ids_are_bounded(void **state)
{
    char id[1026];
    char payload[1100];
    struct message_fixture f;
    (void)state;
    memset(id, 'x', sizeof id);
    id[1025] = '\0';
    message_begin(&f, "[route j]\ntopic = j\ndevice = d\nid = $.id\n");
    message_refused(&f, MR_ELIMIT, "limit", "user property: id: more than 1024 bytes", .topic = "j",
                    .properties = {"id", id});
    (void)snprintf(payload, sizeof payload, "{\"id\":\"%s\"}", id);
    message_refused(&f, MR_ELIMIT, "limit", "id: more than 1024 bytes", .topic = "j",
                    .payload = payload);
    id[1024] = '\0';
    assert_int_equal(message_make(&f, &(struct publish){.topic = "j", .properties = {"id", id}}),
                     0);
    assert_slice(mr_event_string(f.event, "id"), id);
    message_end(&f);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void without_memory(const struct publish *publish)
{
    struct message_fixture f;
    message_begin(&f, "[route g]\ntopic = g/{device}/{x}\nid = $['i\\u0064']\n");
    mr_event_free(f.event);
    mqtt_event_maker_free(f.maker);
    for (unsigned n = 1;; n++) {
        int rc;
        heap_fail_at(n);
        f.event = mr_event_new();
        f.maker = NULL;
        rc = f.event == NULL ? mr_error_set(&f.err, MR_ENOMEM, "no event")
                             : mqtt_event_maker_new(&f.maker, &f.err);
        if (rc == 0) {
            rc = message_make(&f, publish);
        }
        mqtt_event_maker_free(f.maker);
        mr_event_free(f.event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(f.err.code, MR_ENOMEM);
    }
    heap_restore();
    f.event = NULL;
    f.maker = NULL;
    message_end(&f);
}

static void without_memory_nothing_is_left(void **state)
{
    static char large[9000];
    (void)state;
    memset(large, 'x', sizeof large - 1);
    without_memory(&(struct publish){.topic = "g/d/y",
                                     .payload = "{\"id\":\"a\\u0041\"}",
                                     .properties = {"A", "1", "b", large, "C", large}});
    without_memory(&(struct publish){.topic = "g/d/y",
                                     .payload = "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":"
                                                "\"/s\",\"type\":\"t\",\"data\":\"\\u0041\"}",
                                     .content_type = "application/cloudevents+json",
                                     .properties = {"A", large}});
}

static void the_error_may_be_nobody_s(void **state)
{
    struct message_fixture f;
    struct publish publish = {.topic = "t"};
    struct mqtt_message message;
    struct route_match match;
    (void)state;
    message_begin(&f, "");
    message = message_of(&f, &publish);
    assert_true(routes_find(f.routes.routes, message.topic, &match));
    assert_int_equal(mqtt_event_make(f.maker, &message, &match, mr_slice(NULL, 0), f.event, NULL),
                     MR_EFORMAT);
    mqtt_event_maker_free(NULL);
    message_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_message_becomes_a_whole_event),
        cmocka_unit_test(who_sent_it_is_the_route_s_word_before_the_property_s),
        cmocka_unit_test(the_channel_is_what_the_topic_says),
        cmocka_unit_test(other_names_of_a_pattern_are_extensions),
        cmocka_unit_test(who_sent_it_must_be_known),
        cmocka_unit_test(topics_must_be_text),
        cmocka_unit_test(the_content_type_is_the_message_s_else_the_route_s_else_guessed),
        cmocka_unit_test(properties_become_attributes),
        cmocka_unit_test(attributes_of_cloudevents_must_be_right),
        cmocka_unit_test(what_has_no_legal_name_is_kept),
        cmocka_unit_test(many_properties_are_bounded),
        cmocka_unit_test(the_id_is_the_message_s_then_the_given_one_then_new),
        cmocka_unit_test(ids_are_bounded),
        cmocka_unit_test(without_memory_nothing_is_left),
        cmocka_unit_test(the_error_may_be_nobody_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
