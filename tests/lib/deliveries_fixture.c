// SPDX-License-Identifier: Apache-2.0
#include "lib/deliveries_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct mr_metric series = {
    .name = "test_deliveries", .type = MR_GAUGE, .help = "Of a test.", .labels = {"field"}};

/* The options own their texts, so they are no constants. */
#define TEXT(literal) ((char[]){literal})

static struct mr_setting plant_settings[] = {
    {.key = TEXT("topic"), .value = TEXT("plant/{device}/{channel}")},
    {.key = TEXT("application"), .value = TEXT("works")},
};
static struct mr_setting others_settings[] = {
    {.key = TEXT("topic"), .value = TEXT("others/{device}")},
    {.key = TEXT("kafka.topic"), .value = TEXT("others")},
};
static struct mr_setting structured_settings[] = {
    {.key = TEXT("topic"), .value = TEXT("structured/{device}")},
    {.key = TEXT("content"), .value = TEXT("application/cloudevents+json")},
};
static struct mr_section sections[] = {
    {.name = TEXT("plant"), .settings = plant_settings, .count = MR_COUNT_OF(plant_settings)},
    {.name = TEXT("others"), .settings = others_settings, .count = MR_COUNT_OF(others_settings)},
    {.name = TEXT("structured"),
     .settings = structured_settings,
     .count = MR_COUNT_OF(structured_settings)},
};
static const struct routes_options routes_options = {.routes = {sections, MR_COUNT_OF(sections)},
                                                     .ready = ROUTES_NONE};

static struct mr_series *series_of(const char *field)
{
    return mr_series_get(&series, (const char *const[]){field});
}

void deliveries_set_up(struct deliveries_fixture *f)
{
    memset(f, 0, sizeof *f);
    fixture_set_up(&f->kafka);
    mock_kafka_create_topic(&f->kafka.mock, "events.dead", 1);
    mock_kafka_create_topic(&f->kafka.mock, "others", 1);
    mock_kafka_create_topic(&f->kafka.mock, "others.dead", 1);
}

void deliveries_start(struct deliveries_fixture *f)
{
    struct mr_error err = {0};
    fixture_start_and_wait(&f->kafka);
    if (routes_new(&routes_options, "events", &f->routes, &err) != 0) {
        fail_msg("%s", err.text);
    }
    f->metrics.stored = series_of("stored");
    f->metrics.dead = series_of("dead");
    f->metrics.dropped = series_of("dropped");
    f->metrics.expired = series_of("expired");
    f->metrics.retries = series_of("retries");
    f->metrics.in_flight = series_of("in_flight");
    f->metrics.in_flight_bytes = series_of("in_flight_bytes");
    f->spec.loop = &f->kafka.loop;
    f->spec.port = f->kafka.port;
    f->spec.routes = f->routes;
    f->spec.metrics = &f->metrics;
    f->spec.message_bytes_max = producer_message_bytes_max(f->kafka.producer);
    assert_int_equal(deliveries_new(&f->spec, &f->deliveries, &err), 0);
}

void deliveries_stop(struct deliveries_fixture *f)
{
    bool closed = false;
    deliveries_close(f->deliveries, set_true, &closed);
    fixture_run_until(&f->kafka, is_true, &closed, SETTLE_MS);
    f->deliveries = NULL;
}

void deliveries_tear_down_rest(struct deliveries_fixture *f)
{
    assert_int_equal(mr_series_value(f->metrics.in_flight), 0);
    assert_int_equal(mr_series_value(f->metrics.in_flight_bytes), 0);
    routes_free(f->routes);
    fixture_tear_down(&f->kafka);
}

void deliveries_tear_down(struct deliveries_fixture *f)
{
    deliveries_stop(f);
    deliveries_tear_down_rest(f);
}

int deliveries_setup(void **state)
{
    static struct deliveries_fixture f;
    deliveries_set_up(&f);
    deliveries_start(&f);
    *state = &f;
    return 0;
}

int deliveries_teardown(void **state)
{
    deliveries_tear_down(*state);
    return 0;
}

struct mqtt_message mqtt_message_of(const char *topic, const char *payload)
{
    return (struct mqtt_message){
        .topic = mr_slice_of(topic),
        .payload = mr_slice_of(payload),
        .packet_id = 1,
        .qos = 1,
        .payload_format = -1,
        .expiry_seconds = -1,
    };
}

static void copy_text(char to[64], struct mr_slice text)
{
    assert_true(text.len < 64);
    (void)snprintf(to, 64, "%.*s", (int)text.len, text.ptr == NULL ? "" : text.ptr);
}

static void on_given_settled(void *user, void *item, struct mr_slice id)
{
    static unsigned rank;
    struct deliveries_fixture *f = user;
    struct given *given = item;
    struct given *more = given->more;
    assert_ptr_equal(given->f, f);
    assert_int_equal(given->settled, 0);
    given->settled++;
    given->rank = ++rank;
    copy_text(given->stored, id);
    f->left--;
    if (more != NULL) {
        give(f, more, "plant/d1/c", "more");
    }
    if (given->closes) {
        deliveries_close(f->deliveries, NULL, NULL);
        f->deliveries = NULL;
    }
}

int give_message(struct deliveries_fixture *f, struct given *given,
                 const struct mqtt_message *message, struct mr_slice id)
{
    struct mr_slice taken = {NULL, 0};
    struct mr_error err = {0};
    int rc;
    given->f = f;
    given->settled = 0;
    rc = deliveries_take(f->deliveries, message, id, on_given_settled, f, given, &taken, &err);
    assert_int_equal(given->settled, 0);
    if (rc == 0) {
        f->left++;
        copy_text(given->id, taken);
    }
    return rc;
}

void give(struct deliveries_fixture *f, struct given *given, const char *topic, const char *payload)
{
    const struct mqtt_message message = mqtt_message_of(topic, payload);
    assert_int_equal(give_message(f, given, &message, mr_slice(NULL, 0)), 0);
}

void deliveries_run(struct deliveries_fixture *f)
{
    fixture_run_until(&f->kafka, is_zero, &f->left, SETTLE_MS);
}

void assert_counted(const struct deliveries_fixture *f, int stored, int dead, int dropped,
                    int expired)
{
    assert_int_equal(mr_series_value(f->metrics.stored), stored);
    assert_int_equal(mr_series_value(f->metrics.dead), dead);
    assert_int_equal(mr_series_value(f->metrics.dropped), dropped);
    assert_int_equal(mr_series_value(f->metrics.expired), expired);
    assert_int_equal(mr_series_value(f->metrics.in_flight), 0);
    assert_int_equal(mr_series_value(f->metrics.in_flight_bytes), 0);
    assert_int_equal(deliveries_count(f->deliveries), 0);
    assert_int_equal(deliveries_bytes(f->deliveries), 0);
}
