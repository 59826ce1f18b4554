// SPDX-License-Identifier: Apache-2.0
/* What the paths select, by hand and, over random payloads and paths, as jansson sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "event/json_select.h"
#include "lib/heap.h"

enum { PATHS_MAX = 12, ROUNDS = 20000, PATH_BYTES = 128 };

static unsigned add(struct json_select *select, const char *text)
{
    struct json_path path;
    struct mr_error err = {0};
    unsigned slot = 0;
    if (json_path_parse(mr_slice_of(text), false, &path, &err) != 0 ||
        json_select_add(select, &path, &slot, &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return slot;
}

static void set_each(struct json_select *select, const char *text)
{
    struct json_path path;
    assert_int_equal(json_path_parse(mr_slice_of(text), true, &path, NULL), 0);
    assert_int_equal(json_select_each(select, &path, NULL), 0);
}

/* "21", "-" if missing, "{" and "[" for what begins so. */
static const char *shown(const struct json_value *value)
{
    static char text[256];
    switch (value->token) {
        case JSON_SCAN_END:
            return "-";
        case JSON_SCAN_OBJECT_BEGIN:
            return "{";
        case JSON_SCAN_ARRAY_BEGIN:
            return "[";
        default:
            (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(value->raw));
            return text;
    }
}

static void expect(const char *path, const char *json, const char *wanted)
{
    struct json_select select;
    struct json_selection selection;
    struct mr_error err = {0};
    unsigned slot;
    assert_int_equal(json_select_init(&select), 0);
    json_selection_init(&selection);
    slot = add(&select, path);
    if (json_select_run(&select, mr_slice_of(json), &selection, &err) != 0) {
        assert_string_equal(err.text, wanted);
    } else {
        assert_string_equal(shown(&selection.values[slot]), wanted);
    }
    json_selection_done(&selection);
    json_select_done(&select);
}

static void a_path_selects_one_value(void **state)
{
    (void)state;
    expect("$", "21", "21");
    expect("$", " {} ", "{");
    expect("$.a", "{\"a\":1}", "1");
    expect("$.a", "{\"b\":1}", "-");
    expect("$.a", "[1]", "-");
    expect("$.a", "\"a\"", "-");
    expect("$.a.b[1].c", "{\"x\":{\"b\":[0,{\"c\":9}]},\"a\":{\"b\":[0,{\"c\":7}],\"c\":8}}", "7");
    expect("$['\\u0061']", "{\"\\u0061\":3}", "3");
    expect("$['']", "{\"\":3}", "3");
    expect("$['0']", "[5]", "-");
    expect("$[0]", "{\"0\":5}", "-");
    expect("$[0]", "[5,6]", "5");
    expect("$[2]", "[5,6]", "-");
    expect("$[-1]", "[5,6]", "6");
    expect("$[-2]", "[5,[1,2,{\"a\":[]}]]", "5");
    expect("$[-3]", "[5,6]", "-");
    expect("$[-1][-2]", "[[1,2],[3,[4],5]]", "[");
    expect("$[-1][-3]", "[[1,2],[3,[4],5]]", "3");
    expect("$[-1]", "[]", "-");
    expect("$.a", "{\"a\":null}", "null");
    expect("$.a", "{\"a\":\"x\\n\"}", "x\\n");
    expect("$.a.b", "{\"a\":null}", "-");
}

static void what_is_given_twice_is_refused(void **state)
{
    (void)state;
    expect("$.a", "{\"a\":1,\"a\":1}", "$.a is given twice");
    expect("$.a", "{\"a\":1,\"\\u0061\":1}", "$.a is given twice");
    expect("$.a.b", "{\"a\":{\"b\":1},\"a\":{}}", "$.a is given twice");
    expect("$.a[0].b", "{\"a\":[{\"b\":1,\"b\":2}]}", "$.a[0].b is given twice");
    expect("$.a", "{\"a\":1,\"b\":1,\"b\":2}", "1"); /* none of ours */
    expect("$.a", "{\"a\":1,\"b\":{\"a\":1,\"a\":2}}", "1");
}

static void the_whole_payload_must_be_json(void **state)
{
    (void)state;
    expect("$.a", "{\"a\":1,}",
           "the data is not valid JSON: line 1, column 8: expected a name in "
           "quotes");
    expect("$.a", "{\"a\":1,\"b\":[[1,}]}",
           "the data is not valid JSON: line 1, column 16: expected a value");
    expect("$[-1]", "[1,2", "the data is not valid JSON: line 1, column 5: unexpected end");
    expect("$.a", "", "the data is not valid JSON: line 1, column 1: unexpected end");
}

static void each_element_has_its_values(void **state)
{
    struct json_select select;
    struct json_selection selection;
    unsigned a, b, self, n;
    static const char json[] =
        "{\"r\":[{\"a\":1,\"b\":[2,3]},4,{\"b\":[]},{\"a\":{}}],\"n\":\"after\"}";
    (void)state;
    assert_int_equal(json_select_init(&select), 0);
    json_selection_init(&selection);
    set_each(&select, "$.r[*]");
    a = add(&select, "@.a");
    b = add(&select, "@.b[-1]");
    self = add(&select, "@");
    n = add(&select, "$.n");
    assert_int_equal(add(&select, "@['a']"), a);
    for (int round = 0; round < 2; round++) {
        const struct json_value *values;
        assert_int_equal(
            json_select_run(&select, mr_slice(json, sizeof json - 1), &selection, NULL), 0);
        assert_int_equal(selection.elements, 4);
        assert_true(selection.each_is_array);
        values = selection.element_values;
        assert_string_equal(shown(&values[a]), "1");
        assert_string_equal(shown(&values[b]), "3");
        assert_string_equal(shown(&values[self]), "{");
        assert_string_equal(shown(&values[3 + a]), "-");
        assert_string_equal(shown(&values[3 + self]), "4");
        assert_string_equal(shown(&values[6 + b]), "-");
        assert_string_equal(shown(&values[9 + a]), "{");
        assert_string_equal(shown(&selection.values[n]), "after");
    }
    assert_int_equal(json_select_run(&select, MR_SLICE("{\"r\":{}}"), &selection, NULL), 0);
    assert_false(selection.each_is_array);
    assert_int_equal(selection.elements, 0);
    assert_int_equal(
        json_select_run(&select, MR_SLICE("{\"r\":[{\"a\":1,\"a\":2}]}"), &selection, NULL),
        MR_EFORMAT);
    json_selection_done(&selection);
    json_select_done(&select);
}

static void elements_are_bounded(void **state)
{
    struct json_select select;
    struct json_selection selection;
    char *json = calloc(1, 2 * JSON_SELECT_ELEMENTS_MAX + 8);
    size_t len = 1;
    (void)state;
    assert_int_equal(json_select_init(&select), 0);
    json_selection_init(&selection);
    set_each(&select, "$[*]");
    (void)add(&select, "@");
    json[0] = '[';
    for (int i = 0; i < JSON_SELECT_ELEMENTS_MAX; i++) {
        json[len++] = '1';
        json[len++] = ',';
    }
    json[len - 1] = ']';
    assert_int_equal(json_select_run(&select, mr_slice(json, len), &selection, NULL), 0);
    assert_int_equal(selection.elements, JSON_SELECT_ELEMENTS_MAX);
    memcpy(json + len - 1, ",1]", 3);
    assert_int_equal(json_select_run(&select, mr_slice(json, len + 2), &selection, NULL),
                     MR_ELIMIT);
    json_selection_done(&selection);
    json_select_done(&select);
    free(json);
}

/* So many names that they are looked up by hash; each finds its own value, and no other. */
static void many_names(void **state)
{
    enum { NAMES = 3000 };
    static unsigned slots[NAMES];
    struct json_select select;
    struct json_selection selection;
    struct mr_buf json;
    char text[64];
    (void)state;
    assert_int_equal(json_select_init(&select), 0);
    json_selection_init(&selection);
    buf_init(&json, 1 << 20);
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(text, sizeof text, i % 2 != 0 ? "$.n%d" : "$.o.n%d", i);
        slots[i] = add(&select, text);
        assert_int_equal(add(&select, text), slots[i]);
    }
    /* The odd ones are in the outer object, the even ones in `o`; every third is missing. */
    (void)buf_add_str(&json, "{\"x\":0");
    for (int pass = 1; pass >= 0; pass--) {
        for (int i = 0; i < NAMES; i++) {
            if (i % 2 == pass && i % 3 != 0) {
                (void)buf_addf(&json, ",\"n%d\":%d", i, i);
            }
        }
        (void)buf_add_str(&json, pass == 1 ? ",\"o\":{\"x\":1" : "}}");
    }
    assert_int_equal(json_select_run(&select, buf_slice(&json), &selection, NULL), 0);
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        assert_string_equal(shown(&selection.values[slots[i]]), i % 3 == 0 ? "-" : text);
    }
    buf_done(&json);
    json_selection_done(&selection);
    json_select_done(&select);
}

/* ---- jansson ---- */

static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

static const char *const names[] = {"a", "b", "c d", "", "\xc3\xa9", "0"};

static json_t *random_value(unsigned depth)
{
    json_t *value;
    unsigned count = pick(4);
    switch (pick(depth < 5 ? 9 : 5)) {
        case 0:
            return json_integer((json_int_t)pick(1000));
        case 1:
            return json_real(pick(1000) / 8.0);
        case 2:
            return json_boolean(pick(2));
        case 3:
            return json_string("\xc3\xa9 \"text\"\n");
        case 4:
            return json_null();
        case 5:
        case 6:
            value = json_array();
            while (count-- > 0) {
                assert_int_equal(json_array_append_new(value, random_value(depth + 1)), 0);
            }
            return value;
        default:
            value = json_object();
            while (count-- > 0) {
                assert_int_equal(
                    json_object_set_new(value, names[pick(6)], random_value(depth + 1)), 0);
            }
            return value;
    }
}

/* A random path from `value`, as a text and as jansson's answer (NULL: nothing). */
static json_t *random_path(json_t *value, char root, char ret_text[PATH_BYTES])
{
    size_t len = 1;
    ret_text[0] = root;
    for (unsigned steps = pick(4); steps > 0; steps--) {
        if (pick(2) != 0) {
            const char *name = names[pick(6)];
            len += (size_t)snprintf(ret_text + len, PATH_BYTES - len, "['%s']", name);
            value = json_is_object(value) ? json_object_get(value, name) : NULL;
        } else {
            int index = (int)pick(6) - 3;
            size_t size = json_is_array(value) ? json_array_size(value) : 0;
            len += (size_t)snprintf(ret_text + len, PATH_BYTES - len, "[%d]", index);
            index = index < 0 ? (int)size + index : index;
            value = index >= 0 ? json_array_get(value, (size_t)index) : NULL;
        }
    }
    ret_text[len] = '\0';
    return value;
}

/* The slice says what jansson says. */
static void assert_same(const struct json_value *got, json_t *wanted)
{
    json_t *mine;
    char *text;
    if (wanted == NULL) {
        assert_int_equal(got->token, JSON_SCAN_END);
        return;
    }
    if (json_is_object(wanted) || json_is_array(wanted)) {
        assert_int_equal(got->token,
                         json_is_object(wanted) ? JSON_SCAN_OBJECT_BEGIN : JSON_SCAN_ARRAY_BEGIN);
        return;
    }
    assert_true(
        asprintf(&text, json_is_string(wanted) ? "\"%.*s\"" : "%.*s", MR_SLICE_ARG(got->raw)) > 0);
    mine = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(mine);
    assert_true(json_equal(mine, wanted));
    json_decref(mine);
    free(text);
}

static unsigned round_with_jansson(struct json_selection *selection)
{
    static const char each[] = "$['a'][*]";
    struct json_select select;
    json_t *value = random_value(0);
    char *text = json_dumps(value, JSON_ENCODE_ANY | (pick(2) != 0 ? JSON_ENSURE_ASCII : 0));
    json_t *array = json_is_object(value) ? json_object_get(value, "a") : NULL;
    json_t *wanted[PATHS_MAX];
    char paths[PATHS_MAX][PATH_BYTES];
    unsigned slots[PATHS_MAX];
    unsigned found = 0;
    assert_int_equal(json_select_init(&select), 0);
    set_each(&select, each);
    for (unsigned i = 0; i < PATHS_MAX; i++) {
        bool is_element = i % 3 == 2;
        wanted[i] = random_path(is_element ? NULL : value, is_element ? '@' : '$', paths[i]);
        slots[i] = add(&select, paths[i]);
    }
    assert_int_equal(json_select_run(&select, mr_slice_of(text), selection, NULL), 0);
    assert_int_equal(selection->each_is_array, json_is_array(array));
    assert_int_equal(selection->elements, json_is_array(array) ? json_array_size(array) : 0);
    for (unsigned i = 0; i < PATHS_MAX; i++) {
        if (i % 3 != 2) {
            assert_same(&selection->values[slots[i]], wanted[i]);
            found += wanted[i] != NULL && paths[i][1] != '\0';
        }
    }
    json_select_done(&select);
    free(text);
    json_decref(value);
    return found;
}

/* `@` paths are compared by taking each element as a payload of its own. */
static unsigned elements_with_jansson(struct json_selection *selection)
{
    struct json_select select;
    json_t *array = json_array();
    char path[PATH_BYTES];
    unsigned state = seed;
    unsigned found = 0;
    unsigned slot;
    char *text;
    for (unsigned count = pick(5); count > 0; count--) {
        assert_int_equal(json_array_append_new(array, random_value(1)), 0);
    }
    text = json_dumps(array, 0);
    assert_int_equal(json_select_init(&select), 0);
    set_each(&select, "$[*]");
    state = seed;
    (void)random_path(NULL, '@', path);
    slot = add(&select, path);
    assert_int_equal(json_select_run(&select, mr_slice_of(text), selection, NULL), 0);
    assert_int_equal(selection->elements, json_array_size(array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        char again[PATH_BYTES];
        json_t *wanted;
        seed = state;
        wanted = random_path(json_array_get(array, i), '@', again);
        assert_string_equal(again, path);
        assert_same(&selection->element_values[i + slot], wanted);
        found += wanted != NULL && path[1] != '\0';
    }
    json_select_done(&select);
    free(text);
    json_decref(array);
    return found;
}

static void jansson_sees_the_same(void **state)
{
    struct json_selection selection;
    unsigned found = 0;
    unsigned found_in_elements = 0;
    (void)state;
    json_selection_init(&selection);
    for (int i = 0; i < ROUNDS; i++) {
        found += round_with_jansson(&selection);
        found_in_elements += elements_with_jansson(&selection);
    }
    print_message("%u values, %u in elements\n", found, found_in_elements);
    assert_true(found > ROUNDS / 10);
    assert_true(found_in_elements > ROUNDS / 40);
    json_selection_done(&selection);
}

/* ---- memory ---- */

static int everything(void)
{
    static const char json[] = "{\"\\u0061\":[{\"b\":1},{\"b\":2}],\"c\":\"x\"}";
    struct json_select select;
    struct json_selection selection;
    struct json_path path;
    unsigned slot;
    int rc = json_select_init(&select);
    json_selection_init(&selection);
    assert_int_equal(json_path_parse(MR_SLICE("$.a[*]"), true, &path, NULL), 0);
    rc = rc != 0 ? rc : json_select_each(&select, &path, NULL);
    assert_int_equal(json_path_parse(MR_SLICE("@.b"), false, &path, NULL), 0);
    rc = rc != 0 ? rc : json_select_add(&select, &path, &slot, NULL);
    assert_int_equal(json_path_parse(MR_SLICE("$.c"), false, &path, NULL), 0);
    rc = rc != 0 ? rc : json_select_add(&select, &path, &slot, NULL);
    rc = rc != 0 ? rc : json_select_run(&select, mr_slice(json, sizeof json - 1), &selection, NULL);
    json_selection_done(&selection);
    json_select_done(&select);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        int rc;
        heap_fail_at(n);
        rc = everything();
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    heap_restore();
    assert_true(n > 5);
}

/* Once the memory is there, no more is asked for. */
static void a_warm_selection_allocates_nothing(void **state)
{
    static const char json[] = "{\"\\u0061\":[{\"b\":1},{\"b\":2}],\"c\":\"x\"}";
    struct json_select select;
    struct json_selection selection;
    (void)state;
    assert_int_equal(json_select_init(&select), 0);
    json_selection_init(&selection);
    set_each(&select, "$.a[*]");
    (void)add(&select, "@.b");
    (void)add(&select, "$.c");
    assert_int_equal(json_select_run(&select, mr_slice(json, sizeof json - 1), &selection, NULL),
                     0);
    heap_fail_at(1);
    assert_int_equal(json_select_run(&select, mr_slice(json, sizeof json - 1), &selection, NULL),
                     0);
    assert_false(heap_failed());
    heap_restore();
    json_selection_done(&selection);
    json_select_done(&select);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_selects_one_value),
        cmocka_unit_test(what_is_given_twice_is_refused),
        cmocka_unit_test(the_whole_payload_must_be_json),
        cmocka_unit_test(each_element_has_its_values),
        cmocka_unit_test(elements_are_bounded),
        cmocka_unit_test(many_names),
        cmocka_unit_test(jansson_sees_the_same),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_warm_selection_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
