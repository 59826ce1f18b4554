// SPDX-License-Identifier: Apache-2.0
/* Which names the bridge of MQTT has: filters, client ids, topics of Kafka. */
#include <unistd.h>

#include "bridge/mqtt/kafka_names.h"
#include "bridge/mqtt/subscriptions.h"
#include "lib/heap.h"
#include "lib/routes_fixture.h"

static const char conf[] =
    "[mqtt]\n"
    "routes.ready = none\n"
    "[route a]\n"
    "topic = plant/{device}/{channel}\n"
    "kafka.topic = plants\n"
    "[route b]\n"
    "topic = car/{device}/#\n"
    "kafka.topic = events\n"
    "[route c]\n"
    "topic = shed/{device}\n"
    "kafka.topic = plants\n";

static void set_up(struct routes_fixture *f)
{
    routes_fixture_begin(f, conf);
}

static void test_filters_are_shared_by_a_group(void **state)
{
    struct routes_fixture f;
    struct subscriptions plain;
    struct subscriptions shared;
    (void)state;
    set_up(&f);
    assert_int_equal(subscriptions_make(f.routes, NULL, &plain, NULL), 0);
    assert_int_equal(subscriptions_make(f.routes, "g", &shared, NULL), 0);
    assert_int_equal(plain.count, 3);
    assert_int_equal(shared.count, 3);
    for (size_t i = 0; i < plain.count; i++) {
        char expected[100];
        (void)snprintf(expected, sizeof expected, "$share/g/%s", plain.filters[i]);
        assert_string_equal(shared.filters[i], expected);
        assert_string_equal(plain.filters[i], routes_filter(f.routes, i));
    }
    subscriptions_done(&plain);
    subscriptions_done(&shared);
    routes_fixture_end(&f);
}

/* Each identifier is 1 for the first filter of the list, 2 for the second, 0 for none of them. */
static bool takes(const struct routes_fixture *f, uint32_t identifiers, const char *topic,
                  size_t count, const unsigned *filters)
{
    struct mqtt_message message = {.topic = mr_slice_of(topic), .subscription_count = count};
    for (size_t i = 0; i < count && i < MQTT_SUBSCRIPTIONS_MAX; i++) {
        message.subscriptions[i] = filters[i] == 0 ? 7 : identifiers + filters[i] - 1;
    }
    return subscriptions_take_copy(f->routes, identifiers, &message);
}

static uint32_t identifiers_of(const struct routes_fixture *f)
{
    struct subscriptions made;
    uint32_t identifiers;
    assert_int_equal(subscriptions_make(f->routes, "g", &made, NULL), 0);
    identifiers = made.identifiers;
    subscriptions_done(&made);
    return identifiers;
}

/* [MQTT 5.0, 3.3.4]: either a copy for each subscription, or one with all identifiers. */
static void test_one_copy_of_a_message_is_taken(void **state)
{
    static const unsigned one[] = {1};
    static const unsigned two[] = {2};
    static const unsigned both[] = {2, 1};
    static const unsigned strange[] = {0};
    static const unsigned many[MQTT_SUBSCRIPTIONS_MAX + 1] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
    struct routes_fixture f;
    uint32_t id;
    (void)state;
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = none\n"
                         "[route a]\ntopic = ce/#\ndevice = d\n"
                         "[route b]\ntopic = {channel}/{device}\n");
    id = identifiers_of(&f);
    assert_in_range(id, 1, (UINT32_C(1) << 28) - 1 - routes_filters(f.routes));
    assert_true(takes(&f, id, "ce/x", 1, one));
    assert_false(takes(&f, id, "ce/x", 1, two));
    assert_true(takes(&f, id, "ce/x", 2, both));
    assert_true(takes(&f, id, "ce/x", 0, NULL)); /* the broker doesn't say */
    assert_true(takes(&f, id, "a/b", 1, two));
    assert_true(takes(&f, id, "ce/x", MR_COUNT_OF(many), many)); /* not all were kept */
    assert_true(takes(&f, id, "ce/x", 1, strange));              /* of an earlier list */
    assert_true(takes(&f, id, "a/b/c", 1, strange));
    routes_fixture_end(&f);
}

static void test_only_filters_that_overlap_have_identifiers(void **state)
{
    struct routes_fixture f;
    uint32_t id;
    (void)state;
    set_up(&f);
    assert_int_equal(identifiers_of(&f), 0);
    routes_fixture_end(&f);
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = none\n"
                         "[route a]\ntopic = ce/#\ndevice = d\n"
                         "[route b]\ntopic = {channel}/{device}\n");
    id = identifiers_of(&f);
    assert_int_equal(identifiers_of(&f), id);
    routes_fixture_end(&f);
    routes_fixture_begin(&f,
                         "[mqtt]\nroutes.ready = none\n"
                         "[route b]\ntopic = {channel}/{device}\n"
                         "[route a]\ntopic = ce/#\ndevice = d\n");
    assert_int_not_equal(identifiers_of(&f), id);
    routes_fixture_end(&f);
}

static void test_client_ids_differ_and_stay(void **state)
{
    char id[CONNECTION_ID_BYTES];
    char host[200] = "";
    char expected[CONNECTION_ID_BYTES];
    (void)state;
    subscriptions_client_id("gate", 1, 0, id);
    assert_string_equal(id, "gate");
    subscriptions_client_id("gate", 3, 0, id);
    assert_string_equal(id, "gate-1");
    subscriptions_client_id("gate", 3, 2, id);
    assert_string_equal(id, "gate-3");
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    (void)snprintf(expected, sizeof expected, "millrace-mqtt-%s-2", host);
    subscriptions_client_id(NULL, 2, 1, id);
    assert_string_equal(id, expected);
}

/* The default one is the producer's own. */
static void test_topics_of_kafka_have_dead_letters(void **state)
{
    static const char *const expected[] = {"events.dead", "plants.dead", "plants"};
    struct routes_fixture f;
    struct kafka_names names;
    (void)state;
    set_up(&f);
    assert_int_equal(kafka_names_make(f.routes, &names, NULL), 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_string_equal(names.names[i], expected[i]);
    }
    assert_null(names.names[sizeof expected / sizeof *expected]);
    kafka_names_done(&names);
    routes_fixture_end(&f);
}

static void test_short_memory_is_told(void **state)
{
    struct routes_fixture f;
    struct subscriptions subscriptions;
    struct kafka_names names;
    (void)state;
    set_up(&f);
    for (unsigned n = 1;; n++) {
        int rc;
        heap_fail_at(n);
        rc = subscriptions_make(f.routes, "g", &subscriptions, NULL);
        if (!heap_failed()) {
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(heap_alive(), 0);
    }
    subscriptions_done(&subscriptions);
    for (unsigned n = 1;; n++) {
        int rc;
        heap_fail_at(n);
        rc = kafka_names_make(f.routes, &names, NULL);
        if (!heap_failed()) {
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(heap_alive(), 0);
    }
    kafka_names_done(&names);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
    routes_fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_are_shared_by_a_group),
        cmocka_unit_test(test_one_copy_of_a_message_is_taken),
        cmocka_unit_test(test_only_filters_that_overlap_have_identifiers),
        cmocka_unit_test(test_client_ids_differ_and_stay),
        cmocka_unit_test(test_topics_of_kafka_have_dead_letters),
        cmocka_unit_test(test_short_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
