// SPDX-License-Identifier: Apache-2.0
/* The server's end against OpenSSL's client, in memory: bytes in any pieces, ends, forged bytes,
 * and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/heap.h"
#include "lib/tls_pair.h"

enum { BIG = 300 * 1000 };

static void test_both_ways_in_pieces_of_any_size(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t pieces[] = {1, 2, 7, 1000, SIZE_MAX};
    static char big[BIG];
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    for (size_t i = 0; i < MR_COUNT_OF(versions) * MR_COUNT_OF(pieces); i++) {
        struct tls_pair pair;
        pair_make(&pair, f->context, versions[i % MR_COUNT_OF(versions)]);
        pair.piece = pieces[i / MR_COUNT_OF(versions)];
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_HANDSHAKING);
        assert_int_equal(pair_shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_COMPLETED);
        assert_null(tls_stream_subject(pair.stream).ptr);
        pair_client_writes(&pair, "hello", 5);
        pair_client_writes(&pair, big, BIG);
        pair_carry_to_server(f, &pair);
        assert_int_equal(pair.got.len, BIG + 5);
        assert_memory_equal(pair.got.ptr, "hello", 5);
        assert_memory_equal(pair.got.ptr + 5, big, BIG);
        assert_false(tls_stream_is_midway(pair.stream));
        assert_int_equal(tls_stream_write(pair.stream, big, BIG), 0);
        assert_int_equal(tls_stream_write(pair.stream, "", 0), 0);
        pair_carry_to_client(&pair);
        pair_client_reads(&pair, big, BIG);
        pair_done(&pair);
    }
}

/* RFC 8446 6.1: each side ends its own; the other may go on. */
static void test_close_notify_both_ways(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        struct tls_pair pair;
        char byte;
        pair_make(&pair, f->context, versions[i]);
        assert_int_equal(pair_shake_hands(f, &pair), 1);
        pair_client_writes(&pair, "last", 4);
        assert_int_equal(SSL_shutdown(pair.client), 0);
        pair_carry_to_server(f, &pair);
        assert_int_equal(pair.got.len, 4);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_ENDED);
        pair_feed(f, &pair, "whatever", 8);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_ENDED);
        assert_int_equal(tls_stream_write(pair.stream, "answer", 6), 0);
        tls_stream_end(pair.stream);
        tls_stream_end(pair.stream);
        assert_int_equal(tls_stream_write(pair.stream, "x", 1), MR_ECLOSED);
        pair_carry_to_client(&pair);
        pair_client_reads(&pair, "answer", 6);
        assert_int_equal(SSL_read(pair.client, &byte, 1), 0);
        assert_int_equal(SSL_get_error(pair.client, 0), SSL_ERROR_ZERO_RETURN);
        pair_done(&pair);
    }
}

static void test_ending_during_the_handshake_says_nothing(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_stream *stream = tls_stream_new(f->context);
    tls_stream_end(stream);
    assert_int_equal(tls_stream_out(stream)->len, 0);
    tls_stream_free(stream);
}

/* A record that is half here takes memory, one that is whole none. */
static void test_a_record_that_does_not_end(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    char *bytes;
    size_t len;
    pair_make(&pair, f->context, TLS1_3_VERSION);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    pair_client_writes(&pair, "hello", 5);
    len = (size_t)BIO_get_mem_data(pair.from_client, &bytes);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(tls_stream_is_midway(pair.stream), i > 0);
        assert_int_equal(pair.got.len, 0);
        pair_feed(f, &pair, bytes + i, 1);
    }
    assert_int_equal(pair.got.len, 5);
    assert_false(tls_stream_is_midway(pair.stream));
    pair_done(&pair);
}

/* One byte differs at each place of a record: nothing comes of it but an alert. */
static void test_forged_records(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        for (size_t at = 0;; at++) {
            struct tls_pair pair;
            char *bytes;
            size_t len;
            pair_make(&pair, f->context, versions[i]);
            assert_int_equal(pair_shake_hands(f, &pair), 1);
            pair_client_writes(&pair, "hello", 5);
            len = (size_t)BIO_get_mem_data(pair.from_client, &bytes);
            if (at == len) {
                pair_done(&pair);
                break;
            }
            bytes[at] ^= 0x10;
            pair_feed(f, &pair, bytes, len);
            assert_int_equal(pair.got.len, 0);
            if (tls_stream_state(pair.stream) == TLS_STREAM_FAILED) {
                assert_true(tls_stream_out(pair.stream)->len > 0);
                assert_int_equal(tls_stream_write(pair.stream, "x", 1), MR_ECLOSED);
                assert_true(strlen(tls_stream_reason(pair.stream)) > 0);
                assert_int_equal(tls_stream_outcome(pair.stream), TLS_COMPLETED);
            } else { /* its length: it waits for more */
                assert_true(at == 3 || at == 4);
                assert_true(tls_stream_is_midway(pair.stream));
            }
            pair_done(&pair);
        }
    }
}

static void test_what_is_no_tls(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum tls_outcome outcome;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, TLS_PLAINTEXT},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18, TLS_ERROR},
        {"\x16\x03\x01\xff\xff\x01\0\0\0\0\0\0", 12, TLS_ERROR},     /* longer than a record is */
        {"\x16\x03\x01\0\x04\x01\xff\xff\xff\0\0\0", 12, TLS_ERROR}, /* a hello of 16 MiB */
        {"\x17\x03\x03\0\x01\0", 6, TLS_ERROR},                      /* data before the handshake */
    };
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct tls_pair pair;
        pair_make(&pair, f->context, TLS1_3_VERSION);
        pair_feed(f, &pair, cases[i].bytes, cases[i].len);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
        assert_int_equal(tls_stream_outcome(pair.stream), cases[i].outcome);
        pair_feed(f, &pair, "more", 4);
        assert_int_equal(pair.got.len, 0);
        pair_done(&pair);
    }
}

/* Our own memory; the peer's view is a connection that ends. */
static void test_out_of_memory(void **state)
{
    struct tls_fixture *f = *state;
    for (unsigned n = 1;; n++) {
        struct tls_pair pair;
        bool is_made;
        heap_fail_at(n);
        pair.stream = tls_stream_new(f->optional);
        is_made = pair.stream != NULL;
        tls_stream_free(pair.stream);
        if (is_made) {
            heap_fail_at(0);
            pair_make(&pair, f->optional, TLS1_3_VERSION);
            pair_show_certificate(&pair, &f->client);
            heap_fail_at(n);
            (void)pair_shake_hands(f, &pair);
            if (tls_stream_state(pair.stream) == TLS_STREAM_OPEN &&
                tls_stream_write(pair.stream, "hello", 5) == 0) {
                pair_carry_to_client(&pair);
            } else {
                assert_true(heap_failed());
                assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
            }
            pair_done(&pair);
        }
        if (!heap_failed()) {
            break;
        }
    }
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

/* OpenSSL's memory: the n-th allocation of what it does for us fails. */
static unsigned openssl_left;
static bool openssl_failed;

static void *openssl_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (openssl_left > 0 && --openssl_left == 0) {
        openssl_failed = true;
        return NULL;
    }
    return malloc(bytes);
}

static void *openssl_realloc(void *ptr, size_t bytes, const char *file, int line)
{
    if (ptr == NULL) {
        return openssl_malloc(bytes, file, line);
    }
    if (openssl_left > 0 && --openssl_left == 0) {
        openssl_failed = true;
        return NULL;
    }
    return realloc(ptr, bytes);
}

static void openssl_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/* The server's steps alone; the client's memory doesn't fail. Returns whether all went well. */
static bool serve(struct tls_fixture *f, struct tls_pair *pair, unsigned n)
{
    char *bytes;
    size_t len;
    bool is_fine = true;
    for (int i = 0; i < 4 && is_fine; i++) {
        (void)SSL_do_handshake(pair->client);
        ERR_clear_error();
        len = (size_t)BIO_get_mem_data(pair->from_client, &bytes);
        openssl_left = n;
        (void)tls_stream_feed(pair->stream, bytes, len, f->plain);
        n = openssl_left;
        openssl_left = 0;
        (void)BIO_reset(pair->from_client);
        pair_carry_to_client(pair);
        is_fine = tls_stream_state(pair->stream) != TLS_STREAM_FAILED;
    }
    if (is_fine && tls_stream_state(pair->stream) == TLS_STREAM_OPEN) {
        openssl_left = n;
        is_fine = tls_stream_write(pair->stream, "hello", 5) == 0;
        tls_stream_end(pair->stream);
        openssl_left = 0;
    }
    assert_int_equal(ERR_peek_error(), 0);
    return is_fine && tls_stream_state(pair->stream) == TLS_STREAM_OPEN;
}

static void test_openssl_out_of_memory(void **state)
{
    struct tls_fixture *f = *state;
    unsigned broken = 0;
    unsigned n = 0;
    do {
        struct tls_pair pair;
        openssl_failed = false;
        pair_make(&pair, f->optional, TLS1_3_VERSION);
        pair_show_certificate(&pair, &f->client);
        n += n < 200 ? 1 : 7; /* each of the first, then some of thousands */
        broken += !serve(f, &pair, n);
        pair_done(&pair);
    } while (openssl_failed);
    assert_true(n > 1000 && broken > 50);
    for (n = 1;; n++) {
        struct tls_stream *stream;
        openssl_failed = false;
        openssl_left = n;
        stream = tls_stream_new(f->optional);
        openssl_left = 0;
        assert_int_equal(ERR_peek_error(), 0);
        tls_stream_free(stream);
        if (!openssl_failed) {
            assert_non_null(stream);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_in_pieces_of_any_size),
        cmocka_unit_test(test_close_notify_both_ways),
        cmocka_unit_test(test_ending_during_the_handshake_says_nothing),
        cmocka_unit_test(test_a_record_that_does_not_end),
        cmocka_unit_test(test_forged_records),
        cmocka_unit_test(test_what_is_no_tls),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_openssl_out_of_memory),
    };
    /* Before OpenSSL has any. */
    assert_int_equal(CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free), 1);
    return cmocka_run_group_tests(tests, tls_fixture_make, tls_fixture_done);
}
