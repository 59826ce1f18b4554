// SPDX-License-Identifier: Apache-2.0
/* The writer under failing allocations, with batches that share a request, and with salvages that
 * take long. The worker beneath it is
 * a stand-in of this file: it settles nothing but counts, so that every delivery is seen to be
 * settled exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <stdatomic.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/metrics.h"
#include "consumers/influx/writer.h"
#include "lib/heap.h"
#include "lib/script_server.h"

enum { COUNT = 3, DEADLINE_MS = 60000 };

struct mr_delivery {
    struct mr_event *event;
    int settled;
    bool waits;
    bool is_dead;
};

struct mr_batch {
    struct mr_delivery deliveries[COUNT];
};

static uv_loop_t loop;
static int settled;

uv_loop_t *mr_worker_loop(const struct mr_worker *worker)
{
    (void)worker;
    return &loop;
}

void mr_worker_set_ready(struct mr_worker *worker, const char *condition, const char *reason)
{
    (void)worker;
    (void)condition;
    (void)reason;
}

size_t mr_batch_count(const struct mr_batch *batch)
{
    (void)batch;
    return COUNT;
}

struct mr_delivery *mr_batch_at(struct mr_batch *batch, size_t index)
{
    return &batch->deliveries[index];
}

const char *mr_batch_topic(const struct mr_batch *batch)
{
    (void)batch;
    return "events";
}

int32_t mr_batch_partition(const struct mr_batch *batch)
{
    (void)batch;
    return 0;
}

struct mr_event *mr_delivery_event(struct mr_delivery *delivery)
{
    return delivery->event;
}

int64_t mr_delivery_offset(const struct mr_delivery *delivery)
{
    (void)delivery;
    return 0;
}

int64_t mr_delivery_timestamp_ms(const struct mr_delivery *delivery)
{
    (void)delivery;
    return 1;
}

void mr_done(struct mr_delivery *delivery)
{
    delivery->settled++;
    settled++;
}

void mr_dead(struct mr_delivery *delivery, const char *code, const char *text)
{
    assert_true(strcmp(code, "mapping") == 0 || strcmp(code, "over-limit") == 0);
    assert_non_null(text);
    delivery->is_dead = true;
    mr_done(delivery);
}

void mr_dead_server(struct mr_delivery *delivery, const char *code, const char *text,
                    const char *server)
{
    assert_string_equal(code, "influxdb");
    assert_non_null(text);
    assert_memory_equal(server, "400 ", 4);
    delivery->is_dead = true;
    mr_done(delivery);
}

void mr_skip(struct mr_delivery *delivery, const char *rule)
{
    assert_non_null(rule);
    mr_done(delivery);
}

bool mr_delivery_is_settled(const struct mr_delivery *delivery)
{
    return delivery->settled > 0;
}

void mr_batch_wait(struct mr_batch *batch, const char *reason, int64_t after_ms)
{
    assert_true(reason != NULL && reason[0] != '\0');
    assert_true(after_ms > 0);
    for (size_t i = 0; i < COUNT; i++) {
        if (batch->deliveries[i].settled == 0) {
            batch->deliveries[i].waits = true;
            mr_done(&batch->deliveries[i]);
        }
    }
}

static atomic_int writes_count; /* probes are none */

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    (void)user;
    writes_count += request->body.len > 0;
    answer->bytes = "HTTP/1.1 204 No Content\r\n\r\n";
}

static size_t gunzip(struct mr_slice body, Bytef *lines, size_t size)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body.ptr, .avail_in = (uInt)body.len};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        abort();
    }
    stream.next_out = lines;
    stream.avail_out = (uInt)size;
    if (inflate(&stream, Z_FINISH) != Z_STREAM_END) {
        abort();
    }
    (void)inflateEnd(&stream);
    return stream.total_out;
}

/* Of a request's lines, compressed or not, how many hold `word`. */
static unsigned count_of(struct mr_slice body, const char *word)
{
    static Bytef lines[4096];
    size_t len = body.len < sizeof lines ? body.len : sizeof lines - 1;
    unsigned count = 0;
    if (body.len > 2 && memcmp(body.ptr, "\x1f\x8b", 2) == 0) { /* RFC 1952 2.3.1 */
        len = gunzip(body, lines, sizeof lines - 1);
    } else {
        memcpy(lines, body.ptr, len);
    }
    lines[len] = '\0';
    for (const char *at = (const char *)lines; (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    return count;
}

/* As InfluxDB 1.6.7 refuses a text for a number. */
static void refuse_texts(void *user, const struct script_request *request,
                         struct script_answer *answer)
{
    static _Thread_local char bytes[1024]; /* sent while others are handled */
    unsigned bad = request->body.len == 0 ? 0 : count_of(request->body, "=\"");
    handle(user, request, answer);
    if (bad > 0) {
        (void)snprintf(bytes, sizeof bytes,
                       "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
                       "{\"error\":\"partial write: field type conflict: input field \\\"a\\\" on "
                       "measurement \\\"t\\\" is type string, already exists as type float "
                       "dropped=%u\"}\n",
                       bad);
        answer->bytes = bytes;
        answer->then = SCRIPT_CLOSE;
    }
}

static void on_tick(uv_timer_t *timer)
{
    const uint64_t *begun_ms = timer->data;
    if (uv_now(timer->loop) - *begun_ms > DEADLINE_MS) {
        fail_msg("nothing happened for %d ms", DEADLINE_MS);
    }
}

static void on_tick_closed(uv_handle_t *tick)
{
    tick->data = tick;
}

static atomic_int refused_count;
static atomic_int hanging_count;

/* Refuses what is bad as a whole, without saying why; and then says nothing to a part of it. */
static void hang_on_parts(void *user, const struct script_request *request,
                          struct script_answer *answer)
{
    unsigned bad = request->body.len == 0 ? 0 : count_of(request->body, "=\"");
    handle(user, request, answer);
    if (bad >= COUNT) {
        answer->bytes =
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 36\r\n\r\n"
            "{\"error\":\"partial write: who knows\"}";
        refused_count++;
    } else if (bad > 0) {
        answer->then = SCRIPT_HANG;
        answer->bytes = "";
        hanging_count++;
    }
}

static int expected_count = COUNT; /* of deliveries */

static bool are_settled(void)
{
    return settled >= expected_count;
}

static void run_until(bool (*is_so)(void))
{
    uv_timer_t tick;
    uint64_t begun_ms = uv_now(&loop);
    (void)uv_timer_init(&loop, &tick);
    tick.data = &begun_ms;
    (void)uv_timer_start(&tick, on_tick, 2, 2);
    while (!is_so()) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    tick.data = NULL;
    uv_close((uv_handle_t *)&tick, on_tick_closed);
    while (tick.data == NULL) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
}

/* Returns how many were stored or dead, not left to wait; -1: the writer could not be made. */
static int write_batches(const struct influx_options *options, struct mr_batch *batches,
                         size_t count)
{
    struct writer *writer = NULL;
    int over = 0;
    int rc = writer_new(NULL, options, &writer, NULL);
    settled = 0;
    expected_count = (int)(count * COUNT);
    for (size_t i = 0; i < count * COUNT; i++) {
        struct mr_delivery *one = &batches[i / COUNT].deliveries[i % COUNT];
        *one = (struct mr_delivery){.event = one->event};
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        writer_take(writer, &batches[i]);
    }
    if (rc == 0) {
        run_until(are_settled);
    }
    writer_close(writer);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; rc == 0 && i < count * COUNT; i++) {
        const struct mr_delivery *one = &batches[i / COUNT].deliveries[i % COUNT];
        assert_int_equal(one->settled, 1);
        over += !one->waits;
    }
    assert_true(rc == 0 || rc == MR_ENOMEM);
    return rc == 0 ? over : -1;
}

static void fill(struct mr_batch *batch, const char *const *data)
{
    *batch = (struct mr_batch){0};
    for (size_t i = 0; i < COUNT; i++) {
        struct mr_event *event = mr_event_new();
        assert_int_equal(mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL), 0);
        mr_event_set_data(event, mr_slice_of(data[i]));
        batch->deliveries[i].event = event;
    }
}

/* Unless it waits; nothing is done that isn't. */
static void expect_dead(const struct mr_delivery *delivery, bool dead)
{
    assert_true(delivery->waits || delivery->is_dead == dead);
}

static void empty(struct mr_batch *batch)
{
    for (size_t i = 0; i < COUNT; i++) {
        mr_event_free(batch->deliveries[i].event);
    }
}

/* Two batches, the first of `data`, which share a request if it has room for both. `dead`: which of
 * the first end in the dead-letter topic, if they don't wait. */
static void fail_each(script_handler handler, const char *const *data, const bool *dead,
                      int64_t request_bytes, int gzip, unsigned allocations_min)
{
    static const char *const good[COUNT] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};
    static const bool none[COUNT];
    struct mr_batch batches[2];
    char uri[64];
    struct influx_options options = {.uri = uri,
                                     .database = (char[]){"db"},
                                     .timeout_ms = 2000,
                                     .connect_timeout_ms = 200,
                                     .requests_max = 2,
                                     .request_bytes_max = request_bytes,
                                     .gzip = gzip,
                                     .wait_min_ms = 10,
                                     .wait_max_ms = 20,
                                     .future_max_ms = 1000,
                                     .tag_limit = 10,
                                     .name_limit = 10};
    int over = -1;
    fill(&batches[0], data);
    fill(&batches[1], good);
    for (unsigned n = 1; over < 2 * COUNT; n++) {
        struct script_server *server = script_server_start(0, handler, NULL); /* for few clients */
        assert_non_null(server);
        (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
        assert_int_equal(uv_loop_init(&loop), 0);
        heap_fail_at(n);
        over = write_batches(&options, batches, 2);
        for (size_t i = 0; over >= 0 && i < COUNT; i++) {
            expect_dead(&batches[0].deliveries[i], dead[i]);
            expect_dead(&batches[1].deliveries[i], none[i]);
        }
        metrics_reset();
        assert_int_equal(heap_alive(), 0);
        assert_int_equal(uv_loop_close(&loop), 0);
        if (!heap_failed()) {
            assert_int_equal(over, 2 * COUNT);
            assert_true(n > allocations_min);
        } else {
            over = -1;
        }
        script_server_stop(server);
    }
    heap_restore();
    empty(&batches[0]);
    empty(&batches[1]);
}

static void every_allocation_may_fail(void **state)
{
    static const char *const data[COUNT] = {"{\"a\":1}", "[]", "{\"b\":\"\\n\"}"};
    static const bool dead[COUNT] = {false, true, false};
    (void)state;
    fail_each(handle, data, dead, 4096, INFLUX_GZIP_OFF, 15);
    fail_each(handle, data, dead, 20, INFLUX_GZIP_ON, 15);
    fail_each(handle, data, dead, 20, INFLUX_GZIP_OFF, 15);
}

static void every_allocation_of_a_salvage_may_fail(void **state)
{
    static const char *const data[COUNT] = {"{\"a\":1}", "{\"a\":\"x\"}", "{\"a\":2}"};
    static const bool dead[COUNT] = {false, true, false};
    (void)state;
    fail_each(refuse_texts, data, dead, 4096, INFLUX_GZIP_ON, 20);
    fail_each(refuse_texts, data, dead, 4096, INFLUX_GZIP_OFF, 20);
}

/* At work at once. */
static struct influx_options one_request(char *uri, int64_t request_bytes)
{
    static char database[] = "db";
    return (struct influx_options){.uri = uri,
                                   .database = database,
                                   .timeout_ms = DEADLINE_MS,
                                   .connect_timeout_ms = DEADLINE_MS,
                                   .requests_max = 1,
                                   .request_bytes_max = request_bytes,
                                   .wait_min_ms = 10,
                                   .wait_max_ms = 20};
}

/* Batches that come together share a request, as far as it has room; what is refused of it costs
 * no good point its place. */
static void batches_of_one_moment_share_a_request(void **state)
{
    static const char *const data[][COUNT] = {
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"},
        {"[]", "[]", "[]"},
        {"{\"a\":1}", "{\"a\":\"x\"}", "[]"},
        {"{\"b\":1}", "{\"b\":2}", "{\"b\":3}"},
    };
    static const struct {
        script_handler handler;
        int64_t request_bytes;
        int requests;
        bool refused;
    } rows[] = {
        {handle, 4096, 1, false},
        /* "t a=1 1000000" has 14 bytes with its line feed: five fit, and three in the second. */
        {handle, 5 * 14, 2, false},
        /* Shared, the three that have points each alone, and the two points of the refused one. */
        {refuse_texts, 4096, 1 + 3 + 2, true},
    };
    struct mr_batch batches[MR_COUNT_OF(data)];
    (void)state;
    for (size_t b = 0; b < MR_COUNT_OF(data); b++) {
        fill(&batches[b], data[b]);
    }
    for (size_t row = 0; row < MR_COUNT_OF(rows); row++) {
        struct script_server *server = script_server_start(0, rows[row].handler, NULL);
        char uri[64];
        struct influx_options options = one_request(uri, rows[row].request_bytes);
        assert_non_null(server);
        (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
        assert_int_equal(uv_loop_init(&loop), 0);
        writes_count = 0;
        assert_int_equal(write_batches(&options, batches, MR_COUNT_OF(data)),
                         MR_COUNT_OF(data) * COUNT);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(writes_count, rows[row].requests);
        for (size_t i = 0; i < MR_COUNT_OF(data) * COUNT; i++) {
            const char *text = data[i / COUNT][i % COUNT];
            expect_dead(&batches[i / COUNT].deliveries[i % COUNT],
                        strcmp(text, "[]") == 0 ||
                            (rows[row].refused && strcmp(text, "{\"a\":\"x\"}") == 0));
        }
        metrics_reset();
        script_server_stop(server);
    }
    for (size_t b = 0; b < MR_COUNT_OF(data); b++) {
        empty(&batches[b]);
    }
}

/* Where points were refused lately, those of one partition hold up no others. */
static void nothing_is_shared_after_a_refusal(void **state)
{
    static const char *const bad_data[COUNT] = {"{\"a\":\"x\"}", "{\"a\":1}", "{\"a\":2}"};
    static const char *const good_data[COUNT] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};
    struct mr_batch batches[3];
    struct script_server *server = script_server_start(0, refuse_texts, NULL);
    char uri[64];
    struct influx_options options = one_request(uri, 4096);
    struct writer *writer = NULL;
    (void)state;
    assert_non_null(server);
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
    fill(&batches[0], bad_data);
    fill(&batches[1], good_data);
    fill(&batches[2], good_data);
    settled = 0;
    expected_count = COUNT;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(writer_new(NULL, &options, &writer, NULL), 0);
    writer_take(writer, &batches[0]);
    run_until(are_settled);
    writes_count = 0;
    expected_count = 3 * COUNT;
    writer_take(writer, &batches[1]);
    writer_take(writer, &batches[2]);
    run_until(are_settled);
    assert_int_equal(writes_count, 2);
    writer_close(writer);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    metrics_reset();
    for (size_t b = 0; b < MR_COUNT_OF(batches); b++) {
        empty(&batches[b]);
    }
    script_server_stop(server);
}

static void expect_over_limit(const char *limit, int count)
{
    struct mr_buf text;
    char wanted[100];
    buf_init(&text, 1 << 16);
    assert_int_equal(metrics_write(&text), 0);
    assert_int_equal(buf_add_char(&text, '\0'), 0);
    (void)snprintf(wanted, sizeof wanted, "millrace_influx_over_limit_total{limit=\"%s\"} %d\n",
                   limit, count);
    if (strstr(text.ptr, wanted) == NULL) {
        fail_msg("not %sin: %s", wanted, text.ptr);
    }
    buf_done(&text);
}

/* The limit decides the label, whatever names a device chooses. */
static void a_limit_is_counted_under_its_own_label(void **state)
{
    static const char *const data[COUNT] = {"{\"a\":1}", "{\"tag.limit\":1}", "{\"a\":2}"};
    struct mr_batch batch;
    struct script_server *server = script_server_start(0, handle, NULL);
    char uri[64];
    struct influx_options options = one_request(uri, 20); /* a line: the next is made twice */
    (void)state;
    options.tag_limit = 1;
    options.name_limit = 1;
    assert_non_null(server);
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
    fill(&batch, data);
    for (size_t i = 0; i < COUNT; i++) {
        struct mr_slice device = mr_slice_of(i == 2 ? "name.limit" : "d");
        assert_int_equal(mr_event_set(batch.deliveries[i].event, MR_SLICE("device"), device, NULL),
                         0);
    }
    for (int drop_tag = 0; drop_tag < 2; drop_tag++) {
        options.over_limit = drop_tag ? INFLUX_OVER_DROP_TAG : INFLUX_OVER_DEAD;
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(write_batches(&options, &batch, 1), COUNT);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_false(batch.deliveries[0].is_dead);
        assert_true(batch.deliveries[1].is_dead);
        assert_int_equal(batch.deliveries[2].is_dead, !drop_tag);
        expect_over_limit("name", 1);
        expect_over_limit("tag", 1);
        expect_over_limit("memory", 0);
        metrics_reset();
    }
    empty(&batch);
    script_server_stop(server);
}

static bool is_one_hanging(void)
{
    return refused_count == 3 && hanging_count > 0; /* the one that both share, and each's own */
}

/* Two partitions are salvaged, and InfluxDB takes long over it: with two requests, one is left to
 * a third partition. */
static void salvages_leave_a_request_to_others(void **state)
{
    static const char *const bad_data[COUNT] = {"{\"a\":\"x\"}", "{\"a\":\"y\"}", "{\"a\":\"z\"}"};
    static const char *const good_data[COUNT] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"};
    struct mr_batch bad[2];
    struct mr_batch good;
    struct script_server *server = script_server_start(0, hang_on_parts, NULL);
    char uri[64];
    struct influx_options options = one_request(uri, 4096);
    struct writer *writer = NULL;
    (void)state;
    options.requests_max = 2;
    options.timeout_ms = 2 * (int64_t)DEADLINE_MS;
    assert_non_null(server);
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
    fill(&bad[0], bad_data);
    fill(&bad[1], bad_data);
    fill(&good, good_data);
    settled = 0;
    expected_count = COUNT;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(writer_new(NULL, &options, &writer, NULL), 0);
    writer_take(writer, &bad[0]);
    writer_take(writer, &bad[1]);
    run_until(is_one_hanging);
    writer_take(writer, &good);
    run_until(are_settled);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(good.deliveries[i].settled, 1);
        assert_false(good.deliveries[i].waits || good.deliveries[i].is_dead);
    }
    assert_int_equal(hanging_count, 1);
    writer_close(writer);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    metrics_reset();
    empty(&bad[0]);
    empty(&bad[1]);
    empty(&good);
    script_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_allocation_of_a_salvage_may_fail),
        cmocka_unit_test(batches_of_one_moment_share_a_request),
        cmocka_unit_test(nothing_is_shared_after_a_refusal),
        cmocka_unit_test(a_limit_is_counted_under_its_own_label),
        cmocka_unit_test(salvages_leave_a_request_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
