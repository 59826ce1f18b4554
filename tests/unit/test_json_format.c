// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include <millrace/event.h>

#include "event/format_json.h"
#include "lib/heap.h"

#define REQUIRED "\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"1\""

struct fixture {
    struct mr_event *event;
    struct mr_buf out;
    struct mr_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    f->event = mr_event_new();
    buf_init(&f->out, 1 << 20);
    *state = f;
    return f->event == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mr_event_free(f->event);
    buf_done(&f->out);
    free(f);
    return 0;
}

static void decode(struct fixture *f, const char *text)
{
    f->err.text[0] = '\0';
    if (event_json_decode(mr_slice_of(text), f->event, &f->err) != 0) {
        fail_msg("%s: %s", text, f->err.text);
    }
}

static void assert_refused(struct fixture *f, const char *text, const char *reason)
{
    assert_int_equal(event_json_decode(mr_slice_of(text), f->event, &f->err), MR_ENOTEVENT);
    assert_int_equal(f->err.code, MR_ENOTEVENT);
    assert_string_equal(f->err.text, reason);
    assert_int_equal(mr_event_count(f->event), 0);
    assert_int_equal(event_json_decode(mr_slice_of(text), f->event, NULL), MR_ENOTEVENT);
}

static void assert_string(const struct fixture *f, const char *name, const char *value)
{
    struct mr_slice actual = mr_event_string(f->event, name);
    if (!mr_slice_is(actual, mr_slice_of(value)) || (actual.ptr == NULL) != (value == NULL)) {
        fail_msg("%s is %.*s, not %s", name, MR_SLICE_ARG(actual), value);
    }
}

static void assert_data(const struct fixture *f, const char *data)
{
    struct mr_slice actual = mr_event_data(f->event);
    if (!mr_slice_is(actual, mr_slice_of(data)) || (actual.ptr == NULL) != (data == NULL)) {
        fail_msg("data is %.*s, not %s", MR_SLICE_ARG(actual), data);
    }
}

static void set(struct fixture *f, const char *name, const char *value)
{
    if (mr_event_set(f->event, mr_slice_of(name), mr_slice_of(value), &f->err) != 0) {
        fail_msg("%s", f->err.text);
    }
}

static void set_required(struct fixture *f)
{
    mr_event_clear(f->event);
    set(f, "specversion", "1.0");
    set(f, "type", "t");
    set(f, "source", "/s");
    set(f, "id", "1");
}

static void assert_encodes(struct fixture *f, const char *expected)
{
    buf_clear(&f->out);
    assert_int_equal(event_json_encode(f->event, &f->out, &f->err), 0);
    if (!mr_slice_is(buf_slice(&f->out), mr_slice_of(expected))) {
        fail_msg("wrote %.*s, not %s", MR_SLICE_ARG(buf_slice(&f->out)), expected);
    }
}

/* json-format.md 1.0.2, section 3.2, "Examples". */
static void test_the_specifications_binary_data(void **state)
{
    struct fixture *f = *state;
    decode(f,
           "{\n"
           "    \"specversion\" : \"1.0\",\n"
           "    \"type\" : \"com.example.someevent\",\n"
           "    \"source\" : \"/mycontext\",\n"
           "    \"subject\": null,\n"
           "    \"id\" : \"A234-1234-1234\",\n"
           "    \"time\" : \"2018-04-05T17:31:00Z\",\n"
           "    \"comexampleextension1\" : \"value\",\n"
           "    \"comexampleothervalue\" : 5,\n"
           "    \"datacontenttype\" : \"application/vnd.apache.thrift.binary\",\n"
           "    \"data_base64\" : \"AAECAwQFBgcICQ==\"\n"
           "}\n");
    assert_int_equal(mr_event_count(f->event), 8);
    assert_string(f, "specversion", "1.0");
    assert_string(f, "type", "com.example.someevent");
    assert_string(f, "source", "/mycontext");
    assert_string(f, "subject", NULL);
    assert_string(f, "id", "A234-1234-1234");
    assert_string(f, "time", "2018-04-05T17:31:00Z");
    assert_string(f, "comexampleextension1", "value");
    assert_int_equal(mr_event_find(f->event, MR_SLICE("comexampleothervalue"))->type,
                     MR_VALUE_INTEGER);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("comexampleothervalue"))->integer, 5);
    assert_true(mr_slice_is(mr_event_data(f->event), MR_SLICE("\0\1\2\3\4\5\6\7\x8\x9")));
}

static void test_the_specifications_json_data(void **state)
{
    struct fixture *f = *state;
    decode(f,
           "{\"specversion\":\"1.0\",\"type\":\"com.example.someevent\",\"source\":\"/mycontext\","
           "\"id\":\"C234-1234-1234\",\"datacontenttype\":\"application/json\",\"data\" : {\n"
           "        \"appinfoA\" : \"abc\",\n        \"appinfoB\" : 123,\n"
           "        \"appinfoC\" : true\n    }\n}");
    assert_data(f,
                "{\n        \"appinfoA\" : \"abc\",\n        \"appinfoB\" : 123,\n"
                "        \"appinfoC\" : true\n    }");
}

/* 3.1: "data" : "I'm just a string", "<much wow=\"xml\"/>" (as XML, and as a JSON string), 1.5. */
static void test_the_specifications_strings_and_numbers(void **state)
{
    struct fixture *f = *state;
    decode(f, "{" REQUIRED ",\"data\" : \"I'm just a string\"}");
    assert_data(f, "\"I'm just a string\"");
    assert_string(f, "datacontenttype", "application/json");
    decode(f, "{" REQUIRED
              ",\"datacontenttype\":\"application/json\",\"data\":\"I'm just a string\"}");
    assert_data(f, "\"I'm just a string\"");
    decode(f, "{" REQUIRED
              ",\"datacontenttype\":\"application/xml\","
              "\"data\":\"<much wow=\\\"xml\\\"/>\"}");
    assert_data(f, "<much wow=\"xml\"/>");
    decode(f, "{" REQUIRED ",\"data\":1.5}");
    assert_data(f, "1.5");
}

static void test_where_data_stands_and_what_it_is(void **state)
{
    struct fixture *f = *state;
    decode(f, "{\"data\":\"a\\nb\",\"datacontenttype\":\"text/plain\"," REQUIRED "}");
    assert_data(f, "a\nb");
    decode(f, "{\"data\":[1, 2],\"datacontenttype\":\"text/plain\"," REQUIRED "}");
    assert_data(f, "[1, 2]");
    decode(f, "{\"data\":null,\"datacontenttype\":\"text/plain\"," REQUIRED "}");
    assert_data(f, NULL);
    decode(f, "{\"data\":null,\"datacontenttype\":\"application/a+JSON;x=y\"," REQUIRED "}");
    assert_data(f, "null");
    decode(f, "{\"data\":null," REQUIRED "}");
    assert_data(f, "null");
    assert_string(f, "datacontenttype", "application/json");
    decode(f, "{\"data\":{},\"datacontenttype\":null," REQUIRED "}");
    assert_data(f, "{}");
    assert_string(f, "datacontenttype", "application/json");
    decode(f, "{\"data_base64\":\"e30=\"," REQUIRED "}");
    assert_data(f, "{}");
    assert_string(f, "datacontenttype", NULL);
    decode(f, "{\"data_base64\":\"\\u002f+\\/\\/\"," REQUIRED "}");
    assert_data(f, "\xFF\xEF\xFF");
    decode(f, "{\"data_base64\":\"\"," REQUIRED "}");
    assert_data(f, "");
    decode(f, "{\"data_base64\":null," REQUIRED "}");
    assert_data(f, NULL);
    decode(f, "{\"data_base64\":null,\"data\":1," REQUIRED "}");
    assert_data(f, "1");
    decode(f, "{\"data\":\"\",\"datacontenttype\":\"text/plain\"," REQUIRED "}");
    assert_data(f, "");
    decode(f, "{" REQUIRED "}");
    assert_data(f, NULL);
    assert_string(f, "datacontenttype", NULL);
}

static void test_extensions(void **state)
{
    struct fixture *f = *state;
    decode(f, "{" REQUIRED
              ",\"low\":-2147483648,\"high\":2147483647,\"zero\":-0,\"yes\":true,"
              "\"no\":false,\"none\":null,\"\\u0061b\":\"\\u00e4\\\"\",\"empty\":\"\"}");
    assert_int_equal(mr_event_count(f->event), 11);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("low"))->integer, INT32_MIN);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("high"))->integer, INT32_MAX);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("zero"))->integer, 0);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("yes"))->type, MR_VALUE_BOOLEAN);
    assert_true(mr_event_find(f->event, MR_SLICE("yes"))->boolean);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("no"))->type, MR_VALUE_BOOLEAN);
    assert_false(mr_event_find(f->event, MR_SLICE("no"))->boolean);
    assert_null(mr_event_find(f->event, MR_SLICE("none")));
    assert_string(f, "ab", "\xC3\xA4\"");
    assert_string(f, "empty", "");
}

static void test_what_needs_no_unescaping_is_borrowed(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{" REQUIRED ",\"data\":[1]}";
    decode(f, text);
    for (size_t i = 0; i < 4; i++) {
        const struct mr_attribute *attribute = mr_event_at(f->event, i);
        assert_true(attribute->name.ptr > text && attribute->name.ptr < text + sizeof text);
        assert_true(attribute->bytes.ptr > text && attribute->bytes.ptr < text + sizeof text);
    }
    assert_ptr_equal(mr_event_data(f->event).ptr, strchr(text, '['));
}

static void test_what_is_no_event(void **state)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"", "json: line 1, column 1: unexpected end"},
        {"[]", "json: line 1, column 2: not an object"},
        {"\"x\"", "json: line 1, column 4: not an object"},
        {"{" REQUIRED, "json: line 1, column 55: unexpected end"},
        {"{" REQUIRED "} x", "json: line 1, column 57: text after the value"},
        {"{" REQUIRED ",\n\"data\":tru}", "json: line 2, column 8: expected a value"},
        {"{\n\"data\":1,\"data_base64\":\"AA==\"," REQUIRED "}", "json: both data and data_base64"},
        {"{\n\"data\":null,\"data_base64\":\"\"," REQUIRED "}", "json: both data and data_base64"},
        {"{\"data\":1,\"data\":1," REQUIRED "}",
         "json: line 1, column 18: member \"data\": it is there twice"},
        {"{\"data_base64\":\"\",\"data\\u005fbase64\":\"\"," REQUIRED "}",
         "json: line 1, column 38: member \"data_base64\": it is there twice"},
        {"{\"data_base64\":1," REQUIRED "}",
         "json: line 1, column 17: member \"data_base64\": expected a string"},
        {"{\"data_base64\":\"A\"," REQUIRED "}",
         "json: member \"data_base64\": base64: the length is not a multiple of 4"},
        {"{\"data_base64\":\"AAAA\\n===\"," REQUIRED "}",
         "json: member \"data_base64\": base64: malformed at byte 5"},
        {"{\"x\":1.0," REQUIRED "}",
         "json: line 1, column 9: member \"x\": expected an integer of 32 bits"},
        {"{\"x\":1e2," REQUIRED "}",
         "json: line 1, column 9: member \"x\": expected an integer of 32 bits"},
        {"{\"x\":2147483648," REQUIRED "}",
         "json: line 1, column 16: member \"x\": expected an integer of 32 bits"},
        {"{\"x\":-2147483649," REQUIRED "}",
         "json: line 1, column 17: member \"x\": expected an integer of 32 bits"},
        {"{\"x\":100000000000000000000," REQUIRED "}",
         "json: line 1, column 27: member \"x\": expected an integer of 32 bits"},
        {"{\"x\":{}," REQUIRED "}",
         "json: line 1, column 7: member \"x\": expected a string, an integer or a boolean"},
        {"{\"device_id\":[]," REQUIRED "}",
         "json: line 1, column 15: member \"device_id\": expected a string, an integer or a "
         "boolean"},
        {"{\"Device\":null," REQUIRED "}",
         "json: line 1, column 15: member \"Device\": it is null, and no name of an attribute"},
        {"{\"time\":{\"a\":1}," REQUIRED "}",
         "json: line 1, column 10: member \"time\": expected a string, an integer or a boolean"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_refused(*state, cases[i].text, cases[i].reason);
    }
}

/* What event_put and mr_event_check refuse; their words are theirs. */
static void test_what_the_event_refuses(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\"}",
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":null}",
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"\"}",
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":1}",
        "{\"specversion\":\"0.3\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"1\"}",
        "{" REQUIRED ",\"id\":\"1\"}",
        "{" REQUIRED ",\"\\u0069d\":\"1\"}",
        "{" REQUIRED ",\"device_id\":\"x\"}",
        "{" REQUIRED ",\"\":\"x\"}",
        "{" REQUIRED ",\"a\\u0000\":\"x\"}",
        "{" REQUIRED ",\"time\":\"yesterday\"}",
        "{" REQUIRED ",\"x\":\"\\u0000\"}",
        "{" REQUIRED ",\"x\":\"\\n\"}",
        "{" REQUIRED ",\"x\":\"\\uffff\"}",
        "{" REQUIRED ",\"datacontenttype\":\"json\",\"data\":1}",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        f->err.text[0] = '\0';
        if (event_json_decode(mr_slice_of(texts[i]), f->event, &f->err) != MR_ENOTEVENT) {
            fail_msg("accepted %s", texts[i]);
        }
        assert_int_equal(f->err.code, MR_ENOTEVENT);
        assert_true(f->err.text[0] != '\0');
        assert_int_equal(mr_event_count(f->event), 0);
    }
}

static void test_a_long_name_is_cut_in_the_error_between_characters(void **state)
{
    struct fixture *f = *state;
    assert_refused(f,
                   "{\"xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xC3\xA4"
                   "bbbb\":1.5}",
                   "json: line 1, column 76: member "
                   "\"xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": "
                   "expected an integer of 32 bits");
}

static void test_too_many_attributes_are_a_limit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(buf_add_str(&f->out, "{" REQUIRED), 0);
    for (int i = 4; i < MR_EVENT_ATTRIBUTES_MAX + 1; i++) {
        assert_int_equal(buf_addf(&f->out, ",\"x%d\":%d", i, i), 0);
    }
    assert_int_equal(buf_add_str(&f->out, "}"), 0);
    assert_int_equal(event_json_decode(buf_slice(&f->out), f->event, &f->err), MR_ELIMIT);
    assert_int_equal(f->err.code, MR_ELIMIT);
}

static void test_attributes_are_written_in_their_order_and_types(void **state)
{
    struct fixture *f = *state;
    set_required(f);
    set(f, "subject", "a \"b\" \\ \xC3\xA4");
    assert_int_equal(mr_event_set_integer(f->event, MR_SLICE("i"), INT32_MIN, NULL), 0);
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("yes"), true, NULL), 0);
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("no"), false, NULL), 0);
    assert_int_equal(mr_event_set_binary(f->event, MR_SLICE("b"), MR_SLICE("fooba"), NULL), 0);
    assert_encodes(f, "{" REQUIRED
                      ",\"subject\":\"a \\\"b\\\" \\\\ \xC3\xA4\",\"i\":-2147483648,"
                      "\"yes\":true,\"no\":false,\"b\":\"Zm9vYmE=\"}");
}

static void test_how_data_is_written(void **state)
{
    static const struct {
        const char *type;
        struct mr_slice data;
        const char *member;
    } cases[] = {
        {NULL, MR_SLICE_INIT("{\"a\": 1}"), "\"data\":{\"a\": 1}"},
        {NULL, MR_SLICE_INIT("[1,\r\n\t2\n]\n"), "\"data\":[1,  \t2 ] "},
        {NULL, MR_SLICE_INIT("{"), "\"data_base64\":\"ew==\""},
        {NULL, MR_SLICE_INIT(""), "\"data_base64\":\"\""},
        {"application/json", MR_SLICE_INIT("\"a\\nb\""), "\"data\":\"a\\nb\""},
        {"application/json", MR_SLICE_INIT("null"), "\"data\":null"},
        {"application/json", MR_SLICE_INIT("{a:1}"), "\"data_base64\":\"e2E6MX0=\""},
        {"text/json", MR_SLICE_INIT("text"), "\"data_base64\":\"dGV4dA==\""},
        {"application/x+json", MR_SLICE_INIT("1"), "\"data\":1"},
        {"text/plain", MR_SLICE_INIT("1\n"), "\"data\":\"1\\n\""},
        {"Text/CSV; header=absent", MR_SLICE_INIT("\xC3\xA4,\0"), "\"data\":\"\xC3\xA4,\\u0000\""},
        {"text/plain", MR_SLICE_INIT(""), "\"data\":\"\""},
        {"text/plain", MR_SLICE_INIT("\xFF"), "\"data_base64\":\"/w==\""},
        {"application/octet-stream", MR_SLICE_INIT("1"), "\"data_base64\":\"MQ==\""},
        {"application/xml", MR_SLICE_INIT("<x/>"), "\"data_base64\":\"PHgvPg==\""},
    };
    struct fixture *f = *state;
    struct mr_buf expected;
    buf_init(&expected, 1000);
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        buf_clear(&expected);
        (void)buf_add_str(&expected, "{" REQUIRED ",");
        set_required(f);
        if (cases[i].type != NULL) {
            set(f, "datacontenttype", cases[i].type);
            (void)buf_addf(&expected, "\"datacontenttype\":\"%s\",", cases[i].type);
        }
        mr_event_set_data(f->event, cases[i].data);
        (void)buf_add_str(&expected, cases[i].member);
        assert_int_equal(buf_add(&expected, "}", 2), 0);
        assert_encodes(f, expected.ptr);
    }
    buf_done(&expected);
}

static void test_an_event_without_anything(void **state)
{
    struct fixture *f = *state;
    assert_encodes(f, "{}");
    mr_event_set_data(f->event, MR_SLICE("1"));
    assert_encodes(f, "{\"data\":1}");
}

/* Text and bytes of every length and kind: what is written jansson reads as what it was, and we
 * too. */
static void test_round_trips_and_jansson_reads_along(void **state)
{
    struct fixture *f = *state;
    struct mr_event *back = mr_event_new();
    assert_non_null(back);
    for (unsigned len = 0; len < 300; len++) {
        char bytes[300];
        json_t *object;
        const char *type = len % 2 == 0 ? "text/plain" : "image/png";
        for (unsigned i = 0; i < len; i++) {
            bytes[i] = (char)(len % 2 == 0 ? i % 128 : i * 7 + len);
        }
        set_required(f);
        set(f, "datacontenttype", type);
        mr_event_set_data(f->event, mr_slice(bytes, len));
        buf_clear(&f->out);
        assert_int_equal(event_json_encode(f->event, &f->out, &f->err), 0);
        object = json_loadb(f->out.ptr, f->out.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(object);
        assert_int_equal(json_object_size(object), 6);
        assert_string_equal(json_string_value(json_object_get(object, "datacontenttype")), type);
        assert_string_equal(json_string_value(json_object_get(object, "source")), "/s");
        if (len % 2 == 0) {
            const json_t *data = json_object_get(object, "data");
            assert_true(mr_slice_is(mr_slice(json_string_value(data), json_string_length(data)),
                                    mr_slice(bytes, len)));
        }
        json_decref(object);
        assert_int_equal(event_json_decode(buf_slice(&f->out), back, &f->err), 0);
        assert_int_equal(mr_event_count(back), 5);
        assert_true(mr_slice_is(mr_event_data(back), mr_slice(bytes, len)));
        assert_non_null(mr_event_data(back).ptr);
    }
    mr_event_free(back);
}

static void test_the_buffers_bound(void **state)
{
    struct fixture *f = *state;
    struct mr_buf small;
    set_required(f);
    buf_init(&small, 61); /* "before" and the 55 bytes of the event */
    assert_int_equal(buf_add_str(&small, "before"), 0);
    assert_int_equal(event_json_encode(f->event, &small, &f->err), 0);
    buf_clear(&small);
    assert_int_equal(buf_add_str(&small, "before..."), 0);
    assert_int_equal(event_json_encode(f->event, &small, &f->err), MR_ELIMIT);
    assert_int_equal(f->err.code, MR_ELIMIT);
    assert_int_equal(small.len, 9);
    buf_done(&small);
}

/* Attributes with escapes beyond what an event holds inline, and data with escapes. */
static void test_every_allocation_fails_once(void **state)
{
    struct mr_buf text;
    struct mr_buf back;
    struct mr_error err;
    unsigned n;
    (void)state;
    buf_init(&text, 100000);
    (void)buf_add_str(&text, "{" REQUIRED ",\"datacontenttype\":\"text/plain\"");
    for (int i = 0; i < 60; i++) {
        (void)buf_addf(&text, ",\"x%d\":\"\\\"012345678901234567890123456789012345678901234567\"",
                       i);
    }
    assert_int_equal(buf_add_str(&text, ",\"data\":\"a\\nb\"}"), 0);
    for (n = 1;; n++) {
        struct mr_event *event;
        int rc = MR_ENOMEM;
        heap_fail_at(n);
        buf_init(&back, 100000);
        event = mr_event_new();
        if (event != NULL) {
            rc = event_json_decode(buf_slice(&text), event, &err);
        }
        if (rc == 0) {
            rc = event_json_encode(event, &back, &err);
        }
        if (rc == 0) {
            assert_true(mr_slice_is(buf_slice(&back), buf_slice(&text)));
        }
        mr_event_free(event);
        buf_done(&back);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_true(event == NULL || err.retriable);
    }
    heap_restore();
    assert_in_range(n, 5, 100);
    buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_specifications_binary_data),
        TEST(test_the_specifications_json_data),
        TEST(test_the_specifications_strings_and_numbers),
        TEST(test_where_data_stands_and_what_it_is),
        TEST(test_extensions),
        TEST(test_what_needs_no_unescaping_is_borrowed),
        TEST(test_what_is_no_event),
        TEST(test_what_the_event_refuses),
        TEST(test_a_long_name_is_cut_in_the_error_between_characters),
        TEST(test_too_many_attributes_are_a_limit),
        TEST(test_attributes_are_written_in_their_order_and_types),
        TEST(test_how_data_is_written),
        TEST(test_an_event_without_anything),
        TEST(test_round_trips_and_jansson_reads_along),
        TEST(test_the_buffers_bound),
        TEST(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
