// SPDX-License-Identifier: Apache-2.0
/* Salvage against devices that choose names, strings and times to have others dead-lettered, or
 * older values win. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "consumers/influx/salvage.h"

enum { TEXT_BYTES = 64 * 1024, UNITS_MAX = 40 };

static struct mr_buf text;
static struct salvage_unit units[UNITS_MAX];
static size_t unit_count;

enum { VICTIMS = 20 };

/* Good lines, and `evil` (may hold line breaks in strings), each a unit. */
static void add_victims(const char *const *evil, size_t count)
{
    buf_clear(&text);
    unit_count = VICTIMS + count;
    for (size_t i = 0; i < unit_count; i++) {
        size_t at = text.len;
        if (i < VICTIMS) {
            (void)buf_addf(&text, "m,device=good%u x=\"ok\" 5\n", (unsigned)i);
        } else {
            (void)buf_addf(&text, "%s\n", evil[i - VICTIMS]);
        }
        units[i] =
            (struct salvage_unit){(uint32_t)at, (uint32_t)(text.len - at), 1, SALVAGE_UNKNOWN};
    }
}

/* The whole request is refused so: nobody is dead, and nothing is believed of types. */
static void expect_no_proof(const char *words)
{
    struct salvage_hints *hints = calloc(1, sizeof *hints);
    struct salvage salvage;
    struct influx_refusal refusal;
    influx_refusal_read(400, mr_slice_of(words), &refusal);
    assert_int_equal(salvage_begin(&salvage, hints, buf_slice(&text), units, unit_count), 0);
    assert_false(salvage_refused(&salvage, &refusal));
    for (size_t i = 0; i < MR_COUNT_OF(hints->types.entries); i++) {
        for (size_t way = 0; way < FIELD_TYPES_WAYS; way++) {
            assert_false(hints->types.entries[i][way].is_told);
        }
    }
    salvage_done(&salvage);
    free(hints);
}

/* Names and counts that a device has put where the server's own might be looked for. */
static void a_name_is_no_count(void **state)
{
    static const char *const evil[] = {
        "m,device=evil partial\\ write:\\ dropped\\ 21\"\\ on\\ measurement\\ \"x=\"s\" 5"};
    struct influx_refusal refusal;
    (void)state;
    add_victims(evil, 1);
    expect_no_proof(
        "partial write: field type conflict: input field \"partial write: dropped 21\" "
        "on measurement \"x\" on measurement \"m\" is type string, already exists as "
        "type float dropped=1");
    /* All are said to be dropped, for a field that no line has. */
    expect_no_proof(
        "partial write: field type conflict: input field \"y\" on measurement \"m\" is "
        "type string, already exists as type float dropped=21");
    expect_no_proof(
        "partial write: field type conflict: input field \"x\" on measurement \"m\" is "
        "type float, already exists as type string dropped=21");
    influx_refusal_read(400,
                        MR_SLICE("partial write: field type conflict: input field \"dropped 21 "
                                 "points outside retention policy\" on measurement \"m\" is type "
                                 "string, already exists as type float dropped=1"),
                        &refusal);
    assert_int_equal(refusal.kind, INFLUX_CONFLICT);
    assert_int_equal(refusal.dropped, 1);
    influx_refusal_read(422,
                        MR_SLICE("failure writing points to database: partial write: dropped 3 "
                                 "points outside retention policy of duration 1h - oldest point m "
                                 "dropped=9"),
                        &refusal);
    assert_int_equal(refusal.kind, INFLUX_LATE);
    assert_int_equal(refusal.dropped, 3);
    influx_refusal_read(400, MR_SLICE("max key length exceeded: m dropped=21"), &refusal);
    assert_int_equal(refusal.dropped, 0);
}

#define QUOTE      "unable to parse 'a':\n"
#define FOUR(text) text text text text

/* Lines of a string are no lines of the request, and what a quoted line says is no quote. */
static void a_quote_in_a_string_is_no_quote(void **state)
{
    static const char *const strings[] = {
        "m,device=evil x=\"x\n" FOUR("a\na\na\na\na\n") "a\n\" 5",
        "m,device=evil x=\"x':\n" FOUR(QUOTE QUOTE QUOTE QUOTE QUOTE) QUOTE "\",u=5u 5"};
    char words[4096];
    (void)state;
    add_victims(strings, 2);
    (void)snprintf(words, sizeof words,
                   "partial write: unable to parse '%s': invalid number dropped=0", strings[1]);
    expect_no_proof(words);
}

/* A line that quotes those of the others, in their order. */
static void a_forged_quote_of_a_true_line_is_no_quote(void **state)
{
    static char line[4096];
    static char words[8192];
    static const char *const evil[] = {line};
    size_t len = (size_t)snprintf(line, sizeof line, "m,device=evil x=\"':");
    (void)state;
    for (unsigned i = 0; i < VICTIMS; i++) {
        len += (size_t)snprintf(line + len, sizeof line - len,
                                "\nunable to parse 'm,device=good%u x=\\\"ok\\\" 5': no", i);
    }
    (void)snprintf(line + len, sizeof line - len, "\",u=5u 5");
    add_victims(evil, 1);
    (void)snprintf(words, sizeof words, "unable to parse '%s': invalid number", line);
    expect_no_proof(words);
    /* Not even without the escapes of quotes, which no string can do without. */
    len = (size_t)snprintf(line, sizeof line, "m,device=evil x=\"':");
    for (unsigned i = 0; i < VICTIMS; i++) {
        len += (size_t)snprintf(line + len, sizeof line - len,
                                "\nunable to parse 'm,device=good%u x=\"ok\" 5': no", i);
    }
    (void)snprintf(words, sizeof words, "unable to parse '%s': invalid number", line);
    expect_no_proof(words);
}

/* Of one point the later event wins, also if the earlier one is suspected, and is good. */
static void what_follows_a_suspect_stays_behind_it(void **state)
{
    static const char lines[] =
        "m,a=1,d=d t=1,x=\"s\" 5\nm,d=e t=1 5\nm,d=d,a=1 t=2 5\nn t=7 8\n"
        "n t=3 8\nm,d=d,a=1 t=3 6\n";
    static const struct salvage_unit of_lines[] = {{0, 22, 1, SALVAGE_UNKNOWN},
                                                   {22, 12, 1, SALVAGE_UNKNOWN},
                                                   {34, 24, 2, SALVAGE_UNKNOWN},
                                                   {58, 8, 1, SALVAGE_UNKNOWN},
                                                   {66, 16, 1, SALVAGE_UNKNOWN}};
    static const uint32_t behind[] = {0, 2, 3};
    struct salvage_hints *hints = calloc(1, sizeof *hints);
    struct salvage salvage;
    const uint32_t *part;
    size_t count;
    (void)state;
    assert_non_null(hints);
    field_types_told(&hints->types, field_types_key(&hints->types, MR_SLICE("m"), MR_SLICE("x")),
                     LINE_TYPE_FLOAT);
    assert_int_equal(salvage_begin(&salvage, hints, mr_slice(lines, sizeof lines - 1), of_lines, 5),
                     0);
    part = salvage_part(&salvage, &count);
    assert_int_equal(count, 2);
    assert_int_equal(part[0], 1);
    assert_int_equal(part[1], 4);
    salvage_stored(&salvage);
    part = salvage_part(&salvage, &count);
    assert_int_equal(count, 3);
    assert_memory_equal(part, behind, sizeof behind);
    salvage_done(&salvage);
    free(hints);
}

/* Conflicts are sorted by time; an event's oldest line says nothing of those it shares. */
static void sorting_keeps_the_order_of_a_point(void **state)
{
    static const char *const lines[] = {"m t=1 5\n", "m t=1 1\nm t=2 5\n"};
    struct salvage_hints *hints = calloc(1, sizeof *hints);
    struct salvage salvage;
    struct influx_refusal refusal;
    size_t count;
    (void)state;
    assert_non_null(hints);
    buf_clear(&text);
    for (size_t i = 0; i < MR_COUNT_OF(lines); i++) {
        units[i] = (struct salvage_unit){(uint32_t)text.len, (uint32_t)strlen(lines[i]),
                                         (uint32_t)i + 1, SALVAGE_UNKNOWN};
        (void)buf_add_str(&text, lines[i]);
    }
    influx_refusal_read(400, MR_SLICE("partial write: field type conflict: x dropped=1"), &refusal);
    assert_int_equal(salvage_begin(&salvage, hints, buf_slice(&text), units, 2), 0);
    assert_false(salvage_refused(&salvage, &refusal));
    assert_int_equal(*salvage_part(&salvage, &count), 0);
    salvage_done(&salvage);
    free(hints);
}

/* dropped= in a name, or a quote in a string, proves nothing. */
static void words_of_devices_are_no_proof(void **state)
{
    struct influx_refusal refusal;
    (void)state;
    influx_refusal_read(400,
                        MR_SLICE("partial write: field type conflict: input field \"a dropped=4\" "
                                 "on measurement \"m dropped=5\" is type string, already exists as "
                                 "type float dropped=1"),
                        &refusal);
    assert_int_equal(refusal.kind, INFLUX_CONFLICT);
    assert_int_equal(refusal.dropped, 1);
    assert_true(mr_slice_is(refusal.field, MR_SLICE("a dropped=4")));
    assert_true(mr_slice_is(refusal.measurement, MR_SLICE("m dropped=5")));
    assert_int_equal(refusal.has, LINE_TYPE_FLOAT);
    influx_refusal_read(400, MR_SLICE("unable to parse 'm f=\" dropped=3': bad dropped=3"),
                        &refusal);
    assert_int_equal(refusal.kind, INFLUX_UNPARSABLE);
    assert_int_equal(refusal.dropped, 0);
    influx_refusal_read(413, MR_SLICE("x dropped=1"), &refusal);
    assert_int_equal(refusal.dropped, 0);
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&text, TEXT_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_devices_are_no_proof),
        cmocka_unit_test(a_name_is_no_count),
        cmocka_unit_test(a_quote_in_a_string_is_no_quote),
        cmocka_unit_test(a_forged_quote_of_a_true_line_is_no_quote),
        cmocka_unit_test(what_follows_a_suspect_stays_behind_it),
        cmocka_unit_test(sorting_keeps_the_order_of_a_point),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
