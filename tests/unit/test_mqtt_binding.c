// SPDX-License-Identifier: Apache-2.0
/* CloudEvents 1.0.2, MQTT protocol binding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "event/format_avro.h"
#include "lib/message_fixture.h"

/* [MQTT binding 3.1.4] */
static void binary_mode_keeps_the_event(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f, "");
    message_expect(&f,
                   &(struct publish){
                       .topic = "mytopic",
                       .payload = "{}",
                       .content_type = "application/json; charset=utf-8",
                       .properties = {"specversion", "1.0", "type", "com.example.someevent", "time",
                                      "2018-04-05T03:56:24Z", "id", "1234-1234-1234", "source",
                                      "/mycontext/subcontext", "comexample", "7", "Trace-Id", "t"},
                       .id = "I"},
                   "",
                   "comexample=7 datacontenttype=application/json; charset=utf-8 "
                   "id=1234-1234-1234 mqttproperties=[[\"Trace-Id\",\"t\"]] mqtttopic=mytopic "
                   "source=/mycontext/subcontext specversion=1.0 time=2018-04-05T03:56:24Z "
                   "type=com.example.someevent");
    message_end(&f);
}

static void the_route_adds_what_the_event_does_not_say(void **state)
{
    static const char *const own[] = {"specversion", "1.0", "id", "1", "source", "/s", "type", "t"};
    struct message_fixture f;
    struct publish publish = {.topic = "e/farm/d1/x", .retain = true, .response_topic = "r"};
    (void)state;
    message_begin(&f,
                  "[route e]\ntopic = e/{application}/{device}/{line}\n"
                  "[route d]\ntopic = d/{device}\ncontent = text/csv\n");
    memcpy(publish.properties, own, sizeof own);
    message_expect(&f, &publish, " time specversion id source type ",
                   "application=farm device=d1 line=x mqttresponsetopic=r mqttretain=true "
                   "mqtttopic=e/farm/d1/x");
    publish = (struct publish){.topic = "d/d1"};
    memcpy(publish.properties, own, sizeof own);
    message_expect(&f, &publish, " time specversion id source type ",
                   "application=default datacontenttype=text/csv device=d1 mqtttopic=d/d1");
    memcpy(publish.properties + MR_COUNT_OF(own),
           ((const char *[]){"device", "own", "mqtttopic", "before", "datacontenttype", "a/b"}),
           6 * sizeof(char *));
    message_expect(&f, &publish, " time specversion id source type ",
                   "application=default datacontenttype=a/b device=own mqtttopic=before");
    message_end(&f);
}

static void an_event_without_content_has_no_data(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f, "");
    assert_int_equal(
        message_make(&f, &(struct publish){.topic = "t",
                                           .payload = "",
                                           .properties = {"specversion", "1.0", "id", "1", "source",
                                                          "/s", "type", "t"}}),
        0);
    assert_null(mr_event_data(f.event).ptr);
    assert_int_equal(
        message_make(&f, &(struct publish){.topic = "t",
                                           .payload = "",
                                           .content_type = "text/plain",
                                           .properties = {"specversion", "1.0", "id", "1", "source",
                                                          "/s", "type", "t"}}),
        0);
    assert_slice(mr_event_data(f.event), "");
    message_end(&f);
}

static void bad_events_are_refused(void **state)
{
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route s]\ntopic = s/+\ncontent = application/cloudevents+json\n");
    message_refused(&f, MR_ENOTEVENT, "not-an-event", "required attributes are missing: id, source",
                    .topic = "t", .properties = {"specversion", "1.0", "type", "t"});
    message_refused(&f, MR_EFORMAT, "not-an-event",
                    "attribute specversion: it is \"0.3\", expected \"1.0\"", .topic = "t",
                    .properties = {"specversion", "0.3", "type", "t"});
    message_refused(&f, MR_ENOTEVENT, "not-an-event", "user property type: given twice",
                    .topic = "t", .properties = {"specversion", "1.0", "type", "t", "type", "t"});
    message_refused(&f, MR_ENOTEVENT, "not-an-event",
                    "user property datacontenttype: the content type is another", .topic = "t",
                    .content_type = "text/plain",
                    .properties = {"specversion", "1.0", "datacontenttype", "text/csv"});
    message_refused(&f, MR_EFORMAT, "not-an-event",
                    "attribute datacontenttype: it is \"csv\", expected a media type such as "
                    "application/json (RFC 2046)",
                    .topic = "t", .content_type = "csv", .properties = {"specversion", "1.0"});
    message_refused(
        &f, MR_ENOTEVENT, "not-an-event",
        "content type: a message holds one event; expected application/cloudevents+json or "
        "application/cloudevents+avro",
        .topic = "t", .content_type = "application/cloudevents-batch+json", .payload = "[]");
    message_refused(
        &f, MR_ENOTEVENT, "not-an-event",
        "content type: a message holds one event; expected application/cloudevents+json or "
        "application/cloudevents+avro",
        .topic = "t", .content_type = "application/cloudevents+xml", .payload = "<e/>");
    message_refused(&f, MR_ENOTEVENT, "not-an-event",
                    "required attributes are missing: id, source, specversion, type", .topic = "t",
                    .content_type = "application/cloudevents+json");
    message_refused(&f, MR_ENOTEVENT, "not-an-event",
                    "required attributes are missing: id, source, specversion, type",
                    .topic = "s/1");
    message_end(&f);
}

#define EVENT "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/s\",\"type\":\"t\""

/* [MQTT binding 3.2] Also over MQTT 3.1.1, where the route has to say it. */
static void structured_mode_keeps_the_event(void **state)
{
    static const char *const types[] = {"application/cloudevents+json",
                                        "application/cloudevents+json; charset=utf-8",
                                        "Application/CloudEvents+JSON"};
    struct message_fixture f;
    (void)state;
    message_begin(&f,
                  "[route s]\ntopic = s/{device}\ncontent = application/cloudevents+json\n"
                  "[route t]\ntopic = t\n");
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        assert_int_equal(
            message_make(&f, &(struct publish){.topic = "t",
                                               .content_type = types[i],
                                               .payload = EVENT ",\"data\":{\"a\":1}}",
                                               .properties = {"id", "e1", "x", "y", "Type", "z"}}),
            0);
        assert_string_equal(message_shown(f.event, " time "),
                            "datacontenttype=application/json id=e1 "
                            "mqttproperties=[[\"x\",\"y\"],[\"Type\",\"z\"]] mqtttopic=t "
                            "source=/s specversion=1.0 type=t");
        assert_slice(mr_event_data(f.event), "{\"a\":1}");
    }
    assert_int_equal(
        message_make(
            &f, &(struct publish){.topic = "s/d1",
                                  .payload = EVENT ",\"time\":\"2026-01-02T03:04:05Z\",\"n\":7,"
                                                   "\"mqttproperties\":\"own\"}",
                                  .properties = {"other", "kept by nobody"},
                                  .id = "I"}),
        0);
    assert_string_equal(message_shown(f.event, ""),
                        "application=default device=d1 id=e1 mqttproperties=own mqtttopic=s/d1 n=7 "
                        "source=/s specversion=1.0 time=2026-01-02T03:04:05Z type=t");
    assert_null(mr_event_data(f.event).ptr);
    /* A content type of its own, or properties, say another mode. */
    message_becomes(&f, "application=default device=d1 mqtttopic=s/d1 subject=s", .topic = "s/d1",
                    .content_type = "application/json");
    assert_int_equal(
        message_make(&f, &(struct publish){.topic = "s/d1",
                                           .payload = EVENT "}",
                                           .properties = {"specversion", "1.0", "id", "b1",
                                                          "source", "/b", "type", "b"}}),
        0);
    assert_slice(mr_event_string(f.event, "id"), "b1");
    message_end(&f);
}

static void avro_is_a_structured_mode_too(void **state)
{
    struct mr_event *event = mr_event_new();
    struct mqtt_message message = {.topic = MR_SLICE("a/d1"), .payload_format = -1};
    struct mr_buf out;
    struct message_fixture f;
    (void)state;
    message_begin(&f, "[route a]\ntopic = a/{device}\ncontent = application/cloudevents+avro\n");
    set_text(event, "specversion", "1.0");
    set_text(event, "id", "e1");
    set_text(event, "source", "/s");
    set_text(event, "type", "t");
    mr_event_set_data(event, MR_SLICE("\x01\xff"));
    buf_init(&out, 1000);
    assert_int_equal(event_avro_encode(event, &out, NULL), 0);
    message.payload = buf_slice(&out);
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), 0);
    assert_string_equal(message_shown(f.event, " time "),
                        "application=default device=d1 id=e1 mqtttopic=a/d1 source=/s "
                        "specversion=1.0 type=t");
    assert_slice(mr_event_data(f.event), "\x01\xff");
    message.payload.len--;
    assert_int_equal(message_make_of(&f, &message, MR_SLICE("I")), MR_ENOTEVENT);
    assert_string_equal(mqtt_event_reason(f.maker), "not-an-event");
    buf_done(&out);
    mr_event_free(event);
    message_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_mode_keeps_the_event),
        cmocka_unit_test(the_route_adds_what_the_event_does_not_say),
        cmocka_unit_test(an_event_without_content_has_no_data),
        cmocka_unit_test(bad_events_are_refused),
        cmocka_unit_test(structured_mode_keeps_the_event),
        cmocka_unit_test(avro_is_a_structured_mode_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
