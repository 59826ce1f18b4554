// SPDX-License-Identifier: Apache-2.0
/* Authorization: Basic, RFC 7617. The headers are written by Python's base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/basic_credentials.h"

static void assert_parsed(const char *header, const char *device, const char *application,
                          const char *password)
{
    struct basic_credentials credentials;
    struct mr_error err = {0};
    if (basic_parse(mr_slice_of(header), &credentials, &err) != 0) {
        fail_msg("%s: %s", header, err.text);
    }
    assert_true(mr_slice_is(credentials.device, mr_slice_of(device)));
    assert_true(mr_slice_is(credentials.application, mr_slice_of(application)));
    assert_true(mr_slice_is(credentials.password, mr_slice_of(password)));
}

static void test_what_a_header_says(void **state)
{
    (void)state;
    /* The examples of RFC 7617 2 and 2.1. */
    assert_parsed("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "default", "open sesame");
    assert_parsed("Basic dGVzdDoxMjPCow==", "test", "default", "123\xc2\xa3");
    assert_parsed("bAsIc   c2Vuc29yLTFAZmFybTpzZXNhbWU=", "sensor-1", "farm", "sesame");
    /* a@b@farm:x:y@z */
    assert_parsed("Basic YUBiQGZhcm06eDp5QHo=", "a@b", "farm", "x:y@z");
    assert_parsed("Basic ZDo=", "d", "default", "");               /* d: */
    assert_parsed("Basic ZCUyMGUlNDBAYTpw", "d%20e%40", "a", "p"); /* d%20e%40@a:p */
    assert_parsed("Basic 5Zw6cA==", "\xe5\x9c", "default", "p");   /* no UTF-8: a name of nobody */
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *header;
        const char *text;
    } cases[] = {
        {"", "scheme"},
        {"Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "scheme"},
        {"Basically QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "scheme"},
        {"Basic\tQWxhZGRpbjpvcGVuIHNlc2FtZQ==", "scheme"},
        {"Basic", "user:password"},
        {"Basic ", "user:password"},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "base64"},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", "base64"},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== ", "base64"},
        {"Basic QWxh ZGRpbjpvcGVuIHNlc2FtZQ==", "base64"},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Basic QQ==", "base64"},
        {"Basic QWxhZGRpbg==", "user:password"},  /* Aladdin */
        {"Basic ZABlOnA=", "control"},            /* d NUL e:p */
        {"Basic ZDpwAHE=", "control"},            /* d:p NUL q */
        {"Basic ZDpwCg==", "control"},            /* d:p LF */
        {"Basic ZDpwfw==", "control"},            /* d:p DEL */
        {"Basic OnA=", "device@application"},     /* :p */
        {"Basic QGE6cA==", "device@application"}, /* @a:p */
        {"Basic ZEA6cA==", "device@application"}, /* d@:p */
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct basic_credentials credentials;
        struct mr_error err = {0};
        if (basic_parse(mr_slice_of(cases[i].header), &credentials, &err) != MR_EFORMAT ||
            strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%s': %s", cases[i].header, err.text);
        }
    }
}

/* "YWFh" is aaa. */
static void assert_long(size_t as, const char *end, int expected)
{
    static char header[16 * 1024];
    struct basic_credentials credentials;
    size_t len = 6;
    memcpy(header, "Basic ", 6);
    for (size_t i = 0; i < as / 3; i++, len += 4) {
        memcpy(header + len, "YWFh", 4);
    }
    memcpy(header + len, end, strlen(end));
    assert_int_equal(basic_parse(mr_slice(header, len + strlen(end)), &credentials, NULL),
                     expected);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_long(1023, "OnA=", 0); /* :p */
    assert_long(1026, "OnA=", MR_EFORMAT);
    assert_long(6000, "OnA=", MR_EFORMAT);
    assert_long(6000, "", MR_EFORMAT);
}

static void test_a_password_has_the_length_that_crypt_takes(void **state)
{
    static char header[1024] = "Basic ZDpw"; /* d:p */
    struct basic_credentials credentials;
    size_t len = 10;
    (void)state;
    for (int i = 0; i < 170; i++, len += 4) {
        memcpy(header + len, "YWFh", 4);
    }
    assert_int_equal(basic_parse(mr_slice(header, len), &credentials, NULL), 0);
    assert_int_equal(credentials.password.len, 511);
    memcpy(header + len, "YQ==", 4); /* a */
    assert_int_equal(basic_parse(mr_slice(header, len + 4), &credentials, NULL), MR_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_header_says),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_password_has_the_length_that_crypt_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
