// SPDX-License-Identifier: Apache-2.0
#include "lib/bridge_fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/event_asserts.h"

enum { ARGUMENTS_MAX = 24, PARTITIONS = 4, LOOK_MS = 2 };

/* `extra` ends with NULL. */
static void bridge_start_program(struct bridge_fixture *f, const char *program,
                                 const char *const *extra, const struct rlimit *descriptors,
                                 const char *listening)
{
    char bootstrap[100];
    /* The deadline is for machines that are slow; a test of it gives its own. */
    const char *arguments[ARGUMENTS_MAX] = {program, "--http.listen=127.0.0.1:0",
                                            "--admin.listen=127.0.0.1:0",
                                            "--admin.shutdown.deadline=60s", bootstrap};
    size_t count = 5;
    (void)snprintf(bootstrap, sizeof bootstrap, "--kafka.bootstrap.servers=%s", f->mock.bootstrap);
    for (; *extra != NULL; extra++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        arguments[count++] = *extra;
    }
    spawned_start_limited(&f->child, arguments, descriptors);
    f->port = spawned_wait_port(&f->child, listening);
    f->admin = spawned_wait_port(&f->child, "msg=\"admin listening\" host=127.0.0.1 port=");
    (void)spawned_wait_log(&f->child, "msg=ready");
}

void bridge_start_limited_at(struct bridge_fixture *f, const char *program,
                             const char *const *extra, const struct rlimit *descriptors)
{
    mock_kafka_start(&f->mock);
    mock_kafka_create_topic(&f->mock, "events", PARTITIONS);
    bridge_start_program(f, program, extra, descriptors, "msg=listening address=127.0.0.1:");
}

void bridge_start_tls_at(struct bridge_fixture *f, const char *program, const char *const *extra)
{
    const char *arguments[ARGUMENTS_MAX] = {"--http.plain=false", "--http.tls.listen=127.0.0.1:0"};
    size_t count = 2;
    for (; *extra != NULL; extra++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        arguments[count++] = *extra;
    }
    mock_kafka_start(&f->mock);
    mock_kafka_create_topic(&f->mock, "events", PARTITIONS);
    bridge_start_program(f, program, arguments, NULL,
                         "msg=\"listening with TLS\" address=127.0.0.1:");
}

void bridge_start_at(struct bridge_fixture *f, const char *program, const char *const *extra)
{
    bridge_start_limited_at(f, program, extra, NULL);
}

void bridge_stop(struct bridge_fixture *f)
{
    spawned_signal(&f->child, SIGTERM);
    assert_int_equal(spawned_wait(&f->child), 0);
    mock_kafka_stop(&f->mock);
}

const char *const bridge_no_more[] = {NULL};

void bridge_put_event(int fd, const char *target, const char *headers, const char *body)
{
    char text[2000];
    (void)snprintf(text, sizeof text,
                   "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s", target,
                   headers, strlen(body), body);
    raw_put(fd, text);
}

long bridge_metric(const struct bridge_fixture *f, const char *sample)
{
    struct raw_reply reply;
    char key[200];
    const char *at;
    long value = -1;
    int fd;
    (void)poll(NULL, 0, LOOK_MS); /* it is asked for again and again: others go on meanwhile */
    fd = raw_connect(f->admin);
    raw_put(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    raw_get_reply(fd, &reply);
    assert_int_equal(reply.status, 200);
    (void)snprintf(key, sizeof key, "\n%s ", sample);
    at = strstr(reply.body, key);
    if (at != NULL) {
        value = strtol(at + strlen(key), NULL, 10);
    }
    free(reply.body);
    raw_expect_end(fd);
    return value;
}

void bridge_assert_sender(const struct mock_records *records, const char *subject,
                          const char *application, const char *device, const char *gateway)
{
    for (size_t i = 0; i < records->count; i++) {
        const struct mock_record *record = &records->at[i];
        if (mr_slice_is(mock_record_header(record, "ce_subject"), mr_slice_of(subject))) {
            assert_slice(mock_record_header(record, "ce_application"), application);
            assert_slice(mock_record_header(record, "ce_device"), device);
            assert_true(
                mr_slice_is(mock_record_header(record, "ce_gateway"), mr_slice_of(gateway)));
            return;
        }
    }
    fail_msg("no record of %s", subject);
}
