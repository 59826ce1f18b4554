// SPDX-License-Identifier: Apache-2.0
/* Avro made by hand, after the Avro specification, and Avro that nobody should write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/format_avro.h"
#include "lib/avro_fixture.h"
#include "lib/avro_oracle.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

/* ---- events ---------------------------------------------------------------------------------- */

/* ---- bytes made by hand, after the Avro specification -----------------------------------------
 */

/* The four required attributes as entries of the map, and with it as one block. */
#define ID           \
    "\x04id\x06\x02" \
    "1"
#define SOURCE "\x0csource\x06\x04/s"
#define VERSION               \
    "\x16specversion\x06\x06" \
    "1.0"
#define TYPE    "\x08type\x06\x02t"
#define ENTRIES ID SOURCE VERSION TYPE
#define BLOCK   "\x08" ENTRIES
enum { ENTRIES_BYTES = sizeof ENTRIES - 1 };

static void test_blocks_in_all_their_forms(void **state)
{
    /* sizes, zig-zag: ID 6 -> 0c, SOURCE 11 -> 16, VERSION 17 -> 22, TYPE 8 -> 10 */
    static const struct mr_slice records[] = {
        MR_SLICE_INIT(BLOCK "\x00\x02"),
        /* a block for each entry */
        MR_SLICE_INIT("\x02" ID "\x02" SOURCE "\x02" VERSION "\x02" TYPE "\x00\x02"),
        /* negative counts with sizes */
        MR_SLICE_INIT("\x01\x0c" ID "\x01\x16" SOURCE "\x01\x22" VERSION "\x01\x10" TYPE
                      "\x00\x02"),
        MR_SLICE_INIT("\x07\x54" ENTRIES "\x00\x02"), /* -4, 42 bytes */
        /* mixed; and a count written longer than it needs to be */
        MR_SLICE_INIT("\x03\x22" ID SOURCE "\x84\x80\x00" VERSION TYPE "\x80\x00\x02"),
        /* the Confluent frame before it */
        MR_SLICE_INIT("\x00\x00\x00\x01\x02" BLOCK "\x00\x02"),
    };
    struct avro_fixture *f = *state;
    assert_int_equal(ENTRIES_BYTES, 42);
    for (size_t i = 0; i < MR_COUNT_OF(records); i++) {
        assert_decodes(records[i], f->event);
        assert_int_equal(mr_event_count(f->event), 4);
        assert_slice(mr_event_string(f->event, "id"), "1");
        assert_slice(mr_event_string(f->event, "source"), "/s");
        assert_slice(mr_event_string(f->event, "type"), "t");
        assert_null(mr_event_data(f->event).ptr);
    }
}

static void test_blocks_of_data_in_all_their_forms(void **state)
{
    static const struct {
        struct mr_slice record;
        const char *json;
    } rows[] = {
        /* map: {a: null} {b: true} in blocks of -1 */
        {MR_SLICE_INIT(BLOCK "\x00\x06\x01\x06\x02"
                             "a\x00\x01\x08\x02"
                             "b\x02\x01\x00"),
         "{\"a\":null,\"b\":true}"},
        /* array of three empty CloudEventData: 2, then -1 of one byte */
        {MR_SLICE_INIT(BLOCK "\x00\x08\x04\x00\x00\x01\x02\x00\x00"), "[{},{},{}]"},
        /* a CloudEventData {"x": [{}]} with sizes at every level: the list is 01 02 00 00, the
         * entry 02 78 06 and the list (7 bytes), its map 01 0e and the entry and 00 (10 bytes) */
        {MR_SLICE_INIT(BLOCK "\x00\x08\x01\x14\x01\x0e\x02x\x06\x01\x02\x00\x00\x00\x00"),
         "[{\"x\":[{}]}]"},
    };
    struct avro_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        assert_decodes(rows[i].record, f->event);
        assert_slice(mr_event_data(f->event), rows[i].json);
    }
}

/* ---- hostile bytes --------------------------------------------------------------------------- */

static void assert_refused(struct mr_slice bytes, struct mr_event *event, const char *said)
{
    struct mr_error err = {0};
    int rc = event_avro_decode(bytes, event, &err);
    if (rc != MR_ENOTEVENT || err.code != MR_ENOTEVENT || strstr(err.text, said) == NULL) {
        fail_msg("%d: \"%s\" doesn't say \"%s\"", rc, err.text, said);
    }
    assert_int_equal(event_avro_decode(bytes, event, NULL), MR_ENOTEVENT);
}

static const struct {
    struct mr_slice record;
    const char *said;
} malformed[] = {
    {MR_SLICE_INIT(""), "no bytes"},
    {MR_SLICE_INIT("\x00\x00\x00\x01"), "a Confluent frame is cut off"},
    {MR_SLICE_INIT("\x00\x00\x00\x00\x01"), "at byte 5: a number is cut off"},
    {MR_SLICE_INIT("\x00\x00\x00\x00\x01\x00\x02"), "attributes are missing: id, source"},
    {MR_SLICE_INIT("{\"specversion\":\"1.0\"}"), "avro: at byte"},
    {MR_SLICE_INIT("\x02" ID "\x00\x02"), "attributes are missing: source, specversion, type"},
    {MR_SLICE_INIT(BLOCK "\x00\x02\x00"), "the record ends here, but more bytes follow"},
    {MR_SLICE_INIT(BLOCK "\x00\x02" BLOCK "\x00\x02"), "more bytes follow"},
    {MR_SLICE_INIT(BLOCK "\x00\x0e"), "a union of 7 branches, but branch 7 ends here"},
    {MR_SLICE_INIT(BLOCK "\x00\x01"), "branch -1"},
    {MR_SLICE_INIT("\x02\x02"
                   "a\x0a"),
     "a union of 5 branches, but branch 5"},
    {MR_SLICE_INIT("\x0a" ENTRIES ID "\x00\x02"), "attribute id: it is there twice"},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x04no\x02\x02\x00\x02"), "expected a boolean"},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x06"
                   "Bad\x06\x00\x00\x02"),
     "attribute name \"Bad\""},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x06"
                   "Bad\x00\x00\x02"),
     "without a legal name"},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x02x\x06\x02\xff\x00\x02"), "attribute x: it is not text"},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x08time\x06\x02x\x00\x02"), "attribute time: it is \"x\""},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x08time\x04\x02\x00\x02"), "attribute time: it is an int"},
    {MR_SLICE_INIT("\x02\x16specversion\x06\x06"
                   "0.3"),
     "expected \"1.0\""},
    /* an int of 33 bits: 2147483648 and -2147483649, zig-zag */
    {MR_SLICE_INIT("\x0a" ENTRIES "\x02n\x04\x80\x80\x80\x80\x10\x00\x02"), "than 32 bits"},
    {MR_SLICE_INIT("\x0a" ENTRIES "\x02n\x04\x81\x80\x80\x80\x10\x00\x02"), "than 32 bits"},
    /* a number that goes on */
    {MR_SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"), "more than 64 bits"},
    {MR_SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00"), "more than 64 bits"},
    {MR_SLICE_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), "more than 64 bits"},
    /* counts: 2^62, INT64_MAX, INT64_MIN */
    {MR_SLICE_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" ID), "a count that ends here"},
    {MR_SLICE_INIT("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" ID), "a count that ends here"},
    {MR_SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0c" ID), "a count that ends"},
    {MR_SLICE_INIT("\x10" ENTRIES "\x00\x02"), "avro: at byte"},
    /* sizes of blocks */
    {MR_SLICE_INIT("\x07\x01" ENTRIES "\x00\x02"), "the size of a block"},
    {MR_SLICE_INIT("\x07\x7f" ENTRIES "\x00\x02"), "the size of a block"},
    {MR_SLICE_INIT("\x07\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" ENTRIES "\x00\x02"),
     "the size of a block"},
    {MR_SLICE_INIT("\x07\x52" ENTRIES "\x00\x02"), "not by its size"},
    {MR_SLICE_INIT("\x07\x56" ENTRIES "\x00\x02"), "not by its size"},
    /* lengths: -1, beyond the end, INT64_MAX, INT64_MIN */
    {MR_SLICE_INIT("\x02\x01"
                   "a"),
     "a length of -1"},
    {MR_SLICE_INIT("\x02\x06"
                   "ab"),
     "2 bytes are left, but a length of 3"},
    {MR_SLICE_INIT(BLOCK "\x00\x00\x02"), "0 bytes are left, but a length of 1"},
    {MR_SLICE_INIT(BLOCK "\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01x"),
     "a length of 9223372036854775807"},
    {MR_SLICE_INIT(BLOCK "\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"),
     "a length of -9223372036854775808"},
    /* data */
    {MR_SLICE_INIT(BLOCK "\x00\x04\x02"), "expected a boolean"},
    {MR_SLICE_INIT(BLOCK "\x00\x0a\0\0\0\0\0\0\xf0"), "a double is cut off"},
    {MR_SLICE_INIT(BLOCK "\x00\x0a\0\0\0\0\0\0\xf0\x7f"), "no JSON number"},
    {MR_SLICE_INIT(BLOCK "\x00\x0a\0\0\0\0\0\0\xf0\xff"), "no JSON number"},
    {MR_SLICE_INIT(BLOCK "\x00\x0a\0\0\0\0\0\0\xf8\x7f"), "no JSON number"},
    {MR_SLICE_INIT(BLOCK "\x00\x0c\x02\xff"), "not UTF-8"},
    {MR_SLICE_INIT(BLOCK "\x00\x06\x02\x02\xc0\x00\x00"), "not UTF-8"},
    {MR_SLICE_INIT(BLOCK "\x00\x06\x02\x02"
                         "a\x0a\x00"),
     "a union of 5 branches"},
    {MR_SLICE_INIT(BLOCK "\x00\x08\x02\x02\x02"
                         "a\x0c\x00\x00"),
     "a union of 6 branches"},
};

static void test_malformed_records_are_refused(void **state)
{
    struct avro_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(malformed); i++) {
        assert_refused(malformed[i].record, f->event, malformed[i].said);
    }
}

/* Claims of 2^62 items, or bytes, cost no allocation. */
static void test_claims_cost_nothing(void **state)
{
    static const struct mr_slice records[] = {
        MR_SLICE_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x02"
                      "a\x00"),
        MR_SLICE_INIT(BLOCK "\x00\x00\x80\x80\x80\x80\x80\x80\x80\x80\x40"),
    };
    static const struct mr_slice lists[] = {
        MR_SLICE_INIT(BLOCK "\x00\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00\x00"),
        MR_SLICE_INIT(BLOCK "\x00\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00\x00"),
    };
    struct avro_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(records); i++) {
        heap_fail_at(1);
        assert_refused(records[i], f->event, "avro: at byte");
        assert_false(heap_failed());
    }
    for (size_t i = 0; i < MR_COUNT_OF(lists); i++) {
        heap_fail_at(3); /* the first bracket, for each of two decodings */
        assert_refused(lists[i], f->event, "a count that ends here");
        assert_false(heap_failed());
    }
    heap_restore();
}

/* `depth` lists, each the only member of the other's only CloudEventData. */
static struct mr_slice nested(struct mr_buf *out, int depth)
{
    buf_clear(out);
    (void)buf_add(out, BLOCK "\x00\x08", sizeof(BLOCK "\x00\x08") - 1);
    for (int i = 0; i < depth; i++) {
        (void)buf_add(out, "\x02\x02\x00\x06", 4); /* an item: a map of one, "", a list */
    }
    (void)buf_add(out, "\x00", 1); /* the innermost list is empty */
    for (int i = 0; i < depth; i++) {
        (void)buf_add(out, "\x00\x00", 2); /* end of the map, of the list */
    }
    assert_int_equal(buf_check(out, NULL), 0);
    return buf_slice(out);
}

static void test_nesting_is_bounded(void **state)
{
    struct avro_fixture *f = *state;
    /* One list, then a map and a list each: 63 deep; one more would be 65. */
    assert_decodes(nested(&f->out, 31), f->event);
    assert_int_equal(mr_event_data(f->event).len, 2 + 31 * 7);
    assert_refused(nested(&f->out, 32), f->event, "nested too deeply");
    assert_refused(nested(&f->out, 100000), f->event, "nested too deeply");
}

static struct mr_slice rich_record(void)
{
    avro_value_t map;
    avro_value_t value;
    oracle_required();
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"flag", "count", "binary"};
        static const enum mr_value_type types[] = {MR_VALUE_BOOLEAN, MR_VALUE_INTEGER,
                                                   MR_VALUE_BINARY};
        struct mr_attribute attribute = {.name = mr_slice_of(names[i]),
                                         .type = types[i],
                                         .boolean = true,
                                         .integer = -100000,
                                         .bytes = MR_SLICE("\0\xff")};
        oracle_attribute(&attribute);
    }
    map = oracle_branch(&oracle.data, 3);
    value = oracle_member(&map, "data");
    value = oracle_branch(&value, 2);
    value = oracle_value(&value);
    oracle_fill(&value, 1);
    return oracle_end();
}

static void test_every_cut_is_refused(void **state)
{
    struct avro_fixture *f = *state;
    struct mr_slice record = rich_record();
    assert_decodes(record, f->event);
    for (size_t len = 0; len < record.len; len++) {
        char *exact = malloc(len + 1); /* a read past the end is seen by the sanitizer */
        assert_non_null(exact);
        memcpy(exact, record.ptr, len);
        assert_int_equal(event_avro_decode(mr_slice(exact, len), f->event, NULL), MR_ENOTEVENT);
        free(exact);
    }
}

/* What is still an event after a change of one byte is written and read back as the same event. */
static void test_every_byte_changed(void **state)
{
    struct avro_fixture *f = *state;
    struct mr_slice record = rich_record();
    char *copy = malloc(record.len);
    unsigned decoded = 0;
    assert_non_null(copy);
    for (size_t at = 0; at < record.len; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            int rc;
            memcpy(copy, record.ptr, record.len);
            copy[at] = (char)((unsigned char)copy[at] ^ flip);
            rc = event_avro_decode(mr_slice(copy, record.len), f->event, NULL);
            if (rc != 0) {
                assert_true(rc == MR_ENOTEVENT);
                continue;
            }
            decoded++;
            buf_clear(&f->out);
            assert_int_equal(event_avro_encode(f->event, &f->out, NULL), 0);
            assert_decodes(buf_slice(&f->out), f->other);
            assert_same_event(f->event, f->other);
        }
    }
    assert_true(decoded > 100); /* letters of names and values */
    free(copy);
}

static void test_limits_of_the_event_hold(void **state)
{
    struct avro_fixture *f = *state;
    struct mr_error err;
    (void)buf_add(&f->out, BLOCK, sizeof BLOCK - 1);
    (void)buf_add(&f->out, "\xfa\x01", 2); /* 125 more: one too many */
    for (int i = 0; i < 125; i++) {
        (void)buf_addf(&f->out, "%cx%03d%c%c", 4 * 2, i, 1 * 2, 1);
    }
    (void)buf_add(&f->out, "\x00\x02", 2);
    assert_int_equal(event_avro_decode(buf_slice(&f->out), f->event, &err), MR_ELIMIT);
    assert_int_equal(err.code, MR_ELIMIT);
    assert_non_null(strstr(err.text, "attribute x124: there are more than 128 attributes"));
}

static int group_setup(void **state)
{
    oracle_source_dir = TEST_SOURCE_DIR;
    return oracle_setup(state);
}

int main(void)
{
#define WITH_EVENTS(test) cmocka_unit_test_setup_teardown(test, avro_set_up, avro_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_EVENTS(test_blocks_in_all_their_forms),
        WITH_EVENTS(test_blocks_of_data_in_all_their_forms),
        WITH_EVENTS(test_malformed_records_are_refused),
        WITH_EVENTS(test_claims_cost_nothing),
        WITH_EVENTS(test_nesting_is_bounded),
        WITH_EVENTS(test_every_cut_is_refused),
        WITH_EVENTS(test_every_byte_changed),
        WITH_EVENTS(test_limits_of_the_event_hold),
    };
    return cmocka_run_group_tests(tests, group_setup, oracle_teardown);
}
