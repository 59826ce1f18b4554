// SPDX-License-Identifier: Apache-2.0
/* What a broker sends again. The verdicts follow from MQTT 5.0, 2.2.1 (a packet id is free once it
 * is acknowledged), 4.4 (what isn't acknowledged is sent again on the next connection) and 4.6 (in
 * the order of the first time). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/mqtt/redelivery.h"
#include "kit/mem.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

enum { MAX = 4 };

static struct redelivery *new_table(size_t max)
{
    struct redelivery *redelivery;
    struct mr_error err;
    assert_int_equal(redelivery_new(max, &redelivery, &err), 0);
    redelivery_connected(redelivery, false);
    return redelivery;
}

static struct mqtt_message message_of(uint16_t packet_id, const char *payload)
{
    return (struct mqtt_message){
        .topic = MR_SLICE("plant/1"),
        .payload = mr_slice_of(payload),
        .packet_id = packet_id,
        .qos = 1,
        .payload_format = -1,
        .expiry_seconds = -1,
    };
}

static enum redelivery_verdict take_message(struct redelivery *redelivery,
                                            const struct mqtt_message *message,
                                            struct redelivery_entry **ret_entry)
{
    enum redelivery_verdict verdict;
    struct mr_error err;
    assert_int_equal(redelivery_take(redelivery, message, &verdict, ret_entry, &err), 0);
    assert_non_null(*ret_entry);
    return verdict;
}

static enum redelivery_verdict take(struct redelivery *redelivery, uint16_t packet_id,
                                    const char *payload, struct redelivery_entry **ret_entry)
{
    const struct mqtt_message message = message_of(packet_id, payload);
    return take_message(redelivery, &message, ret_entry);
}

/* A new one gets this id. */
static struct redelivery_entry *take_new(struct redelivery *redelivery, uint16_t packet_id,
                                         const char *payload, const char *id)
{
    struct redelivery_entry *entry;
    assert_int_equal(take(redelivery, packet_id, payload, &entry), REDELIVERY_NEW);
    redelivery_set_id(entry, mr_slice_of(id));
    return entry;
}

static void settle_new(struct redelivery *redelivery, uint16_t packet_id, const char *payload,
                       const char *id)
{
    redelivery_settled(redelivery, take_new(redelivery, packet_id, payload, id));
}

static void test_one_on_its_way_is_waited_for(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *first = take_new(redelivery, 1, "a", "id-1");
    struct redelivery_entry *again;
    (void)state;
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_WAITS);
    assert_ptr_equal(again, first);
    assert_slice(redelivery_id(again), "id-1");
    /* and once more on the same connection, as brokers of 3.1 did */
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_WAITS);
    redelivery_settled(redelivery, first);
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_STORED);
    assert_int_equal(redelivery_count(redelivery), 1);
    redelivery_free(redelivery);
}

static void test_one_whose_acknowledgement_was_held_is_stored(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry;
    (void)state;
    settle_new(redelivery, 1, "a", "id-1");
    redelivery_connected(redelivery, true);
    /* what is given to the socket now isn't that of the old connection */
    redelivery_sent(redelivery);
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_STORED);
    redelivery_sent(redelivery);
    /* the broker has it now: the packet id is free */
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_NEW);
    redelivery_free(redelivery);
}

static void test_one_settled_between_two_connections_is_stored(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry = take_new(redelivery, 1, "a", "id-1");
    (void)state;
    redelivery_connected(redelivery, true);
    redelivery_settled(redelivery, entry);
    redelivery_sent(redelivery);
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_STORED);
    redelivery_free(redelivery);
}

static void test_one_whose_acknowledgement_was_sent_is_produced_again(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry;
    struct redelivery_entry *again;
    (void)state;
    settle_new(redelivery, 1, "a", "id-1");
    redelivery_sent(redelivery);
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_AGAIN);
    assert_slice(redelivery_id(entry), "id-1");
    /* pending again, for the next connection too */
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_WAITS);
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_WAITS);
    assert_ptr_equal(again, entry);
    redelivery_settled(redelivery, entry);
    redelivery_sent(redelivery);
    assert_int_equal(take(redelivery, 1, "a", &again), REDELIVERY_NEW);
    assert_null(redelivery_id(again).ptr);
    redelivery_free(redelivery);
}

static void test_a_packet_id_used_again_is_new(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry;
    (void)state;
    settle_new(redelivery, 1, "a", "id-1");
    redelivery_sent(redelivery);
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_NEW);
    assert_null(redelivery_id(entry).ptr);
    assert_int_equal(redelivery_count(redelivery), 1);
    redelivery_free(redelivery);
}

/* 3.3.1.1: as the broker itself says. */
static void test_what_is_sent_for_the_first_time_is_new(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct mqtt_message message = message_of(1, "a");
    struct redelivery_entry *pending = take_new(redelivery, 1, "a", "id-1");
    struct redelivery_entry *entry;
    (void)state;
    settle_new(redelivery, 2, "b", "id-2");
    assert_false(redelivery_expects(redelivery));
    redelivery_connected(redelivery, true);
    assert_true(redelivery_expects(redelivery));
    message.is_first = true;
    assert_int_equal(take_message(redelivery, &message, &entry), REDELIVERY_NEW);
    assert_ptr_not_equal(entry, pending);
    assert_null(redelivery_id(entry).ptr);
    assert_false(redelivery_expects(redelivery));
    redelivery_settled(redelivery, pending);
    redelivery_settled(redelivery, entry);
    assert_int_equal(take(redelivery, 2, "b", &entry), REDELIVERY_NEW);
    redelivery_sent(redelivery);
    redelivery_connected(redelivery, true);
    assert_int_equal(take_message(redelivery, &message, &entry), REDELIVERY_NEW);
    assert_null(redelivery_id(entry).ptr);
    redelivery_free(redelivery);
}

static void test_without_the_session_all_is_new(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *pending;
    struct redelivery_entry *entry;
    (void)state;
    heap_fail_at(0);
    pending = take_new(redelivery, 1, "a", "id-1");
    settle_new(redelivery, 2, "b", "id-2");
    settle_new(redelivery, 3, "c", "id-3");
    redelivery_connected(redelivery, false);
    assert_int_equal(redelivery_count(redelivery), 0);
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_NEW);
    assert_ptr_not_equal(entry, pending);
    assert_int_equal(take(redelivery, 2, "b", &entry), REDELIVERY_NEW);
    redelivery_settled(redelivery, pending); /* into nothing */
    assert_int_equal(take(redelivery, 1, "a", &entry), REDELIVERY_WAITS);
    redelivery_free(redelivery);
    heap_restore();
}

/* Every part of a message, in all three states that could be taken for the same. */
static void test_one_that_differs_is_new(void **state)
{
    static const struct mqtt_user_property ab[] = {{MR_SLICE_INIT("a"), MR_SLICE_INIT("b")}};
    static const struct mqtt_user_property ac[] = {{MR_SLICE_INIT("a"), MR_SLICE_INIT("c")}};
    static const struct mqtt_user_property none[] = {{MR_SLICE_INIT("ab"), MR_SLICE_INIT("")}};
    struct mqtt_message others[10];
    struct mqtt_message first = message_of(1, "a");
    (void)state;
    first.properties = ab;
    first.property_count = 1;
    for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
        others[i] = first;
    }
    others[0].payload = MR_SLICE("b");
    others[1].topic = MR_SLICE("plant/2");
    others[2].topic = MR_SLICE("plant/1a"); /* the same bytes, cut elsewhere */
    others[2].payload = MR_SLICE("");
    others[3].content_type = MR_SLICE(""); /* empty isn't absent */
    others[4].response_topic = MR_SLICE("r");
    others[5].correlation = mr_slice("\0", 1);
    others[6].payload_format = 1;
    others[7].properties = ac;
    others[8].properties = none;
    others[9].retain = true;
    for (size_t i = 0; i < 3 * MR_COUNT_OF(others); i++) {
        struct redelivery *redelivery = new_table(MAX);
        struct redelivery_entry *before;
        struct redelivery_entry *entry;
        assert_int_equal(take_message(redelivery, &first, &before), REDELIVERY_NEW);
        if (i % 3 > 0) {
            redelivery_settled(redelivery, before);
        }
        if (i % 3 > 1) {
            redelivery_sent(redelivery);
        }
        redelivery_connected(redelivery, true);
        assert_int_equal(take_message(redelivery, &others[i / 3], &entry), REDELIVERY_NEW);
        assert_int_equal(redelivery_count(redelivery), 1);
        if (i % 3 == 0) {
            redelivery_settled(redelivery, before);
        }
        redelivery_free(redelivery);
    }
}

/* MQTT 5.0, 3.3.2.3.3: the broker sends what is left of it. */
static void test_the_expiry_may_differ(void **state)
{
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry;
    struct mqtt_message message = message_of(1, "a");
    (void)state;
    message.expiry_seconds = 60;
    assert_int_equal(take_message(redelivery, &message, &entry), REDELIVERY_NEW);
    redelivery_connected(redelivery, true);
    message.expiry_seconds = 57;
    assert_int_equal(take_message(redelivery, &message, &entry), REDELIVERY_WAITS);
    redelivery_free(redelivery);
}

/* The acknowledgements of 1 and 2 have arrived, that of 3 hasn't; 4 was never sent. */
static void test_a_window_comes_again_in_its_order(void **state)
{
    struct redelivery *redelivery = new_table(8);
    struct redelivery_entry *entry;
    (void)state;
    for (uint16_t i = 1; i <= 3; i++) {
        settle_new(redelivery, i, "same", "id-123");
    }
    redelivery_sent(redelivery);
    settle_new(redelivery, 4, "same", "id-4");
    (void)take_new(redelivery, 5, "same", "id-5");
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 3, "same", &entry), REDELIVERY_AGAIN);
    assert_int_equal(take(redelivery, 4, "same", &entry), REDELIVERY_STORED);
    assert_int_equal(take(redelivery, 5, "same", &entry), REDELIVERY_WAITS);
    /* new ones, whatever packet id and bytes they have */
    assert_int_equal(take(redelivery, 1, "same", &entry), REDELIVERY_NEW);
    assert_int_equal(take(redelivery, 2, "same", &entry), REDELIVERY_NEW);
    redelivery_free(redelivery);
}

static void test_half_a_window_twice(void **state)
{
    struct redelivery *redelivery = new_table(8);
    struct redelivery_entry *entry;
    (void)state;
    for (uint16_t i = 1; i <= 4; i++) {
        settle_new(redelivery, i, "same", "id");
    }
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 1, "same", &entry), REDELIVERY_STORED);
    assert_int_equal(take(redelivery, 2, "same", &entry), REDELIVERY_STORED);
    redelivery_connected(redelivery, true);
    for (uint16_t i = 1; i <= 4; i++) {
        assert_int_equal(take(redelivery, i, "same", &entry), REDELIVERY_STORED);
    }
    redelivery_free(redelivery);
}

/* A broker gives a message up while it is in flight (MQTT 5.0, 4.6 says nothing against it: its
 * expiry has passed), and uses the packet id for the same bytes: that mustn't be lost. */
static void test_behind_a_new_one_nothing_is_recognised(void **state)
{
    struct redelivery *redelivery = new_table(8);
    struct redelivery_entry *entry;
    (void)state;
    settle_new(redelivery, 1, "same", "id-1");
    settle_new(redelivery, 2, "same", "id-2");
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 3, "same", &entry), REDELIVERY_NEW);
    assert_int_equal(take(redelivery, 1, "same", &entry), REDELIVERY_NEW);
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 2, "same", &entry), REDELIVERY_NEW);
    redelivery_free(redelivery);
}

static void test_over_the_bound_the_oldest_is_forgotten(void **state)
{
    struct redelivery *redelivery;
    struct redelivery_entry *pending[MAX];
    struct redelivery_entry *entry;
    long alive;
    (void)state;
    heap_fail_at(0);
    redelivery = new_table(MAX);
    for (uint16_t i = 0; i < MAX; i++) {
        pending[i] = take_new(redelivery, i + 1, "a", "id");
    }
    (void)take_new(redelivery, MAX + 1, "a", "id");
    assert_int_equal(redelivery_count(redelivery), MAX);
    redelivery_settled(redelivery, pending[0]); /* forgotten, and whole until now */
    redelivery_settled(redelivery, pending[1]);
    alive = heap_alive();
    for (uint16_t i = MAX + 2; i < 1000; i++) {
        redelivery_settled(redelivery, take_new(redelivery, i, "a", "id"));
        assert_int_equal(redelivery_count(redelivery), MAX);
        if (i == MAX + 4) { /* those that were pending are forgotten too */
            redelivery_settled(redelivery, pending[2]);
            redelivery_settled(redelivery, pending[3]);
        }
    }
    assert_true(heap_alive() <= alive + 1); /* MAX + 1 is pending for ever */
    redelivery_connected(redelivery, true);
    assert_int_equal(take(redelivery, 996, "a", &entry), REDELIVERY_STORED);
    assert_int_equal(take(redelivery, 995, "a", &entry), REDELIVERY_NEW);
    redelivery_free(redelivery);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_an_id_that_is_too_long_is_not_kept(void **state)
{
    static const char text[REDELIVERY_ID_BYTES + 1] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    struct redelivery *redelivery = new_table(MAX);
    struct redelivery_entry *entry = take_new(redelivery, 1, "a", "id-1");
    (void)state;
    redelivery_set_id(entry, mr_slice(text, REDELIVERY_ID_BYTES));
    assert_slice(redelivery_id(entry), text);
    redelivery_set_id(entry, mr_slice(text, REDELIVERY_ID_BYTES + 1));
    assert_null(redelivery_id(entry).ptr);
    redelivery_set_id(entry, mr_slice(NULL, 0));
    assert_null(redelivery_id(entry).ptr);
    redelivery_free(redelivery);
}

static void test_without_memory(void **state)
{
    struct redelivery *redelivery;
    const struct mqtt_message message = message_of(1, "a");
    enum redelivery_verdict verdict;
    struct redelivery_entry *entry;
    struct mr_error err;
    (void)state;
    heap_fail_at(1);
    assert_int_equal(redelivery_new(MAX, &redelivery, &err), MR_ENOMEM);
    heap_fail_at(0);
    redelivery = new_table(MAX);
    heap_fail_at(1);
    assert_int_equal(redelivery_take(redelivery, &message, &verdict, &entry, &err), MR_ENOMEM);
    assert_true(heap_failed());
    assert_int_equal(redelivery_count(redelivery), 0);
    assert_int_equal(redelivery_take(redelivery, &message, &verdict, &entry, &err), 0);
    assert_int_equal(verdict, REDELIVERY_NEW);
    redelivery_free(redelivery);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_on_its_way_is_waited_for),
        cmocka_unit_test(test_one_whose_acknowledgement_was_held_is_stored),
        cmocka_unit_test(test_one_settled_between_two_connections_is_stored),
        cmocka_unit_test(test_one_whose_acknowledgement_was_sent_is_produced_again),
        cmocka_unit_test(test_a_packet_id_used_again_is_new),
        cmocka_unit_test(test_what_is_sent_for_the_first_time_is_new),
        cmocka_unit_test(test_without_the_session_all_is_new),
        cmocka_unit_test(test_one_that_differs_is_new),
        cmocka_unit_test(test_the_expiry_may_differ),
        cmocka_unit_test(test_a_window_comes_again_in_its_order),
        cmocka_unit_test(test_half_a_window_twice),
        cmocka_unit_test(test_behind_a_new_one_nothing_is_recognised),
        cmocka_unit_test(test_over_the_bound_the_oldest_is_forgotten),
        cmocka_unit_test(test_an_id_that_is_too_long_is_not_kept),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
