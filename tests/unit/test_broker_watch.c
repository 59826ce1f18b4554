// SPDX-License-Identifier: Apache-2.0
/* What a broker says of messages that it threw away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "base/metrics.h"
#include "bridge/mqtt/broker_watch.h"
#include "bridge/mqtt/mqtt_metrics.h"

static bool take(struct broker_watch *watch, const char *topic, const char *payload)
{
    return broker_watch_take(watch, mr_slice_of(topic), mr_slice_of(payload));
}

static void test_the_brokers_number_is_shown(void **state)
{
    struct broker_watch watch = {0};
    (void)state;
    assert_true(take(&watch, "$SYS/broker/publish/messages/dropped", "17"));
    assert_int_equal(mr_series_value(mqtt_metrics_broker_dropped()), 17);
    assert_true(take(&watch, "$SYS/broker/publish/messages/dropped", "40"));
    assert_int_equal(mr_series_value(mqtt_metrics_broker_dropped()), 40);
    assert_true(take(&watch, "$SYS/broker/publish/messages/dropped", "0")); /* restarted */
    assert_int_equal(mr_series_value(mqtt_metrics_broker_dropped()), 0);
    metrics_reset();
}

/* Whether it warns. */
static bool warns(struct broker_watch *watch, const char *payload)
{
    char line[512] = "";
    FILE *file = tmpfile();
    int stderr_copy = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_true(stderr_copy >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    assert_true(take(watch, BROKER_WATCH_TOPIC, payload));
    assert_true(dup2(stderr_copy, STDERR_FILENO) >= 0);
    (void)close(stderr_copy);
    rewind(file);
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    (void)fclose(file);
    return strstr(line, "level=warn") != NULL;
}

static void test_only_what_it_throws_away_from_now_on_is_warned_of(void **state)
{
    struct broker_watch watch = {0};
    (void)state;
    mr_log_init("test", MR_LOG_INFO, MR_LOG_LOGFMT);
    assert_false(warns(&watch, "17")); /* who knows when */
    assert_false(warns(&watch, "17"));
    assert_true(warns(&watch, "18"));
    assert_false(warns(&watch, "2")); /* restarted */
    assert_true(warns(&watch, "3"));
    metrics_reset();
}

static void test_what_is_no_number_changes_nothing(void **state)
{
    static const char *const payloads[] = {
        "", "-1", " 5", "5 ", "5.0", "x", "99999999999999999999999999999999"};
    struct broker_watch watch = {0};
    (void)state;
    assert_true(take(&watch, BROKER_WATCH_TOPIC, "3"));
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        assert_true(take(&watch, BROKER_WATCH_TOPIC, payloads[i]));
        assert_int_equal(watch.dropped, 3);
    }
    metrics_reset();
}

static void test_other_topics_are_not_its_own(void **state)
{
    struct broker_watch watch = {0};
    (void)state;
    assert_false(take(&watch, "$SYS/broker/publish/messages/dropped/1min", "3"));
    assert_false(take(&watch, "temp/dev1", "3"));
    assert_false(watch.is_known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_brokers_number_is_shown),
        cmocka_unit_test(test_only_what_it_throws_away_from_now_on_is_warned_of),
        cmocka_unit_test(test_what_is_no_number_changes_nothing),
        cmocka_unit_test(test_other_topics_are_not_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
