// SPDX-License-Identifier: Apache-2.0
/* Subjects as RFC 4514 writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/certificate_names.h"

/* NULL: absent. */
static void assert_name(const char *subject, const char *type, const char *expected)
{
    char to[512];
    struct mr_slice value;
    struct mr_error err = {0};
    assert_true(strlen(subject) < sizeof to);
    if (certificate_name(mr_slice_of(subject), mr_slice_of(type), to, &value, &err) != 0) {
        fail_msg("%s: %s", subject, err.text);
    }
    if (!mr_slice_is(value, mr_slice_of(expected)) || (value.ptr == NULL) != (expected == NULL)) {
        fail_msg("%s: %.*s", subject, MR_SLICE_ARG(value));
    }
}

static void test_attributes_are_found(void **state)
{
    (void)state;
    assert_name("CN=sensor-1,O=farm", "CN", "sensor-1");
    assert_name("CN=sensor-1,O=farm", "O", "farm");
    assert_name("CN=sensor-1,O=farm", "cn", "sensor-1");
    assert_name("cn=sensor-1", "CN", "sensor-1");
    assert_name("CN=sensor-1,O=farm", "OU", NULL);
    assert_name("", "CN", NULL);
    /* The examples of RFC 4514 4. */
    assert_name("UID=jsmith,DC=example,DC=net", "uid", "jsmith");
    assert_name("OU=Sales+CN=J.  Smith,DC=example,DC=net", "CN", "J.  Smith");
    assert_name("OU=Sales+CN=J.  Smith,DC=example,DC=net", "OU", "Sales");
    assert_name("CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net", "CN",
                "James \"Jim\" Smith, III");
    assert_name("CN=Lu\\C4\\8Di\\C4\\87", "CN", "Lu\xc4\x8di\xc4\x87");
    assert_name("1.3.6.1.4.1.1466.0=#04024869,CN=x", "CN", "x");
    assert_name("CN=a,serialNumber=7,2.5.4.5=9", "2.5.4.5", "9");
    /* 2.4: a space or # at the beginning, a space at the end, and what else is special. */
    assert_name("CN=\\ a\\#\\+\\;\\<\\>\\=\\\\\\ ", "CN", " a#+;<>=\\ ");
    assert_name("CN=\\#a#b=c", "CN", "#a#b=c");
    assert_name("CN=\\20a\\20", "CN", " a ");
    assert_name("CN=,O=x", "O", "x"); /* an empty value of another */
}

static void test_what_gives_no_name(void **state)
{
    static const char *const subjects[] = {
        "CN=a,CN=b", "CN=a+cn=b", "CN=#04024869", "CN=",        "CN",       "=a",
        "CN=a,",     "CN=a+",     ",CN=a",        "CN=a,,O=b",  "CN= a",    "CN=a ",
        "CN=a ,O=b", "CN=a\\",    "CN=a\\x",      "CN=a\\4",    "CN=a\\4x", "CN=a\"b",
        "CN=a;O=b",  "CN=a<b",    "CN=a\\00b",    "CN=a\\0Ab",  "CN=\\FF",  "CN=a\\C2",
        " CN=a",     "CN =a",     "C_N=a",        "1.=a",       "1..2=a",   "2=a",
        "CN=a,O=#",  "CN=a,O=#0", "CN=a,O=#0g",   "CN=a,1CN=b",
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(subjects); i++) {
        char to[64];
        struct mr_slice value;
        if (certificate_name(mr_slice_of(subjects[i]), MR_SLICE("CN"), to, &value, NULL) !=
            MR_EFORMAT) {
            fail_msg("%s", subjects[i]);
        }
    }
}

static void test_a_nul_byte_is_refused(void **state)
{
    char to[16];
    struct mr_slice value;
    (void)state;
    assert_int_equal(certificate_name(mr_slice("CN=a\0b", 6), MR_SLICE("CN"), to, &value, NULL),
                     MR_EFORMAT);
}

static void test_types(void **state)
{
    static const char *const right[] = {"CN", "O", "x-1", "2.5.4.3", "0.9.2342"};
    static const char *const wrong[] = {"", "1", "-a", "a b", "1.", ".1", "1.a", "a.1", "CN="};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(right); i++) {
        assert_true(certificate_is_type(mr_slice_of(right[i])));
    }
    for (size_t i = 0; i < MR_COUNT_OF(wrong); i++) {
        assert_false(certificate_is_type(mr_slice_of(wrong[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes_are_found),
        cmocka_unit_test(test_what_gives_no_name),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
