// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/options_internal.h"
#include "kit/mem.h"

static const struct mr_option create = {.key = "topic.create", .type = MR_OPTION_BOOLEAN};
static const struct mr_option temperature = {
    .key = "temperature", .type = MR_OPTION_INTEGER, .min = -40, .max = 120};
static const struct mr_option count = {.key = "count", .type = MR_OPTION_INTEGER};
static const struct mr_option five = {.key = "five", .type = MR_OPTION_INTEGER, .min = 5, .max = 5};
static const struct mr_option wait = {
    .key = "wait", .type = MR_OPTION_DURATION, .min = 100, .max = 3600000};
static const struct mr_option delay = {.key = "delay", .type = MR_OPTION_DURATION};
static const struct mr_option body = {.key = "body", .type = MR_OPTION_SIZE, .min = 1};
static const struct mr_option mode = {
    .key = "mode", .type = MR_OPTION_ENUM, .choices = "none|basic|full"};
static const struct mr_option listen = {.key = "listen", .type = MR_OPTION_ADDRESS};
static const struct mr_option topic = {.key = "topic", .type = MR_OPTION_STRING};

/* Every type at its edges: what is taken and as what, and what is refused. */
struct value_case {
    const struct mr_option *option;
    const char *text;
    bool good;
    int64_t value; /* an address: its port */
};

static const struct value_case value_cases[] = {
    {&create, "false", true, 0},
    {&create, "yes", true, 1},
    {&create, "off", true, 0},
    {&create, "1", true, 1},
    {&create, "no", true, 0},
    {&create, "on", true, 1},
    {&create, "0", true, 0},
    {&create, "true", true, 1},
    {&create, "True", false, 0},
    {&create, "", false, 0},
    {&create, "2", false, 0},
    {&temperature, "-40", true, -40},
    {&temperature, "120", true, 120},
    {&temperature, "-41", false, 0},
    {&temperature, "121", false, 0},
    {&temperature, "+5", false, 0},
    {&temperature, " 5", false, 0},
    {&temperature, "5.0", false, 0},
    {&temperature, "0x10", false, 0},
    {&temperature, "-", false, 0},
    {&temperature, "9223372036854775808", false, 0},
    {&wait, "100ms", true, 100},
    {&wait, "99ms", false, 0},
    {&wait, "3s", true, 3000},
    {&wait, "5m", true, 300000},
    {&wait, "1h", true, 3600000},
    {&wait, "3600001ms", false, 0},
    {&wait, "0", false, 0},
    {&wait, "3", false, 0},
    {&wait, "3 s", false, 0},
    {&wait, "s", false, 0},
    {&wait, "1h30m", false, 0},
    {&wait, "9223372036854775807h", false, 0},
    {&wait, "2562047788015216h", false, 0},
    {&body, "1", true, 1},
    {&body, "512", true, 512},
    {&body, "1KiB", true, 1024},
    {&body, "4MiB", true, 4194304},
    {&body, "1GiB", true, 1073741824},
    {&body, "8589934591GiB", true, INT64_C(9223372035781033984)},
    {&body, "8589934592GiB", false, 0},
    {&body, "0", false, 0},
    {&body, "-1", false, 0},
    {&body, "4MB", false, 0},
    {&body, "4mib", false, 0},
    {&mode, "none", true, 0},
    {&mode, "full", true, 2},
    {&mode, "basi", false, 0},
    {&mode, "none|basic", false, 0},
    {&mode, "", false, 0},
    {&listen, "localhost:0", true, 0},
    {&listen, "0.0.0.0:65535", true, 65535},
    {&listen, "[::1]:8081", true, 8081},
    {&listen, "[fe80::1]:82", true, 82},
    {&listen, "::1:8080", false, 0},
    {&listen, "[nonsense]:1", false, 0},
    {&listen, "[]:1", false, 0},
    {&listen, "127.0.0.1", false, 0},
    {&listen, ":8080", false, 0},
    {&listen, "a:65536", false, 0},
    {&listen, "a:", false, 0},
    {&listen, "a:-1", false, 0},
    {&listen, "a b:1", false, 0},
    {&listen, "http://a:1", false, 0},
    {&count, "0", true, 0},
    {&count, "9223372036854775807", true, INT64_MAX},
    {&count, "-1", false, 0},
    {&five, "5", true, 5},
    {&five, "4", false, 0},
    {&five, "6", false, 0},
    {&delay, "0", true, 0},
    {&delay, "0s", true, 0},
    {&delay, "2562047788015h", true, INT64_C(9223372036854000000)},
    {&delay, "2562047788016h", false, 0},
    {&delay, "-1s", false, 0},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(value_cases); i++) {
        const struct value_case *c = &value_cases[i];
        struct option_value value = {.integer = 12345};
        struct mr_error err;
        int rc = option_value_parse(c->option, c->text, &value, &err);
        if (rc != (c->good ? 0 : MR_ECONFIG)) {
            fail_msg("%s = '%s': %d", c->option->key, c->text, rc);
        }
        if (!c->good) {
            assert_int_equal(value.integer, 12345);
        } else if (c->option == &listen) {
            assert_int_equal(value.address.port, c->value);
        } else if (value.integer != c->value) {
            fail_msg("%s = '%s': %lld", c->option->key, c->text, (long long)value.integer);
        }
    }
}

static void test_hosts(void **state)
{
    static const struct {
        const char *text, *host;
    } cases[] = {
        {"127.0.0.1:1", "127.0.0.1"}, {"[::1]:1", "::1"}, {"a-b.c_d.example:1", "a-b.c_d.example"}};
    char longest[MR_HOST_BYTES + 8];
    struct option_value value;
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_int_equal(option_value_parse(&listen, cases[i].text, &value, NULL), 0);
        assert_string_equal(value.address.host, cases[i].host);
    }
    memset(longest, 'h', sizeof longest);
    memcpy(longest + MR_HOST_BYTES - 1, ":1", 3);
    assert_int_equal(option_value_parse(&listen, longest, &value, NULL), 0);
    assert_int_equal(strlen(value.address.host), MR_HOST_BYTES - 1);
    memcpy(longest + MR_HOST_BYTES - 1, "h:1", 4);
    assert_int_equal(option_value_parse(&listen, longest, &value, NULL), MR_ECONFIG);
}

static void test_strings_are_copied(void **state)
{
    struct option_value value;
    char *field = NULL;
    (void)state;
    assert_int_equal(option_value_parse(&topic, "a", &value, NULL), 0);
    option_value_store(&topic, &value, &field);
    assert_int_equal(option_value_parse(&topic, "", &value, NULL), 0);
    assert_string_equal(field, "a");
    option_value_store(&topic, &value, &field);
    assert_string_equal(field, "");
    mr_option_forget(field);
}

static void test_what_is_shown_of_a_bad_value_is_short_and_one_line(void **state)
{
    char text[1000];
    struct option_value value;
    struct mr_error err;
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[1] = '\n';
    text[2] = '\x1b';
    assert_int_equal(option_value_parse(&create, text, &value, &err), MR_ECONFIG);
    assert_string_equal(
        err.text,
        "expected true or false; got 'x\?\?xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxx...'");
}

static void test_environment_names(void **state)
{
    char name[32];
    (void)state;
    assert_true(option_environment_name("http", "topic.create", name, sizeof name));
    assert_string_equal(name, "MILLRACE_HTTP_TOPIC_CREATE");
    assert_true(option_environment_name("a", "bbbbbbbbbbbbbbbbbbbb", name, sizeof name));
    assert_int_equal(strlen(name), 31);
    assert_false(option_environment_name("a", "bbbbbbbbbbbbbbbbbbbbb", name, sizeof name));
}

static void test_a_password_in_an_address_is_not_shown(void **state)
{
    struct option_value value;
    struct mr_error err;
    (void)state;
    assert_int_not_equal(
        option_value_parse(&listen, "mqtt://user:hunter2@example.com:1883", &value, &err), 0);
    assert_null(strstr(err.text, "hunter2"));
    assert_non_null(strstr(err.text, "expected an address"));
    assert_int_not_equal(option_value_parse(&listen, "user:hunter2@example.com:1883", &value, &err),
                         0);
    assert_null(strstr(err.text, "hunter2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_strings_are_copied),
        cmocka_unit_test(test_what_is_shown_of_a_bad_value_is_short_and_one_line),
        cmocka_unit_test(test_environment_names),
        cmocka_unit_test(test_a_password_in_an_address_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
