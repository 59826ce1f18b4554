// SPDX-License-Identifier: Apache-2.0
/* The small pure parts of millrace-influx: compression (zlib's own inflate reads it), the write
 * URL, the check of the options, InfluxDB's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "base/options.h"
#include "consumers/influx/gzip.h"
#include "consumers/influx/influx_answer.h"
#include "consumers/influx/influx_options.h"
#include "consumers/influx/job.h"
#include "kit/mem.h"
#include "lib/heap.h"

static void check_inflates(struct mr_slice body, struct mr_slice expected)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body.ptr, .avail_in = (uInt)body.len};
    Bytef *bytes = malloc(expected.len + 1);
    assert_non_null(bytes);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_out = bytes;
    stream.avail_out = (uInt)expected.len + 1;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    assert_true(mr_slice_is(mr_slice(bytes, stream.total_out), expected));
    (void)inflateEnd(&stream);
    free(bytes);
}

static void one_compressor_serves_many_bodies(void **state)
{
    static const size_t lens[] = {10, 0, 1, 100000, 3, 65536};
    char *bytes = malloc(100000);
    uint32_t random = 1;
    struct gzip gzip;
    struct mr_buf out;
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < 100000; i++) { /* hardly compressible: the bound is needed */
        random = random * 1664525u + 1013904223u;
        bytes[i] = (char)(random >> 24);
    }
    buf_init(&out, 1 << 20);
    assert_int_equal(gzip_init(&gzip), 0);
    for (size_t i = 0; i < MR_COUNT_OF(lens); i++) {
        buf_clear(&out);
        assert_int_equal(gzip_write(&gzip, mr_slice(bytes, lens[i]), &out), 0);
        check_inflates(buf_slice(&out), mr_slice(bytes, lens[i]));
    }
    gzip_done(&gzip);
    buf_done(&out);
    free(bytes);
}

static void compression_without_memory_fails(void **state)
{
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        struct gzip gzip;
        struct mr_buf out;
        int rc;
        buf_init(&out, 1 << 20);
        heap_fail_at(n);
        rc = gzip_init(&gzip);
        rc = rc != 0 ? rc : gzip_write(&gzip, MR_SLICE("text"), &out);
        gzip_done(&gzip);
        buf_done(&out);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 3);
    heap_restore();
}

static void expect_url(const char *uri, const char *database, const char *expected)
{
    struct influx_options options = {.uri = (char *)(uintptr_t)uri,
                                     .database = (char *)(uintptr_t)database};
    char *url = influx_write_url(&options);
    assert_string_equal(url, expected);
    mem_free(url);
}

static void the_url_of_2_x_names_org_and_bucket(void **state)
{
    struct influx_options options = {.uri = (char[]){"http://h/x/"},
                                     .org = (char[]){"my org"},
                                     .bucket = (char[]){"a&b"},
                                     .token = (char[]){"sesame"}};
    char *url = influx_write_url(&options);
    (void)state;
    assert_string_equal(url, "http://h/x/api/v2/write?org=my%20org&bucket=a%26b&precision=ns");
    mem_free(url);
}

static void writes_are_compressed_unless_the_server_is_here(void **state)
{
    static const struct {
        const char *uri;
        bool compressed;
    } rows[] = {
        {"http://localhost:8086", false},
        {"https://LocalHost/x", false},
        {"http://127.0.0.1:8086", false},
        {"http://127.3.2.1", false},
        {"http://[::1]:8086", false},
        {"http://influxdb:8086", true},
        {"http://localhost.example", true},
        {"http://127.0.0.1.example", true},
        {"http://10.127.0.1", true},
        {"http://128.0.0.1", true},
        {"http://[::2]", true},
        {"http://[2001:db8::1]:8086", true},
        {"http://h/127.0.0.1", true},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct influx_options options = {.uri = (char *)(uintptr_t)rows[i].uri};
        print_message("%s\n", rows[i].uri);
        assert_int_equal(influx_wants_gzip(&options), rows[i].compressed);
        options.gzip = INFLUX_GZIP_ON;
        assert_true(influx_wants_gzip(&options));
        options.gzip = INFLUX_GZIP_OFF;
        assert_false(influx_wants_gzip(&options));
    }
}

static enum influx_verdict verdict(int status, const char *body, bool is_cut, struct mr_buf *words)
{
    const struct mr_http_answer answer = {
        .status = status, .body = mr_slice_of(body), .body_is_cut = is_cut};
    return influx_verdict(&answer, words);
}

static void only_influxdbs_own_refusals_are_about_the_points(void **state)
{
    static const int away[] = {200, 301, 401, 403, 404, 429, 500, 503};
    static const char partial[] = "{\"error\":\"partial write: x dropped=1\"}";
    static const char *const others[] = {
        "{\"message\":\"Bad Request\"}", "{\"error\":\"gzip: invalid checksum\"}",
        "{\"error\":\"timeout\"}", "{\"error\":\"no: partial write: x dropped=1\"}",
        "{\"code\":\"invalid\",\"message\":\"unable to read data\"}"};
    struct influx_refusal refusal;
    struct mr_buf words;
    (void)state;
    buf_init(&words, INFLUX_ANSWER_BYTES_MAX);
    assert_int_equal(influx_verdict(NULL, &words), INFLUX_AWAY);
    assert_int_equal(verdict(204, "", false, &words), INFLUX_STORED);
    assert_int_equal(verdict(400, partial, false, &words), INFLUX_REFUSED);
    assert_true(mr_slice_is(buf_slice(&words), MR_SLICE("partial write: x dropped=1")));
    assert_int_equal(
        verdict(422,
                "{\"code\":\"unprocessable entity\",\"message\":\"failure writing points to "
                "database: partial write: y\"}",
                false, &words),
        INFLUX_REFUSED);
    assert_true(mr_slice_is(buf_slice(&words),
                            MR_SLICE("failure writing points to database: partial write: y")));
    assert_int_equal(
        verdict(400, "{\"code\":\"invalid\",\"message\":\"unable to parse 'm f=': missing\"}",
                false, &words),
        INFLUX_REFUSED);
    assert_int_equal(verdict(413, "<html>", false, &words), INFLUX_REFUSED);
    assert_int_equal(verdict(400, "<html>Bad Request</html>", false, &words), INFLUX_AWAY);
    assert_int_equal(verdict(400, "{\"error\":\"unexpected EOF\"}\n", false, &words), INFLUX_AWAY);
    assert_int_equal(
        verdict(400, "{\"error\":\"partial write: one\\ntwo dropped=21\\nthr", true, &words),
        INFLUX_REFUSED);
    /* Where an answer was cut no count stands at its end. */
    assert_true(mr_slice_is(buf_slice(&words), MR_SLICE("partial write: one\ntwo dropped=21\n")));
    influx_refusal_read(400, buf_slice(&words), &refusal);
    assert_int_equal(refusal.dropped, 0);
    for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
        assert_int_equal(verdict(400, others[i], false, &words), INFLUX_AWAY);
        assert_int_equal(verdict(422, others[i], false, &words), INFLUX_AWAY);
    }
    for (size_t i = 0; i < MR_COUNT_OF(away); i++) {
        assert_int_equal(verdict(away[i], partial, false, &words), INFLUX_AWAY);
    }
    buf_done(&words);
}

static void the_url_is_built_from_the_uri(void **state)
{
    (void)state;
    expect_url("http://127.0.0.1:8086", "db", "http://127.0.0.1:8086/write?db=db&precision=ns");
    expect_url("https://h/influx//", "a b/&\xc3\xa9",
               "https://h/influx/write?db=a%20b%2F%26%C3%A9&precision=ns");
}

static int check_options(const char *uri, const char *user, const char *password,
                         struct mr_error *err)
{
    struct influx_options options = {.uri = (char *)(uintptr_t)uri,
                                     .database = (char[]){"db"},
                                     .username = (char *)(uintptr_t)user,
                                     .password = (char *)(uintptr_t)password,
                                     .wait_min_ms = 1,
                                     .wait_max_ms = 2};
    struct mr_check check = {.first = err};
    influx_options_check(&options, &check);
    return check.count == 0 ? 0 : MR_ECONFIG;
}

static void bad_options_are_named_and_secrets_are_not(void **state)
{
    static const char *const bad[] = {
        "",
        "127.0.0.1:8086",
        "ftp://h",
        "http://",
        "http:///x",
        "http://h?q",
        "http://h#f",
        "http://h /",
        "http://u:sesame@h",
        "http://h:99999",
        "http://h:0",
        "http://h:",
        "http://h:x",
        "http://[::1",
        "http://sesame@h",
        "http://u:ses/ame@h",
        "http://u:S3/sesame@h",
        "ftp://u:sesame@h",
        "u:sesame@h",
        "http://h?u=u&p=sesame",
        "http://u:sesame@h:99999",
        "http://h/\x7f",
        "https://",
    };
    struct mr_error err;
    struct mr_check check = {.first = &err};
    struct influx_options waits = {.uri = (char[]){"http://h"},
                                   .database = (char[]){"db"},
                                   .wait_min_ms = 3,
                                   .wait_max_ms = 2};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        assert_int_equal(check_options(bad[i], NULL, NULL, &err), MR_ECONFIG);
        assert_memory_equal(err.text, "uri: ", 5);
        assert_null(strstr(err.text, "sesame"));
        assert_null(strstr(err.text, "ame@"));
    }
    assert_int_equal(check_options("http://h:65535/a/b/", NULL, NULL, &err), 0);
    assert_int_equal(check_options("http://h", NULL, NULL, &err), 0);
    assert_int_equal(check_options("HTTPS://[::1]:8086/x@y", "u", "sesame", &err), 0);
    assert_int_equal(check_options("http://h", NULL, "sesame", &err), MR_ECONFIG);
    assert_null(strstr(err.text, "sesame"));
    influx_options_check(&waits, &check);
    assert_int_equal(check.count, 1);
    assert_memory_equal(err.text, "wait.min: ", 10);
}

static void expect_destination(const char *database, const char *org, const char *bucket,
                               const char *token, const char *key)
{
    struct mr_error err = {.text = ""};
    struct influx_options options = {.uri = (char[]){"http://h"},
                                     .database = (char *)(uintptr_t)database,
                                     .org = (char *)(uintptr_t)org,
                                     .bucket = (char *)(uintptr_t)bucket,
                                     .token = (char *)(uintptr_t)token};
    struct mr_check check = {.first = &err};
    influx_options_check(&options, &check);
    assert_int_equal(check.count, key != NULL);
    if (key != NULL) {
        assert_memory_equal(err.text, key, strlen(key));
        assert_null(strstr(err.text, "sesame"));
    }
}

static void one_api_is_chosen_by_the_options(void **state)
{
    (void)state;
    expect_destination("db", NULL, NULL, NULL, NULL);
    expect_destination(NULL, "o", "b", "sesame", NULL);
    expect_destination(NULL, NULL, NULL, NULL, "database: missing");
    expect_destination("db", "o", "b", "sesame", "database: given together");
    expect_destination("db", NULL, NULL, "sesame", "database: given together");
    expect_destination(NULL, NULL, "b", "sesame", "org: missing");
    expect_destination(NULL, "o", NULL, "sesame", "bucket: missing");
    expect_destination(NULL, "o", "b", NULL, "token: missing");
    expect_destination(NULL, "o", "b", "sesame\r\nX: y", "token: ");
}

static void expect_words(const char *body, const char *expected)
{
    struct mr_buf out;
    buf_init(&out, 1 << 16);
    (void)buf_add_str(&out, "x");
    influx_words(mr_slice_of(body), &out);
    assert_int_equal(out.len, strlen(expected) + 1);
    assert_memory_equal(out.ptr + 1, expected, out.len - 1);
    buf_done(&out);
}

static void the_servers_words_are_found(void **state)
{
    char large[1000];
    char expected[INFLUX_WORDS_BYTES_MAX + 1];
    (void)state;
    expect_words("{\"error\":\"database not found: \\\"nope\\\"\"}\n",
                 "database not found: \"nope\"");
    expect_words("{\"code\":\"x\",\"a\":{\"error\":\"no\"},\"error\":\"unable\\nto\"}",
                 "unable to");
    expect_words("404 page not found\n", "404 page not found");
    expect_words("", "");
    expect_words("\x1f\x8b\x08 \xc3\xa9 \x1b[31m\x7f", " ?  \xc3\xa9  [31m ");
    expect_words("{\"error\":1}", "{\"error\":1}");
    expect_words("{\"error\":\"cut", "{\"error\":\"cut");
    memset(large, 'e', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    memset(expected, 'e', sizeof expected - 1);
    expected[sizeof expected - 1] = '\0';
    expect_words(large, expected);
}

/* After a 413 requests are half of that one; each stored one lets the next grow by a part, up to
 * request.bytes again. */
static void requests_are_smaller_after_a_413_and_grow_again(void **state)
{
    struct influx_options options = {.request_bytes_max = 1 << 20};
    struct salvage_unit units[] = {{.len = 300000}, {.len = 300000}};
    struct job_tools tools;
    struct job *job;
    size_t before;
    unsigned stored = 0;
    (void)state;
    assert_int_equal(job_tools_init(&tools, &options, NULL), 0);
    job = job_new(&tools, NULL);
    assert_non_null(job);
    assert_int_equal(tools.bytes_max, 1 << 20);
    job->units = units;
    job->unit_count = 1;
    job_tools_too_large(&tools, job); /* alone it is dead, and says nothing of the others */
    assert_int_equal(tools.bytes_max, 1 << 20);
    job->unit_count = 2;
    job_tools_too_large(&tools, job);
    assert_int_equal(tools.bytes_max, 300000);
    job->units = NULL;
    job->unit_count = 0;
    for (; tools.bytes_max < 1 << 20 && stored < 1000; stored++) {
        before = tools.bytes_max;
        job_stored(job);
        assert_true(tools.bytes_max > before && tools.bytes_max <= before + before / 50);
    }
    assert_int_equal(tools.bytes_max, 1 << 20);
    assert_in_range(stored, 50, 200);
    job_stored(job);
    assert_int_equal(tools.bytes_max, 1 << 20);
    job_free(job);
    job_tools_done(&tools);
    metrics_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_compressor_serves_many_bodies),
        cmocka_unit_test(compression_without_memory_fails),
        cmocka_unit_test(the_url_is_built_from_the_uri),
        cmocka_unit_test(the_url_of_2_x_names_org_and_bucket),
        cmocka_unit_test(writes_are_compressed_unless_the_server_is_here),
        cmocka_unit_test(one_api_is_chosen_by_the_options),
        cmocka_unit_test(only_influxdbs_own_refusals_are_about_the_points),
        cmocka_unit_test(bad_options_are_named_and_secrets_are_not),
        cmocka_unit_test(the_servers_words_are_found),
        cmocka_unit_test(requests_are_smaller_after_a_413_and_grow_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
