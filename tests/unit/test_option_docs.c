// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/options.h"
#include "lib/heap.h"

static const struct mr_option table[] = {
    {.key = "mode",
     .type = MR_OPTION_ENUM,
     .initial = "basic",
     .choices = "none|basic|full",
     .text = "Which | one."},
    {.key = "queue.max",
     .type = MR_OPTION_INTEGER,
     .initial = "10",
     .min = 1,
     .max = 20,
     .unit = "events",
     .text = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen "
             "fifteen."},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .initial = "initial-secret",
     .text = "Psst.",
     .flags = MR_OPTION_SECRET,
     .env = "INFLUXDB_PASSWORD"},
    {.key = "database", .type = MR_OPTION_STRING, .text = "Which.", .flags = MR_OPTION_REQUIRED},
    {.key = "prefix", .type = MR_OPTION_STRING, .initial = "", .text = "<x> before."},
    {.key = "suffix", .type = MR_OPTION_STRING, .text = "After."},
    MR_OPTION_END};

static const struct mr_option log_table[] = {
    {.section = "log",
     .key = "level",
     .type = MR_OPTION_ENUM,
     .initial = "info",
     .choices = "error|warn|info|debug",
     .text = "What to say."},
    {.key = "late", .type = MR_OPTION_DURATION, .initial = "0", .text = "Of the first section."},
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .initial = "events",
     .text = "Where.",
     .flags = MR_OPTION_REQUIRED},
    MR_OPTION_END};

static const struct mr_option_group groups[] = {{table, 0}, {log_table, 0}};
static const struct options_spec spec = {.program = "millrace-test",
                                         .section = "test",
                                         .groups = groups,
                                         .group_count = MR_COUNT_OF(groups)};

static void assert_written(int (*write)(const struct options_spec *, struct mr_buf *),
                           const char *expected)
{
    struct mr_buf out;
    buf_init(&out, 64 * 1024);
    assert_int_equal(write(&spec, &out), 0);
    assert_int_equal(buf_add_char(&out, '\0'), 0);
    assert_string_equal(out.ptr, expected);
    buf_done(&out);
}

static void test_help(void **state)
{
    (void)state;
    assert_written(options_write_help,
                   "\n[test]\n"
                   "  --test.mode=none|basic|full  (default basic)\n"
                   "      Which | one.\n"
                   "  --test.queue.max=NUMBER  (default 10)\n"
                   "      One two three four five six seven eight nine ten eleven twelve thirteen\n"
                   "      fourteen fifteen.\n"
                   "  --test.password=TEXT\n"
                   "      Psst.\n"
                   "  --test.database=TEXT  (required)\n"
                   "      Which.\n"
                   "  --test.prefix=TEXT  (default empty)\n"
                   "      <x> before.\n"
                   "  --test.suffix=TEXT\n"
                   "      After.\n"
                   "  --test.late=DURATION  (default 0)\n"
                   "      Of the first section.\n"
                   "  --test.topic=TEXT  (default events)\n"
                   "      Where.\n"
                   "\n[log]\n"
                   "  --log.level=error|warn|info|debug  (default info)\n"
                   "      What to say.\n");
}

static void test_markdown(void **state)
{
    (void)state;
    assert_written(
        options_write_markdown,
        "## millrace-test\n"
        "\n### [test]\n\n"
        "| option | default | value | meaning |\n|---|---|---|---|\n"
        "| `mode` | `basic` | none, basic or full | Which \\| one. |\n"
        "| `queue.max` | `10` | number, 1 to 20 (events) | One two three four "
        "five "
        "six seven eight nine ten eleven twelve thirteen fourteen fifteen. |\n"
        "| `password` | none | text | Psst. Secret: never shown. Also taken from the variable "
        "`INFLUXDB_PASSWORD`. |\n"
        "| `database` | required | text | Which. |\n"
        "| `prefix` | empty | text | \\<x> before. |\n"
        "| `suffix` | none | text | After. |\n"
        "| `late` | `0` | duration | Of the first section. |\n"
        "| `topic` | `events` | text | Where. |\n"
        "\n### [log]\n\n"
        "| option | default | value | meaning |\n|---|---|---|---|\n"
        "| `level` | `info` | error, warn, info or debug | What to say. |\n");
}

static void test_out_of_memory(void **state)
{
    unsigned n;
    (void)state;
    for (n = 1; n < 100; n++) {
        struct mr_buf out;
        int rc;
        heap_fail_at(n);
        buf_init(&out, 64 * 1024);
        rc = options_write_help(&spec, &out);
        rc = rc == 0 ? options_write_markdown(&spec, &out) : rc;
        buf_done(&out);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_in_range(n, 2, 99);
    heap_restore();
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"listen", "topic", "topic.create"};
    (void)state;
    assert_string_equal(options_nearest("lisen", names, 3), "listen");
    assert_string_equal(options_nearest("listne", names, 3), "listen");
    assert_string_equal(options_nearest("LISTEN", names, 3), "listen");
    assert_string_equal(options_nearest("topic-create", names, 3), "topic.create");
    assert_null(options_nearest("li", names, 3));
    assert_null(options_nearest("", names, 3));
    assert_null(options_nearest("address", names, 3));
    assert_null(options_nearest("listen", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
