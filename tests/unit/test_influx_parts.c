// SPDX-License-Identifier: Apache-2.0
/* The small pure parts of millrace-influx: compression (zlib's own inflate reads it), the write
 * URL, the check of the options, InfluxDB's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/options.h"
#include "consumers/influx/gzip.h"
#include "consumers/influx/influx_answer.h"
#include "consumers/influx/influx_options.h"
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
    struct influx_options waits = {.uri = (char[]){"http://h"}, .wait_min_ms = 3, .wait_max_ms = 2};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_compressor_serves_many_bodies),
        cmocka_unit_test(compression_without_memory_fails),
        cmocka_unit_test(the_url_is_built_from_the_uri),
        cmocka_unit_test(bad_options_are_named_and_secrets_are_not),
        cmocka_unit_test(the_servers_words_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
