// SPDX-License-Identifier: Apache-2.0
/* The limits on series, and the reader of lines beneath them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "consumers/influx/field_types.h"
#include "consumers/influx/series_guard.h"
#include "lib/heap.h"

#define KEY ((struct siphash_key){0x0706050403020100, 0x0f0e0d0c0b0a0908})

static struct series_guard guard;
static struct mr_buf out;
static struct mr_error err;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    series_guard_done(&guard);
    buf_done(&out);
    return 0;
}

static enum guard_verdict check(const char *lines)
{
    return series_guard_check(&guard, mr_slice_of(lines), &out, &err);
}

static void the_parts_of_a_line_are_told_apart(void **state)
{
    static const char text[] =
        "a\\ b\\,c,t\\=1=x\\ y,u=2 f\\ 1=-1.5,s=\"q\\\" ,=\n\\\\\",b=true,i=-3i,"
        "u=7u -5\nnext f=1";
    static const struct {
        const char *name;
        enum line_type type;
    } fields[] = {{"f\\ 1", LINE_TYPE_FLOAT},
                  {"s", LINE_TYPE_STRING},
                  {"b", LINE_TYPE_BOOLEAN},
                  {"i", LINE_TYPE_INTEGER},
                  {"u", LINE_TYPE_UNSIGNED}};
    struct line_scan scan;
    struct mr_slice name;
    struct mr_slice value;
    enum line_type type;
    (void)state;
    line_scan_begin(&scan, mr_slice(text, sizeof text - 1), &name);
    assert_true(mr_slice_is(name, MR_SLICE("a\\ b\\,c")));
    assert_true(line_scan_tag(&scan, &name, &value));
    assert_true(mr_slice_is(name, MR_SLICE("t\\=1")));
    assert_true(mr_slice_is(value, MR_SLICE("x\\ y")));
    for (size_t i = 0; i < MR_COUNT_OF(fields); i++) {
        assert_true(line_scan_field(&scan, &name, &type));
        assert_true(mr_slice_is(name, mr_slice_of(fields[i].name)));
        assert_int_equal(type, fields[i].type);
    }
    assert_false(line_scan_field(&scan, &name, &type));
    assert_int_equal(line_scan_end(&scan), -5);
    assert_memory_equal(scan.at, "next", 4);
    line_scan_begin(&scan, mr_slice(scan.at, 8), &name);
    assert_true(line_scan_field(&scan, &name, &type));
    assert_int_equal(line_scan_end(&scan), INT64_MAX);
    assert_ptr_equal(scan.at, scan.end);
}

/* Tags and the end at once are where they are one after another. */
static void check_at_once(struct mr_slice text)
{
    struct line_scan one;
    struct line_scan other;
    struct mr_slice name;
    struct mr_slice value;
    struct mr_slice tags;
    line_scan_begin(&one, text, &name);
    line_scan_begin(&other, text, &name);
    while (line_scan_tag(&one, &name, &value)) {
    }
    tags = line_scan_tags(&other);
    assert_ptr_equal(other.at, one.at);
    assert_ptr_equal(tags.ptr + tags.len, one.at);
    (void)line_scan_end(&one);
    line_scan_skip(&other);
    assert_ptr_equal(other.at, one.at);
}

/* Every beginning of a line ends within its bytes. */
static void what_is_no_line_is_read_to_its_end(void **state)
{
    static const char text[] = "m,t=\\ x f=\"a\\\\\",g=1\\ 2 34\n,= \"";
    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        char *bytes = malloc(len + 1); /* for a sanitizer to watch */
        struct line_scan scan = {bytes, bytes + len, false};
        assert_non_null(bytes);
        memcpy(bytes, text, len);
        for (unsigned lines = 0; scan.at < scan.end; lines++) {
            struct mr_slice name;
            enum line_type type;
            const char *begin = scan.at;
            line_scan_begin(&scan, mr_slice(scan.at, (size_t)(scan.end - scan.at)), &name);
            while (line_scan_field(&scan, &name, &type)) {
            }
            (void)line_scan_end(&scan);
            assert_true(scan.at <= scan.end && scan.at > begin);
            check_at_once(mr_slice(begin, (size_t)(bytes + len - begin)));
        }
        free(bytes);
    }
}

static void escapes_do_not_change_a_hash(void **state)
{
    static const struct field_types types = {.key = {1, 2}};
    (void)state;
    assert_int_equal(line_hash(KEY, 1, MR_SLICE("a\\ b\\,c\\=d\\x")),
                     line_hash(KEY, 1, MR_SLICE("a b,c=d\\x")));
    assert_int_not_equal(line_hash(KEY, 1, MR_SLICE("a")), line_hash(KEY, 2, MR_SLICE("a")));
    assert_int_not_equal(field_types_key(&types, MR_SLICE("a"), MR_SLICE("b")),
                         field_types_key(&types, MR_SLICE("b"), MR_SLICE("a")));
}

/* Expected values: OpenSSL 3's SIPHASH with c-rounds 1 and d-rounds 3, of the bytes 0, 1, 2, ... */
static void names_are_hashed_with_siphash(void **state)
{
    static const char name[] = "\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16";
    static const struct {
        size_t len;
        uint64_t hash;
    } cases[] = {
        {0, 0x369095118d299a8e},  {3, 0x70c118c1f94dc352}, {5, 0x306f760c1229ffa7},
        {6, 0x605aa111c0f95d34},  {7, 0xd320d86d2a519956}, {8, 0xcc4fdd1a7d908b66},
        {15, 0x525a0e7fdae6c123},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_int_equal(line_hash(KEY, 0x0706050403020100, mr_slice(name, cases[i].len)),
                         cases[i].hash);
    }
}

/* Blocks that took each other's difference back, whatever the seed was, in a hash that multiplies
 * and shifts. */
static void names_cannot_be_made_to_collide(void **state)
{
    enum { BLOCKS = 6, BLOCK = 16 };
    uint64_t hashes[1 << BLOCKS];
    (void)state;
    for (unsigned n = 0; n < MR_COUNT_OF(hashes); n++) {
        char name[BLOCKS * BLOCK];
        for (size_t i = 0; i < BLOCKS; i++) {
            char *block = name + i * BLOCK;
            memcpy(block, "abcdefg0ijklano0", BLOCK);
            if ((n >> i & 1) != 0) {
                block[7] ^= 0x40;
                block[15] ^= 0x40;
                block[12] ^= 0x02;
            }
        }
        hashes[n] = line_hash(KEY, 1, mr_slice(name, sizeof name));
        for (unsigned i = 0; i < n; i++) {
            assert_int_not_equal(hashes[i], hashes[n]);
        }
    }
}

static void the_server_is_believed_before_the_majority(void **state)
{
    struct field_types *types = calloc(1, sizeof *types);
    (void)state;
    assert_non_null(types);
    assert_int_equal(field_types_find(types, 7), LINE_TYPE_NONE);
    field_types_vote(types, 7, LINE_TYPE_STRING);
    field_types_vote(types, 7, LINE_TYPE_FLOAT);
    field_types_vote(types, 7, LINE_TYPE_FLOAT);
    assert_int_equal(field_types_find(types, 7), LINE_TYPE_FLOAT);
    field_types_told(types, 7, LINE_TYPE_INTEGER);
    for (unsigned i = 0; i < 5000; i++) {
        field_types_vote(types, 7, LINE_TYPE_FLOAT);
    }
    assert_int_equal(field_types_find(types, 7), LINE_TYPE_INTEGER);
    for (unsigned i = 0; i < 200; i++) { /* the measurement was dropped and made anew */
        field_types_stored(types, 7, LINE_TYPE_FLOAT);
    }
    assert_int_equal(field_types_find(types, 7), LINE_TYPE_FLOAT);
    for (uint64_t i = 1; i < 100000; i++) { /* bounded, and what is believed most stays */
        field_types_vote(types, i << 20, LINE_TYPE_BOOLEAN);
    }
    assert_int_equal(field_types_find(types, 7), LINE_TYPE_FLOAT);
    free(types);
}

static void what_was_let_through_is_let_through_always(void **state)
{
    char line[100];
    (void)state;
    series_guard_init(&guard, 1000, 0, false, KEY);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            (void)snprintf(line, sizeof line, "m,application=a,device=d%d f=1 7", i);
            assert_int_equal(check(line), GUARD_PASSES);
        }
        assert_int_equal(check("m,application=a,device=new f=1 7"), GUARD_OVER_TAG);
        assert_string_equal(err.text, "the tag value new is new, over tag.limit (1000)");
    }
    assert_int_equal(check("other,application=a,device=new f=1 7"), GUARD_PASSES);
}

static void becomes(const char *lines, const char *wanted)
{
    assert_int_equal(check(lines), GUARD_CUT_TAG);
    assert_int_equal(out.len, strlen(wanted));
    assert_memory_equal(out.ptr, wanted, out.len);
}

static void a_tag_over_its_limit_is_left_out(void **state)
{
    (void)state;
    series_guard_init(&guard, 1, 0, true, KEY);
    assert_int_equal(check("m,a=1,d=1 f=\"x\ny\" 7"), GUARD_PASSES);
    for (int round = 0; round < 2; round++) { /* what lost a tag has not passed as a whole */
        becomes("m,a=1,d=2 f=\"x\ny\" 7\nm,a=2,d=1 g=1 8", "m,a=1 f=\"x\ny\" 7\nm,d=1 g=1 8");
        becomes("m,a=3,d=3 f=1 7", "m f=1 7");
    }
    /* One line changes the event, before or behind others that don't: also those that the guard
     * looks at for the first time. */
    becomes("m,d=2 f=1 7\nm,d=1 f=2 8", "m f=1 7\nm,d=1 f=2 8");
    becomes("m,d=2 f=1 7\nn,d=1 f=2 8", "m f=1 7\nn,d=1 f=2 8");
    becomes("m,d=1 f=1 7\nm,d=2 f=2 8", "m,d=1 f=1 7\nm f=2 8");
}

static void names_are_counted(void **state)
{
    (void)state;
    series_guard_init(&guard, 0, 2, true, KEY);
    assert_int_equal(check("m,a=1 f=1,g=1 7"), GUARD_PASSES);
    assert_int_equal(check("m,a=1 f=1,h=1 7"), GUARD_OVER_NAME);
    assert_string_equal(err.text, "the field h is new, over name.limit (2)");
    assert_int_equal(check("n h=1,g=1 7"), GUARD_PASSES);
    assert_int_equal(check("o h=1 7"), GUARD_OVER_NAME);
    assert_string_equal(err.text, "the measurement o is new, over name.limit (2)");
    series_guard_done(&guard);
    series_guard_init(&guard, 0, 0, true, KEY);
    assert_int_equal(check("o h=1 7"), GUARD_PASSES);
    assert_int_equal(guard.names.count, 0);
}

static void memory_is_bounded(void **state)
{
    char line[100];
    unsigned over = 0;
    (void)state;
    series_guard_init(&guard, 1000000, 1000000, false, KEY);
    for (unsigned i = 0; i < GUARD_NAMES_MAX + 1000; i++) {
        (void)snprintf(line, sizeof line, "m%u,d=%u f=1 7", i % 7, i);
        over += check(line) == GUARD_OVER_FULL;
    }
    assert_in_range(over, 1000, 1100);
    assert_int_equal(guard.names.count, GUARD_NAMES_MAX);
    assert_true(guard.names.size <= 4 * (size_t)GUARD_NAMES_MAX);
    assert_int_equal(check("m0,d=0 f=1 7"), GUARD_PASSES);
    assert_int_equal(check("m0,d=0 tag.limit=1 7"), GUARD_OVER_FULL);
    assert_non_null(strstr(err.text,
                           "the field tag.limit is new, and the memory for names is "
                           "full (1048576 names of 1048576"));
    guard.drop_tag = true;
    assert_int_equal(check("m0,d=new f=1 7"), GUARD_CUT_FULL);
    assert_int_equal(out.len, strlen("m0 f=1 7"));
}

/* Each measurement is a group for the values of its tag: that table is full first. */
static void groups_are_bounded(void **state)
{
    char line[100];
    unsigned over = 0;
    (void)state;
    series_guard_init(&guard, 10, 0, false, KEY);
    for (unsigned i = 0; i < GUARD_GROUPS_MAX + 10; i++) {
        (void)snprintf(line, sizeof line, "m%u,d=1 f=1 7", i);
        over += check(line) == GUARD_OVER_FULL;
    }
    assert_int_equal(over, 10);
    assert_non_null(strstr(err.text, "65536 tags and measurements of 65536"));
}

/* The device says what a name is; that doesn't choose the verdict. */
static void a_name_is_no_verdict(void **state)
{
    (void)state;
    series_guard_init(&guard, 1, 1, false, KEY);
    assert_int_equal(check("m,d=1 f=1 7"), GUARD_PASSES);
    assert_int_equal(check("m,d=1 tag.limit=1 7"), GUARD_OVER_NAME);
    assert_int_equal(check("m,d=name.limit f=1 7"), GUARD_OVER_TAG);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        char line[100];
        unsigned failed = 0;
        heap_fail_at(n);
        series_guard_init(&guard, 500, 500, true, KEY);
        for (int i = 0; i < 600; i++) {
            (void)snprintf(line, sizeof line, "m,d=%d f=1 7", i);
            switch (check(line)) {
                case GUARD_NO_MEMORY:
                    failed++;
                    assert_int_equal(err.code, MR_ENOMEM);
                    break;
                case GUARD_OVER_TAG:
                case GUARD_OVER_NAME:
                case GUARD_OVER_FULL:
                    fail();
                    break;
                default:
                    break;
            }
        }
        series_guard_done(&guard);
        buf_done(&out);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_true(n > 4);
            break;
        }
        assert_true(failed <= 1); /* a copy that nobody needed may be missing */
    }
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_line_are_told_apart),
        cmocka_unit_test(what_is_no_line_is_read_to_its_end),
        cmocka_unit_test(escapes_do_not_change_a_hash),
        cmocka_unit_test(names_are_hashed_with_siphash),
        cmocka_unit_test(names_cannot_be_made_to_collide),
        cmocka_unit_test(the_server_is_believed_before_the_majority),
        cmocka_unit_test_setup_teardown(what_was_let_through_is_let_through_always, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_tag_over_its_limit_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_no_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
