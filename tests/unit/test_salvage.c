// SPDX-License-Identifier: Apache-2.0
/* Salvage against a server that answers as InfluxDB 1.6.7 and 2.7.12 were measured to: what it
 * stores, and in which words it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "consumers/influx/salvage.h"
#include "lib/heap.h"

enum { UNITS_MAX = 5000, WORDS_BYTES = 64 * 1024, TEXT_BYTES = 4 * 1024 * 1024 };

#define DAY_NS    INT64_C(86400000000000)
#define NOW_NS    INT64_C(1795677946150224139)
#define OLDEST_NS (NOW_NS - 30 * DAY_NS)

enum fate { FATE_NONE, FATE_GOOD, FATE_DEAD };
enum illness { WELL, CONFLICT, OTHER_CONFLICT, LATE, UNPARSABLE };

struct run {
    int version; /* 1 or 2 */
    int shards;  /* that the points spread over; conflicts are counted in the first that has one */
    size_t body_max; /* 0: no limit */
    size_t count;
    size_t points; /* that the units write; 0: each its own */
    enum illness ills[UNITS_MAX];
    size_t point_of[UNITS_MAX];
    size_t winners[UNITS_MAX]; /* of points: who was stored last */
    bool stored[UNITS_MAX];
    enum fate fates[UNITS_MAX];
    struct salvage_unit units[UNITS_MAX];
    struct mr_buf text;
    char words[WORDS_BYTES];
    unsigned requests;
    size_t lines_sent;
};

static struct run run;
static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void begin(int version, size_t count)
{
    buf_done(&run.text);
    memset(&run, 0, sizeof run);
    run.version = version;
    run.count = count;
    run.shards = 1;
    random_state = (uint32_t)count + 1;
    buf_init(&run.text, TEXT_BYTES);
}

/* Of all lengths below UNITS_MAX, in no order. */
static size_t age_of(size_t unit)
{
    return unit * 1777 % UNITS_MAX;
}

static int shard_of(size_t unit)
{
    return (int)(age_of(run.point_of[unit]) * (size_t)run.shards / UNITS_MAX);
}

static void add_lines(size_t unit, enum illness ill)
{
    static const char *const fields[] = {"temp=21.5,ok=true", "ok=false,temp=\"warm\"",
                                         "temp=1,ok=\"\\\"yes, dropped=9\"", "temp=3", "temp="};
    size_t begin = run.text.len;
    const char *some = run.points > 0 && unit % 2 == 0 ? "temp=21.5" : fields[ill];
    size_t point = run.points == 0 ? unit : next_random() % run.points;
    int64_t ns = (ill == LATE ? OLDEST_NS - DAY_NS : NOW_NS) - (int64_t)age_of(point);
    run.ills[unit] = ill;
    run.point_of[unit] = point;
    (void)buf_addf(&run.text, "climate,device=d\\ %u %s %lld\n", (unsigned)(point % 7),
                   ill == WELL ? some : fields[ill], (long long)ns);
    run.units[unit] = (struct salvage_unit){(uint32_t)begin, (uint32_t)(run.text.len - begin), 1,
                                            SALVAGE_UNKNOWN};
}

/* --- the server --- */

static const char *prefix(void)
{
    return run.version == 1 ? "" : "failure writing points to database: ";
}

static int refused_status(void)
{
    return run.version == 1 ? 400 : 422;
}

static int refuse_unparsable(const uint32_t *part, size_t count, size_t bad)
{
    size_t len = 0;
    size_t named = 0;
    if (run.version == 1 && bad < count) {
        len = (size_t)snprintf(run.words, sizeof run.words, "partial write: ");
    }
    for (size_t i = 0; i < count; i++) {
        const struct salvage_unit *unit = &run.units[part[i]];
        if (run.ills[part[i]] != UNPARSABLE || len + unit->len + 100 > WORDS_BYTES) {
            continue;
        }
        len += (size_t)snprintf(run.words + len, sizeof run.words - len,
                                "%sunable to parse '%.*s': missing field value",
                                named++ == 0 ? "" : "\n", (int)unit->len - 1,
                                run.text.ptr + unit->offset);
    }
    if (run.version == 1 && bad < count) {
        (void)snprintf(run.words + len, sizeof run.words - len, " dropped=0");
    }
    return 400;
}

/* A shard's conflicts are counted, one is quoted; of several shards, one answers. */
static int refuse_conflicts(const uint32_t *part, size_t count)
{
    size_t dropped = 0;
    const char *reason = NULL;
    int shard = -1;
    for (size_t i = 0; i < count; i++) {
        enum illness ill = run.ills[part[i]];
        if (ill != CONFLICT && ill != OTHER_CONFLICT) {
            continue;
        }
        shard = shard < 0 ? shard_of(part[i]) : shard;
        if (shard_of(part[i]) == shard) {
            dropped++;
            reason = reason != NULL ? reason
                     : ill == CONFLICT
                         ? "input field \"temp\" on measurement \"climate\" is type string, "
                           "already exists as type float"
                         : "input field \"ok\" on measurement \"climate\" is type string, already "
                           "exists as type boolean";
        }
    }
    if (dropped == 0) {
        return 0;
    }
    (void)snprintf(run.words, sizeof run.words,
                   "%spartial write: field type conflict: %s dropped=%zu", prefix(), reason,
                   dropped);
    return refused_status();
}

static int refuse_late(size_t late)
{
    if (run.version == 1) {
        (void)snprintf(run.words, sizeof run.words,
                       "partial write: points beyond retention policy dropped=%zu", late);
    } else {
        (void)snprintf(run.words, sizeof run.words,
                       "%spartial write: dropped %zu points outside retention policy of duration "
                       "720h0m0s - oldest point climate,device=dropped=7 at 2026 dropped=%zu for "
                       "database: 41b959e4ce7ab076 for retention policy: autogen",
                       prefix(), late, late);
    }
    return refused_status();
}

static int serve(const uint32_t *part, size_t count)
{
    size_t bytes = 0;
    size_t counts[UNPARSABLE + 1] = {0};
    int status;
    run.requests++;
    run.lines_sent += count;
    run.words[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        bytes += run.units[part[i]].len;
        counts[run.ills[part[i]]]++;
    }
    if (run.body_max != 0 && bytes > run.body_max) {
        return 413;
    }
    if (run.version == 2 && counts[UNPARSABLE] > 0) {
        return refuse_unparsable(part, count, counts[UNPARSABLE]);
    }
    for (size_t i = 0; i < count; i++) {
        if (run.ills[part[i]] == WELL) {
            run.stored[part[i]] = true;
            run.winners[run.point_of[part[i]]] = part[i];
        }
    }
    status = refuse_conflicts(part, count);
    if (status != 0) {
        return status;
    }
    if (counts[LATE] > 0) {
        return refuse_late(counts[LATE]);
    }
    return counts[UNPARSABLE] > 0 ? refuse_unparsable(part, count, counts[UNPARSABLE]) : 204;
}

/* --- the client --- */

static void set_fates(const uint32_t *part, size_t count, enum fate fate)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(run.fates[part[i]], FATE_NONE);
        run.fates[part[i]] = fate;
    }
}

static int salvage_all(struct salvage_hints *hints)
{
    struct salvage salvage;
    const uint32_t *part;
    size_t count;
    int rc;
    hints->now_ns = NOW_NS;
    run.requests = 0;
    run.lines_sent = 0;
    rc = salvage_begin(&salvage, hints, buf_slice(&run.text), run.units, run.count);
    if (rc != 0) {
        return rc;
    }
    while ((part = salvage_part(&salvage, &count)) != NULL) {
        int status = serve(part, count);
        assert_true(run.requests < 2 * run.count);
        if (status == 204) {
            set_fates(part, count, FATE_GOOD);
            salvage_stored(&salvage);
        } else {
            struct influx_refusal refusal;
            influx_refusal_read(status, mr_slice_of(run.words), &refusal);
            if (salvage_refused(&salvage, &refusal)) {
                set_fates(part, count, FATE_DEAD);
                salvage_over(&salvage);
            }
        }
    }
    salvage_done(&salvage);
    return 0;
}

/* Every good one is stored, every bad one proven, and of one point the last good one was stored
 * last. */
static void expect_right(void)
{
    static size_t last[UNITS_MAX];
    for (size_t i = 0; i < run.count; i++) {
        if (run.ills[i] == WELL) {
            last[run.point_of[i]] = i;
        }
    }
    for (size_t i = 0; i < run.count; i++) {
        bool is_well = run.ills[i] == WELL;
        assert_int_equal(run.fates[i], is_well ? FATE_GOOD : FATE_DEAD);
        assert_int_equal(run.stored[i], is_well);
        if (is_well) {
            assert_int_equal(run.winners[run.point_of[i]], last[run.point_of[i]]);
        }
    }
}

static void salvage_right(struct salvage_hints *hints)
{
    memset(run.fates, 0, sizeof run.fates);
    memset(run.stored, 0, sizeof run.stored);
    assert_int_equal(salvage_all(hints), 0);
    expect_right();
}

static struct salvage_hints *new_hints(void)
{
    struct salvage_hints *hints = calloc(1, sizeof *hints);
    assert_non_null(hints);
    return hints;
}

/* --- tests --- */

static void add_one_percent(size_t count, unsigned kinds)
{
    for (size_t i = 0; i < count; i++) {
        bool is_bad = next_random() % 100 == 0;
        add_lines(i, is_bad ? (enum illness)(1 + next_random() % kinds) : WELL);
    }
}

static void one_percent_of_one_conflict_costs_three_requests_then_two(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct salvage_hints *hints = new_hints();
        begin(version, UNITS_MAX);
        add_one_percent(UNITS_MAX, CONFLICT);
        salvage_right(hints);
        assert_int_equal(run.requests, 3); /* the whole, the rest, the suspects */
        salvage_right(hints);
        assert_int_equal(run.requests, 2);
        assert_int_equal(run.lines_sent, UNITS_MAX);
        free(hints);
    }
}

static void one_percent_of_every_kind_is_found(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (int shards = 1; shards <= 3; shards++) {
            struct salvage_hints *hints = new_hints();
            begin(version, UNITS_MAX);
            run.shards = shards;
            add_one_percent(UNITS_MAX, UNPARSABLE);
            salvage_right(hints);
            assert_true(run.lines_sent < 6 * UNITS_MAX);
            salvage_right(hints);
            /* What can't be foreseen is what can't be parsed. */
            assert_true(run.lines_sent < 5 * UNITS_MAX / 2);
            assert_true(run.requests < 20);
            free(hints);
        }
    }
}

static void late_points_are_foreseen(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct salvage_hints *hints = new_hints();
        begin(version, 1000);
        for (size_t i = 0; i < 1000; i++) {
            add_lines(i, i % 100 == 5 ? LATE : WELL);
        }
        salvage_right(hints);
        assert_int_equal(run.requests, 3);
        salvage_right(hints);
        assert_int_equal(run.requests, 2);
        free(hints);
    }
}

static void all_bad_in_a_row_are_proven_at_once(void **state)
{
    static const enum illness kinds[] = {CONFLICT, LATE, UNPARSABLE};
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (size_t kind = 0; kind < MR_COUNT_OF(kinds); kind++) {
            struct salvage_hints *hints = new_hints();
            begin(version, 500);
            for (size_t i = 0; i < 500; i++) {
                add_lines(i, kinds[kind]);
            }
            salvage_right(hints);
            assert_int_equal(run.requests, 1);
            free(hints);
        }
    }
}

/* Whatever is bad, and whatever the hints believe. */
static void any_set_of_bad_ones_is_right_and_bounded(void **state)
{
    struct salvage_hints *hints = new_hints();
    (void)state;
    for (unsigned round = 0; round < 600; round++) {
        size_t count = 1 + next_random() % 60;
        uint32_t percent = next_random() % 101;
        uint32_t seed = random_state;
        begin(1 + (int)(round % 2), count);
        random_state = seed;
        run.shards = 1 + (int)(next_random() % 3);
        run.body_max = next_random() % 4 == 0 ? 300 : 0;
        run.points = next_random() % 3 == 0 ? 1 + next_random() % count : 0;
        if (round % 50 == 0) {
            memset(hints, 0, sizeof *hints);
        }
        if (next_random() % 3 == 0) { /* good lines are suspected, but not all */
            field_types_told(&hints->types,
                             field_types_key(&hints->types, MR_SLICE("climate"), MR_SLICE("ok")),
                             LINE_TYPE_STRING);
        }
        for (size_t i = 0; i < count; i++) {
            bool is_bad = next_random() % 100 < percent;
            add_lines(i, is_bad ? (enum illness)(1 + next_random() % UNPARSABLE) : WELL);
        }
        salvage_right(hints);
    }
    free(hints);
}

static void what_the_server_does_not_explain_is_halved(void **state)
{
    struct salvage_hints *hints = new_hints();
    struct salvage salvage;
    struct influx_refusal refusal;
    const uint32_t *part;
    size_t count;
    unsigned requests = 0;
    (void)state;
    begin(1, 1024);
    for (size_t i = 0; i < 1024; i++) {
        add_lines(i, WELL);
    }
    influx_refusal_read(400, MR_SLICE("who knows"), &refusal);
    assert_int_equal(salvage_begin(&salvage, hints, buf_slice(&run.text), run.units, 1024), 0);
    while ((part = salvage_part(&salvage, &count)) != NULL) {
        bool has_bad = false;
        for (size_t i = 0; i < count; i++) {
            has_bad = has_bad || part[i] == 700;
        }
        requests++;
        if (!has_bad) {
            salvage_stored(&salvage);
        } else if (salvage_refused(&salvage, &refusal)) {
            assert_int_equal(count, 1);
            salvage_over(&salvage);
        }
    }
    assert_int_equal(requests, 21); /* 2 log2(1024) + 1 */
    salvage_done(&salvage);
    free(hints);
}

static void an_oversized_line_is_found_by_bytes(void **state)
{
    struct salvage_hints *hints = new_hints();
    size_t begin_at;
    (void)state;
    begin(2, 100);
    run.body_max = 4000;
    for (size_t i = 0; i < 100; i++) {
        if (i != 40) {
            add_lines(i, WELL);
            continue;
        }
        begin_at = run.text.len;
        (void)buf_add_str(&run.text, "climate text=\"");
        for (size_t k = 0; k < 5000; k++) {
            (void)buf_add_char(&run.text, 'x');
        }
        (void)buf_addf(&run.text, "\" %lld\n", (long long)NOW_NS);
        run.units[i] = (struct salvage_unit){
            (uint32_t)begin_at, (uint32_t)(run.text.len - begin_at), 1, SALVAGE_UNKNOWN};
    }
    assert_int_equal(salvage_all(hints), 0);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(run.fates[i], i == 40 ? FATE_DEAD : FATE_GOOD);
    }
    assert_true(run.requests <= 11);
    free(hints);
}

/* The measurement was dropped on the server, and made anew with other types. */
static void a_belief_that_is_wrong_is_given_up(void **state)
{
    struct salvage_hints *hints = new_hints();
    (void)state;
    begin(1, 300);
    field_types_told(&hints->types,
                     field_types_key(&hints->types, MR_SLICE("climate"), MR_SLICE("temp")),
                     LINE_TYPE_STRING);
    for (size_t i = 0; i < 300; i++) {
        add_lines(i, WELL);
        run.units[i].suspicion =
            salvage_suspect(hints, mr_slice(run.text.ptr + run.units[i].offset, run.units[i].len));
        assert_int_equal(run.units[i].suspicion, SALVAGE_CONFLICT);
    }
    salvage_right(hints);
    assert_int_equal(run.requests, 1);
    assert_int_equal(salvage_suspect(hints, mr_slice(run.text.ptr, run.units[0].len)),
                     SALVAGE_GOOD);
    free(hints);
}

/* Lines of one delivery stand and fall together. */
static void a_unit_of_two_lines_is_dead_with_one_of_them(void **state)
{
    static const char text[] = "a f=1 5\na f=2 6\na f=3 7\na f=\"x\" 8\n";
    static const struct salvage_unit units[] = {{0, 16, 2, SALVAGE_UNKNOWN},
                                                {16, 18, 2, SALVAGE_UNKNOWN}};
    struct salvage_hints *hints = new_hints();
    struct salvage salvage;
    struct influx_refusal refusal;
    const uint32_t *part;
    size_t count;
    (void)state;
    influx_refusal_read(400,
                        MR_SLICE("partial write: field type conflict: input field \"f\" on "
                                 "measurement \"a\" is type string, already exists as type float "
                                 "dropped=1"),
                        &refusal);
    assert_int_equal(salvage_begin(&salvage, hints, mr_slice(text, sizeof text - 1), units, 2), 0);
    assert_false(salvage_refused(&salvage, &refusal));
    part = salvage_part(&salvage, &count);
    assert_int_equal(count, 1);
    assert_int_equal(part[0], 0);
    salvage_stored(&salvage);
    part = salvage_part(&salvage, &count);
    assert_int_equal(part[0], 1);
    assert_true(salvage_refused(&salvage, &refusal));
    salvage_over(&salvage);
    assert_null(salvage_part(&salvage, &count));
    salvage_done(&salvage);
    free(hints);
}

/* Answers count lines: as many as there are units prove nothing, as many as there are lines do. */
static void dropped_lines_are_not_units(void **state)
{
    static const char text[] = "a f=1 5\na f=2 6\na f=\"x\" 7\na f=\"y\" 8\n";
    static const char *const words[] = {
        "partial write: field type conflict: input field \"f\" on measurement \"a\" is type "
        "string, "
        "already exists as type float",
        "partial write: points beyond retention policy"};
    static const struct salvage_unit units[] = {{0, 16, 2, SALVAGE_UNKNOWN},
                                                {16, 20, 2, SALVAGE_UNKNOWN}};
    (void)state;
    for (size_t i = 0; i < 2 * MR_COUNT_OF(words); i++) {
        bool is_all = i % 2 == 1;
        struct salvage_hints *hints = new_hints();
        struct salvage salvage;
        struct influx_refusal refusal;
        (void)snprintf(run.words, sizeof run.words, "%s dropped=%d", words[i / 2], is_all ? 4 : 2);
        influx_refusal_read(400, mr_slice_of(run.words), &refusal);
        assert_int_equal(refusal.dropped, is_all ? 4 : 2);
        hints->now_ns = NOW_NS;
        assert_int_equal(salvage_begin(&salvage, hints, mr_slice(text, sizeof text - 1), units, 2),
                         0);
        assert_int_equal(salvage_refused(&salvage, &refusal), is_all);
        salvage_done(&salvage);
        free(hints);
    }
}

static void every_allocation_may_fail(void **state)
{
    struct salvage_hints *hints = new_hints();
    unsigned n = 1;
    (void)state;
    begin(1, 300);
    add_one_percent(300, UNPARSABLE);
    for (;; n++) {
        int rc;
        memset(run.fates, 0, sizeof run.fates);
        memset(run.stored, 0, sizeof run.stored);
        memset(hints, 0, sizeof *hints);
        heap_fail_at(n);
        rc = salvage_all(hints);
        assert_int_equal(heap_alive(), 0);
        if (rc == 0) { /* a suspicion without memory is none, and costs requests */
            expect_right();
        } else {
            assert_int_equal(rc, MR_ENOMEM);
        }
        if (!heap_failed()) {
            break;
        }
    }
    assert_true(n > 1);
    heap_restore();
    free(hints);
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&run.text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_percent_of_one_conflict_costs_three_requests_then_two),
        cmocka_unit_test(one_percent_of_every_kind_is_found),
        cmocka_unit_test(late_points_are_foreseen),
        cmocka_unit_test(all_bad_in_a_row_are_proven_at_once),
        cmocka_unit_test(any_set_of_bad_ones_is_right_and_bounded),
        cmocka_unit_test(what_the_server_does_not_explain_is_halved),
        cmocka_unit_test(an_oversized_line_is_found_by_bytes),
        cmocka_unit_test(a_belief_that_is_wrong_is_given_up),
        cmocka_unit_test(a_unit_of_two_lines_is_dead_with_one_of_them),
        cmocka_unit_test(dropped_lines_are_not_units),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
