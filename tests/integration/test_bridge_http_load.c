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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"
#include "lib/event_asserts.h"

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

static size_t count_records(struct bridge_fixture *f)
{
    struct mock_records records;
    size_t count;
    mock_kafka_read(&f->mock, "events", &records);
    count = records.count;
    mock_records_free(&records);
    return count;
}

/* Of a process, in KiB. */
static long resident_kib(pid_t pid)
{
    char path[60];
    char line[200];
    long kib = -1;
    FILE *file;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (kib < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    (void)fclose(file);
    return kib;
}

/* As many descriptors as are needed here and in the program, which raises its own. */
static void raise_descriptors(rlim_t wanted)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < wanted) {
        print_message("skipped: ulimit -Hn is less than %lu\n", (unsigned long)wanted);
        skip();
    }
    limit.rlim_cur = limit.rlim_cur < wanted ? wanted : limit.rlim_cur;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* As many as connections.max allows by default, all open at once and all with an event. */
static void test_ten_thousand_connections(void **state)
{
    /* Their answers are all waited for at once: here it is not their time that matters. */
    static const char *const extra[] = {"--http.answer.timeout=60s", NULL};
    enum { CONNECTIONS = 10000, KIB_EACH = 6, SPARE_DESCRIPTORS = 300 };
    static int fds[CONNECTIONS];
    struct bridge_fixture f;
    long before_kib;
    (void)state;
    raise_descriptors(CONNECTIONS + SPARE_DESCRIPTORS);
    bridge_start(&f, extra);
    before_kib = resident_kib(f.child.pid);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(f.port);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        raw_put(fds[i], "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1");
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        raw_expect(fds[i], 202, "");
    }
    assert_int_equal(bridge_metric(&f, "millrace_http_connections"), CONNECTIONS);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(resident_kib(f.child.pid) - before_kib, 0, (long)CONNECTIONS * KIB_EACH);
#else
    (void)before_kib; /* sanitizers have memory of their own for each allocation */
#endif
    raw_expect_refusal(raw_connect(f.port), 503); /* one more */
    for (int i = 0; i < CONNECTIONS; i++) {
        (void)close(fds[i]);
    }
    assert_int_equal(count_records(&f), CONNECTIONS);
    bridge_stop(&f);
}

enum { FLOOD = 5000 };

static void *put_flood(void *data)
{
    const int *fd = data;
    for (int i = 0; i < FLOOD; i++) {
        char text[200];
        int len = snprintf(text, sizeof text,
                           "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nIdempotency-Key: %d\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
                           i);
        if (send(*fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
            return NULL;
        }
    }
    return data;
}

/* Far more than is read ahead, from one connection: each is stored once, in order. */
static void test_a_pipelined_flood(void **state)
{
    /* What waits behind others in the socket has its time too: not here. */
    static const char *const extra[] = {"--http.answer.timeout=60s", NULL};
    struct bridge_fixture f;
    struct mock_records records;
    pthread_t thread;
    void *done;
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    assert_int_equal(pthread_create(&thread, NULL, put_flood, &fd), 0);
    for (int i = 0; i < FLOOD; i++) {
        raw_expect(fd, 202, "");
    }
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_ptr_equal(done, &fd);
    (void)close(fd);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, FLOOD); /* all of one device: of one partition */
    for (int i = 0; i < FLOOD; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "%d", i);
        assert_slice(mock_record_header(&records.at[i], "ce_id"), id);
    }
    mock_records_free(&records);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stop_under_load_loses_nothing),
        cmocka_unit_test(test_several_loops_stop_under_load),
        cmocka_unit_test(test_several_loops_give_up_at_the_deadline),
        cmocka_unit_test(test_ten_thousand_connections),
        cmocka_unit_test(test_a_pipelined_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
