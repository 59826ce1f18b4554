// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include <millrace/event.h>

#include "event/check.h"
#include "kit/utf8.h"

enum { TEXT_BYTES = 20 };

/* Every slice is checked in an exactly sized heap block, so that a read past its end is seen by the
 * sanitizer. */
static bool checked(bool (*check)(struct mr_slice text), struct mr_slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    bool result;
    assert_non_null(copy);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    result = check(mr_slice(copy, text.len));
    free(copy);
    return result;
}

#define assert_accepts(check, literal)                                      \
    do {                                                                    \
        if (!checked(check, MR_SLICE(literal))) {                           \
            fail_msg("%s refused %s (line %d)", #check, literal, __LINE__); \
        }                                                                   \
    } while (0)
#define assert_refuses(check, literal)                                       \
    do {                                                                     \
        if (checked(check, MR_SLICE(literal))) {                             \
            fail_msg("%s accepted %s (line %d)", #check, literal, __LINE__); \
        }                                                                    \
    } while (0)

static void test_names(void **state)
{
    char longest[MR_EVENT_NAME_BYTES_MAX + 1];
    (void)state;
    assert_accepts(check_name, "a");
    assert_accepts(check_name, "0");
    assert_accepts(check_name, "specversion");
    assert_accepts(check_name, "comexampleextension1");
    assert_accepts(check_name, "data1");
    assert_refuses(check_name, "");
    assert_refuses(check_name, "data");
    assert_refuses(check_name, "data_base64");
    assert_refuses(check_name, "device_id");
    assert_refuses(check_name, "Time");
    assert_refuses(check_name, "a-b");
    assert_refuses(check_name, "a.b");
    assert_refuses(check_name, "a\0");
    assert_refuses(check_name, "\xC3\xA4");
    memset(longest, 'x', sizeof longest);
    assert_true(check_name(mr_slice(longest, sizeof longest - 1)));
    assert_false(check_name(mr_slice(longest, sizeof longest)));
}

/* RFC 3629 4, an independent transcription: every sequence of up to 4 bytes whose first two are
 * given completely and whose third and fourth take the values at the edges. */
static size_t rfc3629_length(const unsigned char *s, size_t len)
{
#define IN(i, low, high) (len > (i) && s[i] >= (low) && s[i] <= (high))
#define TAIL(i)          IN(i, 0x80, 0xBF)
    if (IN(0, 0x00, 0x7F)) {
        return 1;
    }
    if (IN(0, 0xC2, 0xDF) && TAIL(1)) {
        return 2;
    }
    if ((IN(0, 0xE0, 0xE0) && IN(1, 0xA0, 0xBF) && TAIL(2)) ||
        (IN(0, 0xE1, 0xEC) && TAIL(1) && TAIL(2)) ||
        (IN(0, 0xED, 0xED) && IN(1, 0x80, 0x9F) && TAIL(2)) ||
        (IN(0, 0xEE, 0xEF) && TAIL(1) && TAIL(2))) {
        return 3;
    }
    if ((IN(0, 0xF0, 0xF0) && IN(1, 0x90, 0xBF) && TAIL(2) && TAIL(3)) ||
        (IN(0, 0xF1, 0xF3) && TAIL(1) && TAIL(2) && TAIL(3)) ||
        (IN(0, 0xF4, 0xF4) && IN(1, 0x80, 0x8F) && TAIL(2) && TAIL(3))) {
        return 4;
    }
    return 0;
#undef TAIL
#undef IN
}

static void test_every_utf8_sequence_is_judged_as_rfc_3629_says(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF};
    (void)state;
    for (unsigned i = 0; i < 256 * 256 * sizeof edges * sizeof edges; i++) {
        unsigned char s[4] = {(unsigned char)(i & 255), (unsigned char)(i >> 8 & 255),
                              edges[(i >> 16) % sizeof edges], edges[(i >> 16) / sizeof edges]};
        for (size_t len = 1; len <= 4; len++) {
            const char *text = (const char *)s;
            size_t expected = rfc3629_length(s, len);
            assert_int_equal(utf8_sequence(text, len), expected);
            if (expected == len || expected == 0) {
                assert_int_equal(check_utf8(mr_slice(text, len)), expected == len);
            }
        }
    }
}

static void test_malformed_utf8_is_found_behind_ascii_of_any_length(void **state)
{
    (void)state;
    for (size_t before = 0; before < 40; before++) {
        for (size_t after = 0; after < 20; after++) {
            char text[80];
            memset(text, 'a', sizeof text);
            assert_true(check_utf8(mr_slice(text, before + 2 + after)));
            memcpy(text + before, "\xC3\xA4", 2);
            assert_true(checked(check_utf8, mr_slice(text, before + 2 + after)));
            assert_false(checked(check_utf8, mr_slice(text, before + 1)));
            text[before] = '\xC0'; /* overlong */
            assert_false(checked(check_utf8, mr_slice(text, before + 2 + after)));
            text[before] = 'a'; /* a tail without a head */
            assert_false(checked(check_utf8, mr_slice(text, before + 2 + after)));
        }
    }
}

static void test_utf8_classes(void **state)
{
    (void)state;
    assert_accepts(check_utf8, "");
    assert_true(check_utf8(mr_slice(NULL, 0)));
    /* RFC 3629 7, examples */
    assert_accepts(check_utf8, "A\xE2\x89\xA2\xCE\x91.");
    assert_accepts(check_utf8, "\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4");
    assert_accepts(check_utf8, "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E");
    assert_accepts(check_utf8, "\xEF\xBB\xBF\xF0\xA3\x8E\xB4");
    assert_accepts(check_utf8, "\xF4\x8F\xBF\xBF");
    assert_refuses(check_utf8, "\xC0\x80");                 /* overlong U+0000 */
    assert_refuses(check_utf8, "\xE0\x80\xAF");             /* overlong "/" */
    assert_refuses(check_utf8, "\xF0\x80\x80\xAF");         /* overlong "/" */
    assert_refuses(check_utf8, "\xED\xA0\x80");             /* U+D800 */
    assert_refuses(check_utf8, "\xED\xA1\x8C\xED\xBE\xB4"); /* CESU-8 pair, RFC 3629 10 */
    assert_refuses(check_utf8, "\xF4\x90\x80\x80");         /* U+110000 */
    assert_refuses(check_utf8, "\xF8\x88\x80\x80\x80");     /* 5 bytes */
    assert_refuses(check_utf8, "\xFE");
    assert_refuses(check_utf8, "\xFF");
    assert_refuses(check_utf8, "\x80");
    assert_refuses(check_utf8, "\xE2\x82"); /* cut */
}

/* CloudEvents 1.0.2, "Type System", String: every code point by its number. */
static void test_strings_exclude_exactly_what_cloudevents_disallows(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char s[4];
        size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        bool is_control = c <= 0x1F || (c >= 0x7F && c <= 0x9F);
        bool is_noncharacter = (c >= 0xFDD0 && c <= 0xFDEF) || c % 0x10000 >= 0xFFFE;
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        if (len == 1) {
            s[0] = (char)c;
        } else {
            for (size_t i = len - 1; i > 0; i--) {
                s[i] = (char)(0x80 | (c >> 6 * (len - 1 - i) & 0x3F));
            }
            s[0] = (char)((0xF00U >> len & 0xFF) | c >> 6 * (len - 1));
        }
        assert_int_equal(check_string(mr_slice(s, len)),
                         !is_control && !is_noncharacter && !is_surrogate);
    }
    for (size_t i = 0; i < 256 * TEXT_BYTES * TEXT_BYTES; i++) { /* each byte in each place */
        unsigned c = i % 256;
        size_t at = i / 256 % TEXT_BYTES;
        size_t len = i / 256 / TEXT_BYTES + 1;
        char text[TEXT_BYTES];
        memset(text, 'a', sizeof text);
        text[at] = (char)c;
        assert_int_equal(check_string(mr_slice(text, len)), (c >= 0x20 && c < 0x7F) || at >= len);
    }
    assert_accepts(check_string, "");
    assert_accepts(check_string, "mixed \xF0\x9F\x98\x80 text");
    assert_refuses(check_string, "cut \xF0\x9F\x98");
    assert_refuses(check_string, "a\0b");
}

/* RFC 3986 1.1.2, 5.4.1 and 5.4.2, 3 and 4. */
static const char *const absolute[] = {
    "ftp://ftp.is.co.za/rfc/rfc1808.txt",
    "http://www.ietf.org/rfc/rfc2396.txt",
    "ldap://[2001:db8::7]/c=GB?objectClass?one",
    "mailto:John.Doe@example.com",
    "news:comp.infosystems.www.servers.unix",
    "tel:+1-816-555-1212",
    "telnet://192.0.2.16:80/",
    "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
    "foo://example.com:8042/over/there?name=ferret#nose",
    "urn:example:animal:ferret:nose",
    "http://a/b/c/d;p?q",
    "g:h",
    "http:g",
    "file:///etc/passwd",
    "x:",
    "x://",
    "x://u@h:/",
    "http://user:pa%20ss@host:80/p?q#f",
    "http://[::]:80",
    "http://[v7.a:b]/",
    "http://[::ffff:192.0.2.1]/",
    "z39.50r+x-y://h",
    "a:b:c//d",
    "data:,a%2Cb",
    "http://h?x",
    "http://h#x",
    "http://h?/?:@",
};
static const char *const relative[] = {
    "g",
    "./g",
    "g/",
    "/g",
    "//g",
    "?y",
    "g?y",
    "#s",
    "g#s",
    "g?y#s",
    ";x",
    "g;x",
    "g;x?y#s",
    "",
    ".",
    "./",
    "..",
    "../",
    "../g",
    "../..",
    "../../",
    "../../g",
    "../../../g",
    "../../../../g",
    "/./g",
    "/../g",
    "g.",
    ".g",
    "g..",
    "..g",
    "./../g",
    "./g/.",
    "g/./h",
    "g/../h",
    "g;x=1/./y",
    "g;x=1/../y",
    "g?y/./x",
    "g?y/../x",
    "g#s/./x",
    "g#s/../x",
    "/application/device",
    "./a:b",
    "/a:b",
    "?a:b",
    "#a:b",
    "//h:80/a:b",
    "%41%aF",
};

static void test_uri_references_of_rfc_3986(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(absolute); i++) {
        if (!checked(check_uri_reference, mr_slice_of(absolute[i])) ||
            checked(check_absolute_uri, mr_slice_of(absolute[i])) !=
                (strchr(absolute[i], '#') == NULL)) { /* 4.3: no fragment */
            fail_msg("%s", absolute[i]);
        }
    }
    for (size_t i = 0; i < MR_COUNT_OF(relative); i++) {
        if (!checked(check_uri_reference, mr_slice_of(relative[i])) ||
            checked(check_absolute_uri, mr_slice_of(relative[i]))) {
            fail_msg("%s", relative[i]);
        }
    }
}

static void test_what_is_no_uri_reference(void **state)
{
    static const struct mr_slice bad[] = {
        MR_SLICE_INIT("a b"),
        MR_SLICE_INIT("\xC3\xA4"),
        MR_SLICE_INIT("a\0b"),
        MR_SLICE_INIT("%"),
        MR_SLICE_INIT("%4"),
        MR_SLICE_INIT("%4g"),
        MR_SLICE_INIT("%g4"),
        MR_SLICE_INIT("a%"),
        MR_SLICE_INIT("<x>"),
        MR_SLICE_INIT("a\"b"),
        MR_SLICE_INIT("a\\b"),
        MR_SLICE_INIT("a^b"),
        MR_SLICE_INIT("a`b"),
        MR_SLICE_INIT("{id}"),
        MR_SLICE_INIT("a|b"),
        MR_SLICE_INIT("\n"),
        MR_SLICE_INIT("\x7F"),
        MR_SLICE_INIT("a#b#c"),
        MR_SLICE_INIT("[x]"),
        MR_SLICE_INIT("a?[x]"),
        MR_SLICE_INIT(":"),
        MR_SLICE_INIT(":a"),
        MR_SLICE_INIT("1a:b"),
        MR_SLICE_INIT("a_b:c"),
        MR_SLICE_INIT("a%41:b"),
        MR_SLICE_INIT("+:x"),
        MR_SLICE_INIT("//h:8x/"),
        MR_SLICE_INIT("//h:80:80"),
        MR_SLICE_INIT("//a@b@c"),
        MR_SLICE_INIT("//[::1"),
        MR_SLICE_INIT("//[]"),
        MR_SLICE_INIT("//[1.2.3.4]"),
        MR_SLICE_INIT("//[::1]x"),
        MR_SLICE_INIT("//[::1%25eth0]"),
        MR_SLICE_INIT("//[v.x]"),
        MR_SLICE_INIT("//[vF.]"),
        MR_SLICE_INIT("//[vF]"),
        MR_SLICE_INIT("//[12345::]"),
        MR_SLICE_INIT("//[1:2:3:4:5:6:7:8:9]"),
        MR_SLICE_INIT("//x[::1]"),
        MR_SLICE_INIT("//["),
        MR_SLICE_INIT("//[1:2:3:4:5:6:7:8:1:2:3:4:5:6:7:8:1:2:3:4:5:6:7:8:1:2:3:4:5:6:7:8]"),
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        if (checked(check_uri_reference, bad[i]) || checked(check_absolute_uri, bad[i])) {
            fail_msg("accepted %.*s", MR_SLICE_ARG(bad[i]));
        }
    }
}

static void test_media_types(void **state)
{
    (void)state;
    assert_accepts(check_media_type, "text/plain");
    /* RFC 2046 4.1.2, 5.1.1; RFC 9110 8.3.1 */
    assert_accepts(check_media_type, "text/plain; charset=us-ascii");
    assert_accepts(check_media_type, "multipart/mixed; boundary=\"gc0pJq0M:08jU534c0p\"");
    assert_accepts(check_media_type, "text/html;charset=utf-8");
    assert_accepts(check_media_type, "Text/HTML;Charset=\"utf-8\"");
    assert_accepts(check_media_type, "text/html; charset=\"utf-8\"");
    assert_accepts(check_media_type, "application/cloudevents+json; charset=UTF-8");
    assert_accepts(check_media_type, "application/vnd.x.y-z+xml;a=b;c=d");
    assert_accepts(check_media_type, "a/b \t; \tc=\"d\\\"\\\\;\xC3\xA4\"");
    assert_accepts(check_media_type, "a/b;");
    assert_accepts(check_media_type, "a/b; ");
    assert_accepts(check_media_type, "a/b;;c=d");
    assert_accepts(check_media_type, "!#$%&'*+-.^_`|~09/!#$%&'*+-.^_`|~az");
    assert_accepts(check_media_type, "a/b;c=\"\"");
    assert_refuses(check_media_type, "");
    assert_refuses(check_media_type, "text");
    assert_refuses(check_media_type, "text/");
    assert_refuses(check_media_type, "/plain");
    assert_refuses(check_media_type, "text/plain/x");
    assert_refuses(check_media_type, "text /plain");
    assert_refuses(check_media_type, "text/ plain");
    assert_refuses(check_media_type, "text/plain ");
    assert_refuses(check_media_type, " text/plain");
    assert_refuses(check_media_type, "text/plain charset=x");
    assert_refuses(check_media_type, "text/plain; charset");
    assert_refuses(check_media_type, "text/plain; charset=");
    assert_refuses(check_media_type, "text/plain; =x");
    assert_refuses(check_media_type, "text/plain; charset =x");
    assert_refuses(check_media_type, "text/plain; charset= x");
    assert_refuses(check_media_type, "text/plain; charset=\"x");
    assert_refuses(check_media_type, "text/plain; charset=\"x\\");
    assert_refuses(check_media_type, "text/plain; charset=\"x\"y");
    assert_refuses(check_media_type, "text/plain; charset=\"\n\"");
    assert_refuses(check_media_type, "text/plain; charset=\"\\\x7F\"");
    assert_refuses(check_media_type, "text/pl\xC3\xA4in");
    assert_refuses(check_media_type, "text/plain\0");
    assert_refuses(check_media_type, "te(x)t/plain");
    assert_refuses(check_media_type, "*/*, a/b");
}

static void test_which_media_types_are_json(void **state)
{
    (void)state;
    assert_accepts(check_media_type_is_json, "application/json");
    assert_accepts(check_media_type_is_json, "text/json");
    assert_accepts(check_media_type_is_json, "Application/JSON; charset=utf-8");
    assert_accepts(check_media_type_is_json, "application/json;x=y");
    assert_accepts(check_media_type_is_json, "application/json\t;x=y");
    assert_accepts(check_media_type_is_json, "application/vnd.x+json");
    assert_accepts(check_media_type_is_json, "application/problem+Json ; a=b");
    assert_refuses(check_media_type_is_json, "application/jsonl");
    assert_refuses(check_media_type_is_json, "application/xjson");
    assert_refuses(check_media_type_is_json, "application/json+xml");
    assert_refuses(check_media_type_is_json, "application/json-seq");
    assert_refuses(check_media_type_is_json, "text/plain; a=\"/json\"");
    assert_refuses(check_media_type_is_json, "json");
    assert_refuses(check_media_type_is_json, "application/");
    assert_refuses(check_media_type_is_json, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_utf8_sequence_is_judged_as_rfc_3629_says),
        cmocka_unit_test(test_malformed_utf8_is_found_behind_ascii_of_any_length),
        cmocka_unit_test(test_utf8_classes),
        cmocka_unit_test(test_strings_exclude_exactly_what_cloudevents_disallows),
        cmocka_unit_test(test_uri_references_of_rfc_3986),
        cmocka_unit_test(test_what_is_no_uri_reference),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_which_media_types_are_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
