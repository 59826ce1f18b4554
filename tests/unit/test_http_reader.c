// SPDX-License-Identifier: Apache-2.0
/* Expected values come from RFC 9112 and RFC 9110 (sections named at the cases). Every case is fed
 * whole, byte by byte, and in two pieces cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/heap.h"
#include "lib/http_attacks.h"
#include "lib/http_bytes.h"
#include "net/http_reader.h"

static const struct http_limits limits = {.head_bytes_max = HTTP_ATTACK_HEAD_MAX,
                                          .body_bytes_max = HTTP_ATTACK_BODY_MAX,
                                          .length_required = true};

/* Feed all of `text`, cut before each multiple of `piece` and at `cut`; returns the bytes taken. */
static size_t feed_cut(struct http_reader *reader, struct mr_slice text, size_t piece, size_t cut)
{
    size_t at = 0;
    while (at < text.len) {
        size_t end = at + piece < text.len ? at + piece : text.len;
        size_t taken;
        if (at < cut && end > cut) {
            end = cut;
        }
        /* Exactly sized, so that a read past the piece is seen by the sanitizer. */
        char *exact = malloc(end - at);
        assert_non_null(exact);
        memcpy(exact, text.ptr + at, end - at);
        taken = http_reader_feed(reader, exact, end - at);
        free(exact);
        at += taken;
        if (at < end) {
            break;
        }
    }
    return at;
}

static void assert_same_slice(struct mr_slice a, struct mr_slice b)
{
    assert_int_equal(a.len, b.len);
    assert_true(mr_slice_is(a, b));
}

static void assert_same(const struct http_reader *a, const struct http_reader *b)
{
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->header_count, b->header_count);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_int_equal(a->expect_continue, b->expect_continue);
    assert_same_slice(buf_slice(&a->head), buf_slice(&b->head));
    assert_same_slice(http_reader_body(a), http_reader_body(b));
    if (a->state == HTTP_READER_REFUSED) {
        assert_string_equal(a->reason, b->reason);
    } else {
        assert_same_slice(http_reader_path(a), http_reader_path(b));
        assert_same_slice(http_reader_query(a), http_reader_query(b));
    }
}

/* Returns the bytes taken; `reader` is fresh and holds the outcome. */
static size_t feed_every_way(struct http_reader *reader, const struct http_limits *with,
                             struct mr_slice text)
{
    size_t taken;
    http_reader_init(reader, with);
    taken = feed_cut(reader, text, text.len, text.len);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct http_reader other;
        http_reader_init(&other, with);
        assert_int_equal(feed_cut(&other, text, cut == 0 ? 1 : text.len, cut), taken);
        assert_same(reader, &other);
        http_reader_done(&other);
    }
    return taken;
}

static void accept_request(struct http_reader *reader, struct mr_slice text)
{
    size_t taken = feed_every_way(reader, &limits, text);
    if (reader->state != HTTP_READER_COMPLETE) {
        fail_msg("%.*s: %d %s", MR_SLICE_ARG(text), reader->status,
                 reader->reason != NULL ? reader->reason : "not complete");
    }
    assert_int_equal(taken, text.len);
}

static void refuse_text(const struct http_limits *with, struct mr_slice text, int status)
{
    struct http_reader reader;
    (void)feed_every_way(&reader, with, text);
    if (reader.state != HTTP_READER_REFUSED || reader.status != status) {
        fail_msg("%.*s: state %d, status %d (%s), expected %d", MR_SLICE_ARG(text), reader.state,
                 reader.status, reader.reason != NULL ? reader.reason : "", status);
    }
    assert_non_null(reader.reason);
    assert_int_equal(http_reader_feed(&reader, "x", 1), 0);
    http_reader_done(&reader);
}

static void test_the_example_of_rfc_9112(void **state)
{
    /* RFC 9112 2.1 and 3.2.1, with the fields of RFC 9110's first example. */
    struct http_reader reader;
    unsigned count;
    (void)state;
    accept_request(&reader, MR_SLICE("GET /where?q=now HTTP/1.1\r\n"
                                     "User-Agent: curl/7.64.1\r\n"
                                     "Host: www.example.org\r\n"
                                     "Accept-Language: \t en, mi \t\r\n"
                                     "\r\n"));
    assert_same_slice(http_reader_method(&reader), MR_SLICE("GET"));
    assert_same_slice(http_reader_path(&reader), MR_SLICE("/where"));
    assert_same_slice(http_reader_query(&reader), MR_SLICE("q=now"));
    assert_same_slice(http_reader_header(&reader, "HOST", &count), MR_SLICE("www.example.org"));
    assert_int_equal(count, 1);
    assert_same_slice(http_reader_header(&reader, "accept-language", NULL), MR_SLICE("en, mi"));
    assert_null(http_reader_header(&reader, "accept", &count).ptr);
    assert_int_equal(count, 0);
    assert_int_equal(http_reader_body(&reader).len, 0);
    assert_true(reader.keep_alive);
    assert_false(reader.expect_continue);
    http_reader_done(&reader);
}

static void test_a_chunked_body_is_joined(void **state)
{
    /* RFC 9112 7.1: sizes in either case, leading zeros, extensions, trailers. */
    struct http_reader reader;
    (void)state;
    accept_request(&reader, MR_SLICE("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n"
                                     "\r\n"
                                     "4\r\nWiki\r\n"
                                     "007;ext=\"a b\";more\r\npedia i\r\n"
                                     "B ; x\r\nn \r\nchunks.\r\n"
                                     "0;last\r\n"
                                     "Expires: never\r\nEmpty:\r\n"
                                     "\r\n"));
    assert_same_slice(http_reader_body(&reader), MR_SLICE("Wikipedia in \r\nchunks."));
    http_reader_done(&reader);
}

static void test_a_body_with_a_length_may_hold_any_bytes(void **state)
{
    struct http_reader reader;
    (void)state;
    accept_request(
        &reader,
        MR_SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0006\r\n\r\n\0\r\n\r\n\xff"));
    assert_same_slice(http_reader_body(&reader), MR_SLICE("\0\r\n\r\n\xff"));
    http_reader_done(&reader);
}

static void test_the_next_request_is_left_alone(void **state)
{
    struct http_reader reader;
    struct mr_slice two = MR_SLICE(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
        "\r\nGET /2?x HTTP/1.1\r\nHost: b\r\n\r\n");
    size_t taken;
    size_t more;
    (void)state;
    taken = feed_every_way(&reader, &limits, two);
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    assert_same_slice(http_reader_body(&reader), MR_SLICE("ab"));
    http_reader_reset(&reader);
    more = http_reader_feed(&reader, two.ptr + taken, two.len - taken);
    assert_int_equal(taken + more, two.len);
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    assert_same_slice(http_reader_path(&reader), MR_SLICE("/2"));
    assert_same_slice(http_reader_query(&reader), MR_SLICE("x"));
    assert_int_equal(http_reader_body(&reader).len, 0);
    assert_int_equal(reader.header_count, 1);
    http_reader_done(&reader);
}

struct target {
    const char *target; /* also the method's and version's place */
    const char *path;
    const char *query; /* NULL: absent */
};

static void test_targets(void **state)
{
    /* RFC 9112 3.2: origin-form, absolute-form, asterisk-form. */
    static const struct target targets[] = {
        {"GET /", "/", NULL},
        {"GET //x", "//x", NULL},
        {"GET /a?", "/a", ""},
        {"GET /a?b?c", "/a", "b?c"},
        {"GET /a%2Fb%", "/a%2Fb%", NULL},
        {"GET /-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@", NULL},
        {"GET http://www.example.org/pub/WWW/TheProject.html", "/pub/WWW/TheProject.html", NULL},
        {"GET http://h", "/", NULL},
        {"GET HTTPS://h:8443?q", "/", "q"},
        {"GET http://[::1]:80/x?y", "/x", "y"},
        {"GET http://[::ffff:1.2.3.4]/x", "/x", NULL},
        {"GET http://[v1.a:b]/x", "/x", NULL},
        {"GET http://%C3%A9.example/x", "/x", NULL},
        {"OPTIONS *", "*", NULL},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(targets); i++) {
        struct http_reader reader;
        char text[200];
        int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost:\r\n\r\n", targets[i].target);
        accept_request(&reader, mr_slice(text, (size_t)len));
        assert_same_slice(http_reader_path(&reader), mr_slice_of(targets[i].path));
        assert_same_slice(http_reader_query(&reader), mr_slice_of(targets[i].query));
        assert_int_equal(http_reader_query(&reader).ptr == NULL, targets[i].query == NULL);
        http_reader_done(&reader);
    }
}

/* RFC 9112 and RFC 9110: lib/http_attacks.c. */
static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP_ATTACK_SETS; i++) {
        const struct http_attack_set *set = &http_attack_sets[i];
        for (size_t j = 0; j < set->count; j++) {
            refuse_text(&limits, set->attacks[j].text, set->attacks[j].status);
        }
    }
}

/* lib/http_bytes.c says what must become of each. */
static void test_every_byte_in_every_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP_BYTE_PLACES; i++) {
        for (unsigned c = 0; c < 256; c++) {
            const struct http_byte_place *place = &http_byte_places[i];
            char text[HTTP_BYTES_TEXT];
            struct http_reader reader;
            int outcome;
            (void)feed_every_way(&reader, &limits,
                                 http_byte_request(place, (unsigned char)c, text));
            outcome = reader.state == HTTP_READER_REFUSED    ? reader.status
                      : reader.state == HTTP_READER_COMPLETE ? HTTP_BYTE_COMPLETE
                                                             : HTTP_BYTE_WAITS;
            if (outcome != place->expect((unsigned char)c)) {
                fail_msg("0x%02x in %s: %d, expected %d", c, place->name, outcome,
                         place->expect((unsigned char)c));
            }
            http_reader_done(&reader);
        }
    }
}

#define HEAD "POST / HTTP/1.1\r\nHost: a\r\n"

#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

static void test_an_incomplete_request_waits(void **state)
{
    struct mr_slice text = MR_SLICE(CHUNKED "5;x\r\nhello\r\n0\r\na: b\r\n\r\n");
    (void)state;
    for (size_t len = 0; len < text.len; len++) {
        struct http_reader reader;
        http_reader_init(&reader, &limits);
        assert_int_equal(http_reader_feed(&reader, text.ptr, len), len);
        assert_true(reader.state == HTTP_READER_HEAD || reader.state == HTTP_READER_BODY);
        http_reader_done(&reader);
    }
}

static void test_a_length_need_not_be_required(void **state)
{
    static const struct http_limits lenient = {.head_bytes_max = 200, .body_bytes_max = 10};
    struct http_reader reader;
    (void)state;
    (void)feed_every_way(&reader, &lenient, MR_SLICE("POST / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    assert_int_equal(http_reader_body(&reader).len, 0);
    http_reader_done(&reader);
    (void)feed_every_way(&reader, &limits, MR_SLICE("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    http_reader_done(&reader);
}

static void test_persistence(void **state)
{
    /* RFC 9112 9.3. */
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: ,close,\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", true}, /* RFC 9110 2.5: as 1.1 */
        {"GET / HTTP/1.9\r\nHost: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct http_reader reader;
        accept_request(&reader, mr_slice_of(cases[i].text));
        assert_int_equal(reader.keep_alive, cases[i].keep_alive);
        http_reader_done(&reader);
    }
}

static void test_expect_is_seen_before_the_body(void **state)
{
    struct http_reader reader;
    struct mr_slice head = MR_SLICE(HEAD "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    (void)state;
    http_reader_init(&reader, &limits);
    assert_int_equal(http_reader_feed(&reader, head.ptr, head.len), head.len);
    assert_int_equal(reader.state, HTTP_READER_BODY);
    assert_true(reader.expect_continue);
    http_reader_done(&reader);
    accept_request(&reader, MR_SLICE(HEAD "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"));
    assert_false(reader.expect_continue);
    http_reader_done(&reader);
    accept_request(&reader, MR_SLICE("POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
                                     "Content-Length: 1\r\n\r\nx"));
    assert_false(reader.expect_continue);
    http_reader_done(&reader);
}

static void test_the_head_limit_is_exact(void **state)
{
    struct mr_slice text = MR_SLICE("GET /12345 HTTP/1.1\r\nHost: abc\r\n\r\n");
    struct http_limits exact = {.head_bytes_max = text.len, .body_bytes_max = 0};
    struct http_reader reader;
    (void)state;
    assert_int_equal(feed_every_way(&reader, &exact, text), text.len);
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    http_reader_done(&reader);
    exact.head_bytes_max = text.len - 1;
    refuse_text(&exact, text, 431);
    exact.head_bytes_max = 22; /* the request line and one more */
    refuse_text(&exact, text, 431);
    exact.head_bytes_max = 20; /* one less */
    refuse_text(&exact, text, 414);
    exact.head_bytes_max = 1;
    refuse_text(&exact, text, 414);
}

static void test_the_body_limit_is_exact(void **state)
{
    struct http_limits four = {.head_bytes_max = 200, .body_bytes_max = 4};
    struct http_reader reader;
    (void)state;
    (void)feed_every_way(&reader, &four, MR_SLICE(HEAD "Content-Length: 4\r\n\r\nabcd"));
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    http_reader_done(&reader);
    (void)feed_every_way(&reader, &four, MR_SLICE(CHUNKED "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"));
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    assert_same_slice(http_reader_body(&reader), MR_SLICE("abcd"));
    http_reader_done(&reader);
    /* Refused at the end of the head: no byte of the body is read. */
    refuse_text(&four, MR_SLICE(HEAD "Content-Length: 5\r\n\r\n"), 413);
    refuse_text(&four, MR_SLICE(HEAD "Content-Length: 18446744073709551616\r\n\r\n"), 413);
    refuse_text(&four, MR_SLICE(CHUNKED "2\r\nab\r\n3\r"), 413);
    four.body_bytes_max = 0;
    refuse_text(&four, MR_SLICE(HEAD "Content-Length: 1\r\n\r\n"), 413);
    refuse_text(&four, MR_SLICE(CHUNKED "1\r"), 413);
}

static void test_header_lines_are_counted(void **state)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    struct http_reader reader;
    size_t len = strlen(text);
    (void)state;
    for (int i = 1; i < HTTP_HEADERS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "X%d: %d\r\n", i, i);
    }
    memcpy(text + len, "\r\n", 3);
    accept_request(&reader, mr_slice(text, len + 2));
    assert_int_equal(reader.header_count, HTTP_HEADERS_MAX);
    assert_same_slice(http_reader_header(&reader, "x63", NULL), MR_SLICE("63"));
    http_reader_done(&reader);
    memcpy(text + len, "Y: 1\r\n\r\n", 9);
    refuse_text(&limits, mr_slice(text, len + 8), 431);
}

static void test_what_adds_no_content_is_bounded(void **state)
{
    struct http_limits small = {.head_bytes_max = 100, .body_bytes_max = 1024};
    char text[4096];
    int len;
    (void)state;
    len = snprintf(text, sizeof text, "%s1;%0200d\r\n", CHUNKED, 0);
    refuse_text(&small, mr_slice(text, (size_t)len), 431);
    len = snprintf(text, sizeof text, "%s0\r\na: %0200d\r\n", CHUNKED, 0);
    refuse_text(&small, mr_slice(text, (size_t)len), 431);
    len = snprintf(text, sizeof text, "%s1%200s;x\r\n", CHUNKED, "");
    refuse_text(&small, mr_slice(text, (size_t)len), 431);
    len = snprintf(text, sizeof text, "%s", CHUNKED);
    for (int i = 0; i < 51; i++) { /* each chunk's extension counts */
        len += snprintf(text + len, sizeof text - (size_t)len, "1;e\r\nx\r\n");
    }
    refuse_text(&small, mr_slice(text, (size_t)len), 431);
}

static void test_a_length_claims_no_memory(void **state)
{
    struct http_limits large = {.head_bytes_max = 200, .body_bytes_max = (size_t)1 << 40};
    struct mr_slice head = MR_SLICE(HEAD "Content-Length: 1000000000000\r\n\r\nabc");
    struct http_reader reader;
    (void)state;
    http_reader_init(&reader, &large);
    assert_int_equal(http_reader_feed(&reader, head.ptr, head.len), head.len);
    assert_int_equal(reader.state, HTTP_READER_BODY);
    assert_in_range(reader.body.capacity, 3, 4096);
    http_reader_done(&reader);
}

static void test_a_reset_keeps_little_memory(void **state)
{
    struct http_limits large = {.head_bytes_max = 1 << 20, .body_bytes_max = 1 << 20};
    struct http_reader reader;
    char *text = malloc(400 * 1024);
    int len;
    (void)state;
    assert_non_null(text);
    len = snprintf(text, 400 * 1024, "%sContent-Length: 200000\r\nX: %0100000d\r\n\r\n%0200000d",
                   HEAD, 0, 0);
    http_reader_init(&reader, &large);
    assert_int_equal(http_reader_feed(&reader, text, (size_t)len), len);
    assert_int_equal(reader.state, HTTP_READER_COMPLETE);
    assert_int_equal(http_reader_body(&reader).len, 200000);
    http_reader_reset(&reader);
    assert_in_range(reader.head.capacity + reader.body.capacity, 0, 20 * 1024);
    free(text);
    http_reader_done(&reader);
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct mr_slice text = MR_SLICE(CHUNKED "5\r\nhello\r\n0\r\n\r\n");
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        struct http_reader reader;
        heap_fail_at(n);
        http_reader_init(&reader, &limits);
        (void)http_reader_feed(&reader, text.ptr, text.len);
        if (!heap_failed()) {
            assert_int_equal(reader.state, HTTP_READER_COMPLETE);
            http_reader_done(&reader);
            break;
        }
        assert_int_equal(reader.state, HTTP_READER_REFUSED);
        assert_int_equal(reader.status, 503);
        http_reader_done(&reader);
        assert_int_equal(heap_alive(), 0);
    }
    assert_true(n > 2); /* the head and the body have failed */
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_rfc_9112),
        cmocka_unit_test(test_a_chunked_body_is_joined),
        cmocka_unit_test(test_a_body_with_a_length_may_hold_any_bytes),
        cmocka_unit_test(test_the_next_request_is_left_alone),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_every_byte_in_every_place),
        cmocka_unit_test(test_an_incomplete_request_waits),
        cmocka_unit_test(test_a_length_need_not_be_required),
        cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_expect_is_seen_before_the_body),
        cmocka_unit_test(test_the_head_limit_is_exact),
        cmocka_unit_test(test_the_body_limit_is_exact),
        cmocka_unit_test(test_header_lines_are_counted),
        cmocka_unit_test(test_what_adds_no_content_is_bounded),
        cmocka_unit_test(test_a_length_claims_no_memory),
        cmocka_unit_test(test_a_reset_keeps_little_memory),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
