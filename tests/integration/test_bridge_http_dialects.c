// SPDX-License-Identifier: Apache-2.0
/* What the dialects have besides events: a request in which there is nothing to store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"

#define JOIN_ACCEPT                                                                             \
    "{\"end_device_ids\":{\"device_id\":\"d\",\"application_ids\":{\"application_id\":\"a\"}}," \
    "\"join_accept\":{}}"

static void test_what_is_not_stored_is_answered_in_its_turn(void **state)
{
    struct bridge_fixture f;
    struct mock_records records;
    struct raw_reply reply;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/telemetry/a/d1", "", "1");
    bridge_put_event(fd, "/ttn/v3", "", JOIN_ACCEPT);
    bridge_put_event(fd, "/publish/d2/c", "", "2");
    raw_expect(fd, 202, "");
    assert_true(raw_get_reply_try(fd, false, &reply));
    assert_int_equal(reply.status, 204);
    assert_null(strstr(reply.head, "Content-")); /* RFC 9110 8.6 */
    free(reply.body);
    raw_expect(fd, 202, "");
    (void)close(fd);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"204\"}"), 1);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 2);
    mock_records_free(&records);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_stored_is_answered_in_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
