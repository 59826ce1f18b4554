// SPDX-License-Identifier: Apache-2.0
/* [route NAME] sections, as docs/millrace-mqtt.md describes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/event_asserts.h"
#include "lib/heap.h"
#include "lib/routes_fixture.h"

/* The Kafka topic of the route that takes the topic tells which one it was. NULL: none. */
static void expect_route(const struct routes_fixture *f, const char *topic, const char *kafka_topic)
{
    struct route_match match;
    bool is_found = routes_find(f->routes, mr_slice_of(topic), &match);
    if (is_found != (kafka_topic != NULL)) {
        fail_msg("%s", topic);
    }
    if (is_found) {
        assert_string_equal(route_kafka_topic(match.route), kafka_topic);
    }
}

static void expect_filters(const struct routes_fixture *f, const char *filters)
{
    char said[1000] = "";
    size_t len = 0;
    for (size_t i = 0; i < routes_filters(f->routes); i++) {
        len += (size_t)snprintf(said + len, sizeof said - len, "%s%s", i == 0 ? "" : " ",
                                routes_filter(f->routes, i));
        assert_true(len < sizeof said);
    }
    assert_string_equal(said, filters);
}

static void the_first_that_fits_wins(void **state)
{
    struct routes_fixture f;
    struct route_match match;
    (void)state;
    routes_fixture_begin(&f,
                         "[route exact]\ntopic = a/b\nkafka.topic = one\ndevice = d\n"
                         "[route wide]\ntopic = a/{device}\nkafka.topic = two\n"
                         "[route deep]\ntopic = a/{device}/{suffix...}\n"
                         "[route again]\ntopic = +/{device}\nkafka.topic = one\n"
                         "[mqtt]\nroutes.ready = none\n");
    expect_route(&f, "a/b", "one");
    expect_route(&f, "a/c", "two");
    expect_route(&f, "a/c/d", "events");
    expect_route(&f, "x/b", "one");
    expect_route(&f, "x", NULL);
    expect_route(&f, "x/b/c", NULL);
    expect_route(&f, "$SYS/b", NULL);
    assert_true(routes_find(f.routes, MR_SLICE("a/c/d/e"), &match));
    assert_slice(match.values[0], "c");
    assert_slice(match.values[1], "d/e");
    assert_int_equal(routes_kafka_topics(f.routes), 3);
    assert_string_equal(routes_kafka_topic(f.routes, 0), "events");
    assert_string_equal(routes_kafka_topic(f.routes, 1), "one");
    assert_string_equal(routes_kafka_topic(f.routes, 2), "two");
    routes_fixture_end(&f);
}

/* MQTT 5.0, 3.3.4: overlapping subscriptions may bring a message more than once. */
static void only_filters_that_no_other_covers_are_subscribed_to(void **state)
{
    struct routes_fixture f;
    (void)state;
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = none\n"
                         "[route a]\ntopic = a/b\ndevice = d\n"
                         "[route b]\ntopic = a/{device}\n"
                         "[route c]\ntopic = a/{device}/{suffix...}\n"
                         "[route d]\ntopic = b/x/{device}\n"
                         "[route e]\ntopic = +/{channel}/{device}\n"
                         "[route f]\ntopic = {channel}/#\ndevice = d\n"
                         "[route g]\ntopic = $SYS/{channel...}\ndevice = broker\n");
    expect_filters(&f, "+/# $SYS/#");
    routes_fixture_end(&f);
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = none\n"
                         "[route a]\ntopic = a/b\ndevice = d\n"
                         "[route b]\ntopic = +/b/{device}\n"
                         "[route c]\ntopic = a/{device}/x\n");
    expect_filters(&f, "a/b +/b/+ a/+/x");
    routes_fixture_end(&f);
    routes_fixture_begin(&f, "[route a]\ntopic = {device}/temp\n"); /* drogue's covers it */
    expect_filters(&f, "+ +/+");
    routes_fixture_end(&f);
    /* Of two that are the same, or as good as the same, the first one. */
    routes_fixture_begin(&f, "[route a]\ntopic = {device}/{channel}\n");
    expect_filters(&f, "+/+ +");
    routes_fixture_end(&f);
    routes_fixture_begin(&f, "[route a]\ntopic = {device}/#\n");
    expect_filters(&f, "+/#");
    routes_fixture_end(&f);
}

static void ready_made_routes_stand_behind(void **state)
{
    struct routes_fixture f;
    (void)state;
    routes_fixture_begin(&f, "");
    expect_filters(&f, "+ +/+");
    expect_route(&f, "temp", "events");
    expect_route(&f, "temp/d1", "events");
    expect_route(&f, "temp/d1/x", NULL);
    routes_fixture_end(&f);
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = telemetry\n"
                         "[route own]\ntopic = sensors/{device}/secret\nkafka.topic = secrets\n");
    expect_filters(&f, "telemetry/+/# sensors/+/# tele/+/# zigbee2mqtt/+ +/+/telemetry");
    expect_route(&f, "sensors/d1/secret", "secrets");
    expect_route(&f, "sensors/d1/temp", "events");
    expect_route(&f, "sensors/d1", "events");
    expect_route(&f, "telemetry/d1/a/b", "events");
    expect_route(&f, "tele/plug/SENSOR", "events");
    expect_route(&f, "zigbee2mqtt/lamp", "events");
    expect_route(&f, "zigbee2mqtt/lamp/set", NULL);
    expect_route(&f, "farm/d1/telemetry", "events");
    expect_route(&f, "farm/d1/command", NULL);
    expect_route(&f, "sensors", NULL);
    routes_fixture_end(&f);
}

static void expect_problems(const char *conf, const char *wanted)
{
    struct routes_fixture f;
    struct mr_check check = {0};
    struct mr_error err = {0};
    char *said;
    routes_fixture_read(&f, conf);
    check.options = f.options;
    routes_check(&f.target.routes, "events", &check);
    said = strndup(options_problems(f.options)->ptr, options_problems(f.options)->len);
    assert_string_equal(said, wanted);
    free(said);
    assert_int_equal(routes_new(&f.target.routes, "events", &f.routes, &err), MR_ECONFIG);
    assert_null(f.routes);
    assert_non_null(strstr(wanted, err.text)); /* the first one */
    routes_fixture_end(&f);
}

static void bad_lines_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_problems(
        "[route a]\ntopic = a/{device}/{device}\nkafka.topic = a b\ncontent = text\n"
        "dataschema = x\nid = @.a\ntype =\n",
        "t.conf:2: [route a] topic: character 13 of the pattern: this name stands there twice\n"
        "t.conf:3: [route a] kafka.topic: expected the name of a topic, 1 to 249 of a-z, A-Z, 0-9, "
        "'.', '_' and '-', other than '.' and '..'; got 'a b'\n"
        "t.conf:4: [route a] content: expected a media type such as text/csv, or "
        "application/cloudevents+json or +avro; got 'text'\n"
        "t.conf:5: [route a] dataschema: expected an absolute URI such as urn:example:reading; "
        "got 'x'\n"
        "t.conf:6: [route a] id: expected one path that begins with '$'\n"
        "t.conf:7: [route a] type: expected 1 to 1024 bytes of UTF-8 without control characters\n");
    expect_problems(
        "[route a]\ntopic = {device}/+\nid = $.a b\n"
        "[route b]\ntopic = b/+/{device}\nid = $..a\n"
        "[route c]\ntopic = c/{device}/x\ncontent = application/cloudevents-batch+json\n"
        "[route d]\ntopic = d/{device}/+/#\ncontent = application/cloudevents\n",
        "t.conf:3: [route a] id: expected one path that begins with '$'\n"
        "t.conf:6: [route b] id: character 3 of the path: expected a name of letters, digits and "
        "'_' (others as ['name'])\n"
        "t.conf:9: [route c] content: expected a media type such as text/csv, or "
        "application/cloudevents+json or +avro; got 'application/cloudevents-batch+json'\n"
        "t.conf:12: [route d] content: expected a media type such as text/csv, or "
        "application/cloudevents+json or +avro; got 'application/cloudevents'\n");
}

static void bad_routes_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_problems(
        "[route a]\ndevice = d\n"
        "[route b]\ntopic = b/{device}/{channel}\ndevice = d\nchannel = c\n"
        "[route c]\ntopic = c/{application}\napplication = a\n"
        "[route d]\ntopic = {device}\n"
        "[route e]\ntopic = e/{id}/{mqtttopic}\n"
        "[route f]\ntopic = b/+/temp\ndevice = d\n",
        "t.conf:1: [route a]: expected topic = PATTERN, such as sensors/{device}/{channel}\n"
        "t.conf:5: [route b] device: the pattern has {device} already; expected one of them\n"
        "t.conf:6: [route b] channel: the pattern has {channel} already; expected one of them\n"
        "t.conf:9: [route c] application: the pattern has {application} already; expected one of "
        "them\n"
        "t.conf:11: [route d] topic: nothing says the channel; expected {channel}, {suffix...}, a "
        "level without a name, or the key channel\n"
        "t.conf:13: [route e] topic: {id}: a name with a meaning of its own; expected "
        "{application}, {device}, {channel}, {suffix...} or the name of an extension\n"
        "t.conf:13: [route e] topic: {mqtttopic}: a name with a meaning of its own; expected "
        "{application}, {device}, {channel}, {suffix...} or the name of an extension\n"
        "t.conf:15: [route f] topic: no message comes here: [route b] takes all these topics\n");
    expect_problems("[mqtt]\nroutes.ready = none\n",
                    "t.conf:2: [mqtt] routes.ready: there is no route: expected a section [route "
                    "NAME], or the ready-made ones of drogue or telemetry\n");
}

static void kafka_topics_are_bounded(void **state)
{
    char conf[4000];
    size_t len = 0;
    struct routes_fixture f;
    (void)state;
    for (int i = 1; i < ROUTES_KAFKA_TOPICS_MAX; i++) {
        len += (size_t)snprintf(conf + len, sizeof conf - len,
                                "[route r%d]\ntopic = r%d/{device}\nkafka.topic = k%d\n", i, i, i);
    }
    len += (size_t)snprintf(conf + len, sizeof conf - len,
                            "[route again]\ntopic = again/{device}\nkafka.topic = k1\n"
                            "[route usual]\ntopic = usual/{device}\nkafka.topic = events\n");
    routes_fixture_begin(&f, conf);
    assert_int_equal(routes_kafka_topics(f.routes), ROUTES_KAFKA_TOPICS_MAX);
    routes_fixture_end(&f);
    (void)snprintf(conf + len, sizeof conf - len,
                   "[route more]\ntopic = more/{device}\nkafka.topic = more\n");
    expect_problems(conf,
                    "t.conf:42: [route more] kafka.topic: more than 12 different Kafka "
                    "topics, the default one among them\n");
}

static void without_memory_nothing_is_left(void **state)
{
    struct routes_fixture f;
    (void)state;
    routes_fixture_read(
        &f, "[route a]\ntopic = a/{device}\nid = $.a.b\n[route b]\ntopic = b/{device}\n");
    for (unsigned n = 1;; n++) {
        struct mr_error err = {0};
        int rc;
        heap_fail_at(n);
        rc = routes_new(&f.target.routes, "events", &f.routes, &err);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            routes_free(f.routes);
            assert_int_equal(heap_alive(), 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(heap_alive(), 0);
    }
    heap_restore();
    f.routes = NULL;
    routes_fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_fits_wins),
        cmocka_unit_test(only_filters_that_no_other_covers_are_subscribed_to),
        cmocka_unit_test(ready_made_routes_stand_behind),
        cmocka_unit_test(bad_lines_are_refused_with_their_place),
        cmocka_unit_test(bad_routes_are_refused_with_their_place),
        cmocka_unit_test(kafka_topics_are_bounded),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
