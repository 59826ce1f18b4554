// SPDX-License-Identifier: Apache-2.0
/* millrace-http under load, and with several loops. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"

/* A device that sends as fast as it is answered, until the connection ends. */
enum { SENDERS = 8, SENT_MAX = 20000, PIPELINED = 5 };

struct sender {
    pthread_t thread;
    uint16_t port;
    int index;
    int accepted; /* ids up to here were answered 202 */
    bool has_failed;
};

static void *send_events(void *data)
{
    struct sender *sender = data;
    int fd = raw_connect_try(sender->port);
    int sent = 0;
    while (fd >= 0 && sender->accepted < SENT_MAX) {
        struct raw_reply reply;
        char text[300];
        while (sent < sender->accepted + PIPELINED) {
            int len = snprintf(text, sizeof text,
                               "POST /v1/c?device=%d HTTP/1.1\r\nHost: a\r\n"
                               "Idempotency-Key: %d-%d\r\nContent-Length: 1\r\n\r\n1",
                               sender->index, sender->index, sent);
            if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
                (void)close(fd);
                return NULL;
            }
            sent++;
        }
        if (!raw_get_reply_try(fd, true, &reply)) {
            break;
        }
        free(reply.body);
        if (reply.status != 202) {
            sender->has_failed = true;
            break;
        }
        sender->accepted++;
        if (strstr(reply.head, "Connection: close") != NULL) {
            break;
        }
    }
    (void)close(fd);
    return NULL;
}

static void check_stored(struct bridge_fixture *f, const struct sender *senders)
{
    struct mock_records records;
    bool *stored = calloc(SENDERS * SENT_MAX, sizeof *stored);
    int missing = 0;
    assert_non_null(stored);
    mock_kafka_read(&f->mock, "events", &records);
    for (size_t i = 0; i < records.count; i++) {
        char id[40];
        char *dash;
        struct mr_slice text = mock_record_header(&records.at[i], "ce_id");
        (void)snprintf(id, sizeof id, "%.*s", MR_SLICE_ARG(text));
        long device = strtol(id, &dash, 10);
        stored[device * SENT_MAX + strtol(dash + 1, NULL, 10)] = true;
    }
    for (int s = 0; s < SENDERS; s++) {
        assert_false(senders[s].has_failed);
        for (int i = 0; i < senders[s].accepted; i++) {
            missing += !stored[s * SENT_MAX + i];
        }
    }
    free(stored);
    mock_records_free(&records);
    assert_int_equal(missing, 0);
}

static void stop_under_load(const char *const *extra)
{
    struct sender senders[SENDERS] = {0};
    struct bridge_fixture f;
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    int accepted = 0;
    bridge_start(&f, extra);
    mock_kafka_set_rtt(&f.mock, 5);
    for (int i = 0; i < SENDERS; i++) {
        senders[i].port = f.port;
        senders[i].index = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_events, &senders[i]), 0);
    }
    while (bridge_metric(&f, "millrace_http_requests_total{status=\"202\"}") < 500) {
        assert_true(raw_now_s() < end);
    }
    spawned_signal(&f.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.child), 0);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        accepted += senders[i].accepted;
    }
    assert_true(accepted >= 500);
    check_stored(&f, senders);
    mock_kafka_stop(&f.mock);
}

static void test_a_stop_under_load_loses_nothing(void **state)
{
    (void)state;
    stop_under_load(bridge_no_more);
}

static void test_several_loops_stop_under_load(void **state)
{
    static const char *const extra[] = {"--http.loops=3", NULL};
    (void)state;
    stop_under_load(extra);
}

static void test_several_loops_give_up_at_the_deadline(void **state)
{
    static const char *const extra[] = {"--http.loops=3", "--admin.shutdown.deadline=500ms", NULL};
    struct bridge_fixture f;
    int fds[6];
    (void)state;
    bridge_start(&f, extra);
    mock_kafka_set_rtt(&f.mock, 60000);
    for (int i = 0; i < 6; i++) {
        fds[i] = raw_connect(f.port);
        bridge_put_event(fds[i], "/v1/c?device=d", "", "x");
    }
    while (bridge_metric(&f, "millrace_http_in_flight") < 6) {
    }
    spawned_signal(&f.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.child), 1);
    assert_null(strstr(f.child.log, "ended at once"));
    for (int i = 0; i < 6; i++) {
        (void)close(fds[i]);
    }
    mock_kafka_stop(&f.mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stop_under_load_loses_nothing),
        cmocka_unit_test(test_several_loops_stop_under_load),
        cmocka_unit_test(test_several_loops_give_up_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
