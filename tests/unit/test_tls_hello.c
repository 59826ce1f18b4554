// SPDX-License-Identifier: Apache-2.0
/* What a client announces in the clear, before OpenSSL makes room for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <millrace/macros.h>

#include "net/tls_hello.h"

enum { RECORD_MAX = 16384 };

/* RFC 8446 5.1 and 4: a record with the beginning of a message of `announced` bytes. */
static size_t put_record(char *to, int type, int message, size_t announced, size_t len)
{
    const unsigned char header[] = {(unsigned char)type,
                                    3,
                                    1,
                                    (unsigned char)(len >> 8),
                                    (unsigned char)len,
                                    (unsigned char)message,
                                    (unsigned char)(announced >> 16),
                                    (unsigned char)(announced >> 8),
                                    (unsigned char)announced};
    memset(to, 'x', 5 + len);
    memcpy(to, header, len < 4 ? 5 + len : sizeof header);
    return 5 + len;
}

/* The same in pieces of every size. */
static void check(const char *bytes, size_t len, bool is_1_3, enum tls_hello_verdict expected)
{
    static const size_t pieces[] = {1, 2, 5, 9, 1000, SIZE_MAX};
    for (size_t i = 0; i < MR_COUNT_OF(pieces); i++) {
        struct tls_hello hello = {0};
        enum tls_hello_verdict verdict = TLS_HELLO_GOOD;
        for (size_t at = 0; at < len && verdict == TLS_HELLO_GOOD;) {
            size_t piece = pieces[i] < len - at ? pieces[i] : len - at;
            verdict = tls_hello_see(&hello, is_1_3, bytes + at, piece);
            at += piece;
        }
        if (verdict != expected) {
            fail_msg("pieces of %zu: %d, expected %d", pieces[i], verdict, expected);
        }
    }
}

static void test_what_may_be_announced(void **state)
{
    static char bytes[5 + RECORD_MAX];
    static const struct {
        size_t announced;
        enum tls_hello_verdict expected;
    } cases[] = {{0, TLS_HELLO_GOOD},
                 {1800, TLS_HELLO_GOOD},
                 {TLS_HELLO_BYTES_MAX, TLS_HELLO_GOOD},
                 {TLS_HELLO_BYTES_MAX + 1, TLS_HELLO_TOO_LONG},
                 {131328, TLS_HELLO_TOO_LONG},
                 {0xffffff, TLS_HELLO_TOO_LONG}};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        check(bytes, put_record(bytes, 22, 1, cases[i].announced, 4), false, cases[i].expected);
        check(bytes, put_record(bytes, 22, 1, cases[i].announced, 4), true, cases[i].expected);
    }
}

static void test_what_is_malformed(void **state)
{
    static char bytes[64];
    size_t len;
    (void)state;
    for (size_t i = 0; i < 4; i++) { /* the message's header isn't whole */
        check(bytes, put_record(bytes, 22, 1, 10, i), false, TLS_HELLO_MALFORMED);
    }
    check("\x80\x2e\x01\x03\x03", 5, false, TLS_HELLO_MALFORMED); /* RFC 5246 E.2 */
    len = put_record(bytes, 22, 1, 4, 4 + 4 + 3);                 /* a second one's isn't */
    check(bytes, len, false, TLS_HELLO_MALFORMED);
}

/* RFC 8446 4.1.2, and 5 of the ChangeCipherSpec that may stand between the two. */
static void test_the_second_hello(void **state)
{
    static char bytes[1000];
    size_t len;
    size_t second;
    (void)state;
    for (int split = 0; split < 2; split++) {
        len = put_record(bytes, 22, 1, 200, split ? 104 : 204);
        if (split) { /* the first in two records */
            len += put_record(bytes + len, 22, 'x', 0, 100);
        }
        len += put_record(bytes + len, 20, 1, 0, 1);
        second = put_record(bytes + len, 22, 1, 131328, 4);
        check(bytes, len + second, true, TLS_HELLO_TOO_LONG);
        second = put_record(bytes + len, 22, 1, 100, 104);
        check(bytes, len + second, true, TLS_HELLO_GOOD);
    }
    len = put_record(bytes, 22, 1, 4, 12); /* in the first's record */
    memcpy(bytes + 13, "\x01\x02\x01\x00", 4);
    check(bytes, len, true, TLS_HELLO_TOO_LONG);
}

/* What is encrypted isn't a header; other messages are OpenSSL's to judge. */
static void test_what_is_not_looked_at(void **state)
{
    static char bytes[1000];
    size_t len = put_record(bytes, 22, 1, 100, 104);
    size_t more;
    (void)state;
    more = len + put_record(bytes + len, 20, 1, 0, 1);
    more += put_record(bytes + more, 22, 1, 0xffffff, 40); /* TLS 1.2's Finished, as it may be */
    check(bytes, more, false, TLS_HELLO_GOOD);
    more = len + put_record(bytes + len, 22, 16, 0xffffff, 40);
    more += put_record(bytes + more, 22, 1, 0xffffff, 40);
    check(bytes, more, false, TLS_HELLO_GOOD);
    more = len + put_record(bytes + len, 23, 1, 0xffffff, 40);
    check(bytes, more, true, TLS_HELLO_GOOD);
    check("GET / HTTP/1.1\r\n", 16, false, TLS_HELLO_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_be_announced),
        cmocka_unit_test(test_what_is_malformed),
        cmocka_unit_test(test_the_second_hello),
        cmocka_unit_test(test_what_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
