// SPDX-License-Identifier: Apache-2.0
/* Who may send: millrace-http with a devices file, in front of the mock cluster. All passwords are
 * "sesame" but for "slow", whose check takes about a second. */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "lib/bridge_fixture.h"
#include "lib/event_asserts.h"
#include "lib/hashes.h"

#define CHECKS         "millrace_http_password_checks_total"
#define WAITING        "millrace_http_password_checks_waiting"
#define OUTCOME(name)  "millrace_http_authentications_total{outcome=\"" name "\"}"
#define READS(outcome) "millrace_http_devices_reads_total{outcome=\"" outcome "\"}"

enum { FLAGS_MAX = 12, MANY = 12 };

static const char devices[] = "[device d1@farm]\npassword = " HASH_SHA512
                              "\n"
                              "[device d2@farm]\npassword = " HASH_YESCRYPT
                              "\n"
                              "[device gateway@farm]\npassword = " HASH_BCRYPT
                              "\n"
                              "speaks_for = room-* d1\n"
                              "[device plain]\npassword = " HASH_SHA512
                              "\n"
                              "[device off@farm]\npassword = " HASH_SHA512
                              "\nenabled = no\n"
                              "[device bare@farm]\n"
                              "[device slow@farm]\npassword = " HASH_SLOW
                              "\n"
                              "[device slow-too@farm]\npassword = " HASH_SLOW "\n";

struct identity_fixture {
    struct bridge_fixture bridge;
    char path[64];
};

static void write_devices(const struct identity_fixture *f, const char *text)
{
    char next[80];
    FILE *file;
    (void)snprintf(next, sizeof next, "%s.next", f->path);
    file = fopen(next, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, f->path), 0);
}

/* `extra` ends with NULL. */
static void start(struct identity_fixture *f, const char *const *extra)
{
    char option[100];
    const char *flags[FLAGS_MAX + 1] = {"--http.auth=basic", option};
    int fd;
    (void)snprintf(f->path, sizeof f->path, "/tmp/millrace-devices-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_devices(f, devices);
    (void)snprintf(option, sizeof option, "--http.devices=%s", f->path);
    for (size_t i = 2; *extra != NULL; extra++, i++) {
        assert_true(i < FLAGS_MAX);
        flags[i] = *extra;
    }
    bridge_start(&f->bridge, flags);
}

static void stop(struct identity_fixture *f)
{
    bridge_stop(&f->bridge);
    (void)unlink(f->path);
}

static void put(int fd, const char *target, const char *user)
{
    char headers[400] = "";
    char encoded[300];
    if (user != NULL) {
        (void)EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)user,
                              (int)strlen(user));
        (void)snprintf(headers, sizeof headers, "Authorization: Basic %s\r\n", encoded);
    }
    bridge_put_event(fd, target, headers, "x");
}

static int open_and_put(const struct identity_fixture *f, const char *user)
{
    int fd = raw_connect(f->bridge.port);
    put(fd, "/v1/c", user);
    return fd;
}

/* On a connection of its own; the whole answer but its date is left in `ret_reply`. */
static int ask(const struct identity_fixture *f, const char *target, const char *user,
               struct raw_reply *ret_reply)
{
    int fd = raw_connect(f->bridge.port);
    put(fd, target, user);
    raw_get_reply(fd, ret_reply);
    (void)close(fd);
    return ret_reply->status;
}

static int status_of(const struct identity_fixture *f, const char *user)
{
    struct raw_reply reply;
    int status = ask(f, "/v1/c", user, &reply);
    free(reply.body);
    return status;
}

static void wait_metric(const struct identity_fixture *f, const char *sample, long least)
{
    double until = raw_now_s() + RAW_DEADLINE_S;
    while (bridge_metric(&f->bridge, sample) < least) {
        if (raw_now_s() > until) {
            fail_msg("%s is not %ld", sample, least);
        }
    }
}

static void assert_unauthorized(const struct identity_fixture *f, const char *user)
{
    struct raw_reply reply;
    assert_int_equal(ask(f, "/v1/c", user, &reply), 401);
    /* RFC 7617 2 and 2.1. */
    assert_non_null(strstr(
        reply.head, "\r\nWWW-Authenticate: Basic realm=\"millrace\", charset=\"UTF-8\"\r\n"));
    raw_check_problem(&reply, 401, NULL);
    if (user != NULL) {
        assert_non_null(
            strstr(reply.body, "Authorization: no device of this name with this password"));
    }
    free(reply.body);
}

static void test_wrong_ones_are_told_the_same(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", NULL};
    struct identity_fixture f;
    struct mock_records records;
    int fd;
    (void)state;
    start(&f, flags);
    assert_unauthorized(&f, NULL);
    assert_unauthorized(&f, "d1@farm:Sesame");
    assert_unauthorized(&f, "d1@farm:");
    assert_unauthorized(&f, "d1:sesame");
    assert_unauthorized(&f, "d1@other:sesame");
    assert_unauthorized(&f, "nobody@farm:sesame");
    assert_unauthorized(&f, "bare@farm:sesame");
    assert_unauthorized(&f, "bare@farm:");
    assert_unauthorized(&f, "off@farm:wrong");
    assert_int_equal(status_of(&f, "off@farm:sesame"), 403);
    assert_int_equal(status_of(&f, "@farm:sesame"), 400);
    assert_int_equal(status_of(&f, "no colon"), 400);
    fd = raw_connect(f.bridge.port);
    bridge_put_event(fd, "/v1/c", "Authorization: Bearer abc\r\n", "x");
    raw_expect(fd, 401, NULL);
    bridge_put_event(fd, "/v1/c",
                     "Authorization: Basic ZDE6eA==\r\nAuthorization: Basic ZDE6eA==\r\n", "x");
    raw_expect(fd, 400, NULL);
    (void)close(fd);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("wrong")), 8);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("missing")), 2);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("malformed")), 3);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("forbidden")), 1);
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
    stop(&f);
}

static void expect(const struct identity_fixture *f, int status, const char *target,
                   const char *user)
{
    struct raw_reply reply;
    assert_int_equal(ask(f, target, user, &reply), status);
    free(reply.body);
}

static void assert_stored(const struct mock_records *records, const char *subject,
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

static void test_the_proven_device_is_stored(void **state)
{
    struct identity_fixture f;
    struct mock_records records;
    (void)state;
    start(&f, bridge_no_more);
    expect(&f, 202, "/v1/own", "d1@farm:sesame");
    expect(&f, 202, "/v1/lies?application=other&device=d9", "d2@farm:sesame");
    expect(&f, 202, "/v1/default", "plain:sesame");
    expect(&f, 202, "/v1/as?as=room-7", "gateway@farm:sesame");
    expect(&f, 202, "/v1/for?device=d1", "gateway@farm:sesame");
    expect(&f, 403, "/v1/no?as=d2", "gateway@farm:sesame");
    expect(&f, 403, "/v1/no?as=d2", "d1@farm:sesame");
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 5);
    assert_stored(&records, "own", "farm", "d1", NULL);
    assert_stored(&records, "lies", "farm", "d2", NULL);
    assert_stored(&records, "default", "default", "plain", NULL);
    assert_stored(&records, "as", "farm", "room-7", "gateway");
    assert_stored(&records, "for", "farm", "d1", "gateway");
    mock_records_free(&records);
    stop(&f);
}

#define EVENT(id, device)                   \
    "{\"specversion\":\"1.0\",\"id\":\"" id \
    "\",\"source\":\"/s\",\"type\":\"t\",\"device\":\"" device "\",\"subject\":\"" id "\"}"

/* base64 of gateway@farm:sesame */
#define BATCH                                               \
    "Authorization: Basic Z2F0ZXdheUBmYXJtOnNlc2FtZQ==\r\n" \
    "Content-Type: application/cloudevents-batch+json\r\n"

static void test_a_batch_of_a_gateway(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=1s", NULL};
    static const char events[] = "[" EVENT("e1", "room-1") "," EVENT("e2", "d2") "]";
    struct identity_fixture f;
    struct mock_records records;
    struct raw_reply reply;
    int fd;
    (void)state;
    start(&f, flags);
    fd = raw_connect(f.bridge.port);
    bridge_put_event(fd, "/events", "Content-Type: application/cloudevents-batch+json\r\n", events);
    raw_expect(fd, 401, NULL);
    bridge_put_event(fd, "/events", BATCH, events);
    raw_expect(fd, 202, "");
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 2);
    assert_stored(&records, "e1", "farm", "room-1", "gateway");
    assert_stored(&records, "e2", "farm", "gateway", NULL); /* for which it may not speak */
    mock_records_free(&records);
    mock_kafka_set_rtt(&f.bridge.mock, 60000);
    bridge_put_event(fd, "/events", BATCH, events);
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 504, NULL);
    assert_non_null(strstr(reply.body, "\"e1\""));
    assert_non_null(strstr(reply.body, "\"e2\""));
    free(reply.body);
    (void)close(fd);
    mock_kafka_set_rtt(&f.bridge.mock, 0);
    stop(&f);
}

static void test_a_right_password_is_checked_once(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    start(&f, flags);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    }
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 1);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("checked")), 1);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("cached")), 4);
    assert_int_equal(status_of(&f, "d1@farm:wrong"), 401);
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 2);
    /* All of them wait for one. */
    for (int i = 0; i < MANY; i++) {
        fds[i] = open_and_put(&f, "slow@farm:slow");
    }
    for (int i = 0; i < MANY; i++) {
        raw_expect(fds[i], 202, "");
        (void)close(fds[i]);
    }
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 3);
    stop(&f);
}

static void test_an_unknown_device_costs_a_check_too(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", NULL};
    static const char *const users[] = {"d1@farm:a", "nobody@farm:a", "bare@farm:a", "off@farm:a"};
    struct identity_fixture f;
    (void)state;
    start(&f, flags);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(status_of(&f, users[i % 4]), 401);
        assert_int_equal(bridge_metric(&f.bridge, CHECKS), i + 1);
    }
    stop(&f);
}

static void test_wrong_ones_are_limited(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=3", "--http.attempts.time=4s", NULL};
    struct identity_fixture f;
    struct raw_reply reply;
    const char *retry;
    double until;
    (void)state;
    start(&f, flags);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(status_of(&f, i == 1 ? "nobody:x" : "d2@farm:x"), 401);
    }
    assert_int_equal(ask(&f, "/v1/c", "d2@farm:sesame", &reply), 429);
    raw_check_problem(&reply, 429, NULL);
    retry = strstr(reply.head, "\r\nRetry-After: ");
    assert_non_null(retry);
    assert_in_range(strtol(retry + 15, NULL, 10), 1, 4);
    free(reply.body);
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 4);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("limited")), 1);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202); /* found right before */
    until = raw_now_s() + RAW_DEADLINE_S;
    while (status_of(&f, "d2@farm:sesame") != 202) { /* once the time is over */
        assert_true(raw_now_s() < until);
    }
    stop(&f);
}

/* From another address of this machine. */
static int status_from(const struct identity_fixture *f, uint32_t from, const char *user)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(f->bridge.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct raw_reply reply;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    put(fd, "/v1/c", user);
    raw_get_reply(fd, &reply);
    (void)close(fd);
    free(reply.body);
    return reply.status;
}

static void test_each_address_is_judged_by_itself(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=2", "--http.attempts.time=1h", NULL};
    enum { OTHER = INADDR_LOOPBACK + 1 };
    struct identity_fixture f;
    (void)state;
    start(&f, flags);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:a"), 401);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:b"), 401);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:c"), 429);
    /* It learns nothing of what was found right elsewhere. */
    assert_int_equal(status_from(&f, OTHER, "d1@farm:sesame"), 429);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(status_of(&f, "d2@farm:sesame"), 202);
    stop(&f);
}

static void test_those_found_right_do_not_wait_behind_others(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    start(&f, flags);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    for (int i = 0; i < MANY; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "slow@farm:wrong-%d", i);
        fds[i] = open_and_put(&f, user);
    }
    wait_metric(&f, WAITING, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    }
    assert_true(bridge_metric(&f.bridge, WAITING) > 0);
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]); /* before they are answered */
    }
    stop(&f);
}

/* By all loops, as good as surely. */
static bool are_refused(const struct identity_fixture *f, const char *user)
{
    bool are = true;
    for (int i = 0; i < MANY; i++) {
        are = status_of(f, user) == 401 && are;
    }
    return are;
}

static void test_a_changed_password_counts_at_once(void **state)
{
    static const char *const flags[] = {"--http.loops=2", "--http.attempts.max=0",
                                        "--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    double until;
    (void)state;
    start(&f, flags);
    for (int i = 0; i < MANY; i++) { /* so that either loop has it in its cache */
        assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    }
    /* Of the password "slow" now, and d2 is gone. */
    write_devices(&f, "[device d1@farm]\npassword = " HASH_SLOW "\n");
    spawned_signal(&f.bridge.child, SIGHUP);
    wait_metric(&f, READS("taken"), 2);
    assert_int_equal(bridge_metric(&f.bridge, "millrace_http_devices"), 1);
    until = raw_now_s() + RAW_DEADLINE_S;
    while (!are_refused(&f, "d2@farm:sesame")) { /* the other loop may be a moment behind */
        assert_true(raw_now_s() < until);
    }
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 401);
    assert_int_equal(status_of(&f, "d1@farm:slow"), 202);
    stop(&f);
}

static void test_a_changed_file_is_read(void **state)
{
    struct identity_fixture f;
    (void)state;
    start(&f, bridge_no_more);
    assert_int_equal(status_of(&f, "new:sesame"), 401);
    write_devices(&f, "[device new]\npassword = " HASH_SHA512 "\n");
    wait_metric(&f, READS("taken"), 2);
    assert_int_equal(status_of(&f, "new:sesame"), 202);
    stop(&f);
}

static void test_a_broken_file_changes_nothing(void **state)
{
    struct identity_fixture f;
    (void)state;
    start(&f, bridge_no_more);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    write_devices(&f, "[device d1@farm]\npassword = sesame\n[device x\n");
    spawned_signal(&f.bridge.child, SIGHUP);
    (void)spawned_wait_log(&f.bridge.child, "the devices read before stay in force");
    assert_non_null(strstr(f.bridge.child.log, ":2: password: expected a hash"));
    assert_non_null(strstr(f.bridge.child.log, ":3: expected ']'"));
    assert_null(strstr(f.bridge.child.log, "sesame"));
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(status_of(&f, "d2@farm:sesame"), 202);
    assert_int_equal(unlink(f.path), 0);
    spawned_signal(&f.bridge.child, SIGHUP);
    (void)spawned_wait_log(&f.bridge.child, "No such file or directory");
    assert_int_equal(status_of(&f, "plain:sesame"), 202);
    stop(&f);
}

static size_t count_stored(struct identity_fixture *f)
{
    struct mock_records records;
    size_t count;
    mock_kafka_read(&f->bridge.mock, "events", &records);
    count = records.count;
    mock_records_free(&records);
    return count;
}

static void test_a_client_that_leaves_during_its_check(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    int fd;
    (void)state;
    start(&f, flags);
    fd = open_and_put(&f, "slow@farm:slow");
    wait_metric(&f, WAITING, 1);
    (void)close(fd);
    spawned_signal(&f.bridge.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    assert_int_equal(count_stored(&f), 1); /* all the same */
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_a_drain_waits_for_checks(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    int fd;
    (void)state;
    start(&f, flags);
    fd = open_and_put(&f, "slow@farm:slow");
    wait_metric(&f, WAITING, 1);
    spawned_signal(&f.bridge.child, SIGTERM);
    raw_expect(fd, 202, "");
    raw_expect_end(fd);
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    assert_int_equal(count_stored(&f), 1);
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_a_drain_does_not_wait_for_all_that_is_queued(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=300ms",
                                        "--http.loops=2", NULL};
    struct identity_fixture f;
    int fds[4 * MANY];
    (void)state;
    start(&f, flags);
    for (int i = 0; i < 4 * MANY; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "slow@farm:wrong-%d", i);
        fds[i] = open_and_put(&f, user);
    }
    wait_metric(&f, WAITING, 2 * MANY);
    spawned_signal(&f.bridge.child, SIGTERM);
    for (int i = 0; i < 4 * MANY; i++) {
        struct raw_reply reply;
        raw_get_reply(fds[i], &reply);
        assert_true(reply.status == 503 || reply.status == 401);
        free(reply.body);
        raw_expect_end(fds[i]);
    }
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_over_the_deadline_they_are_given_up(void **state)
{
    static const char *const flags[] = {"--admin.shutdown.deadline=1s", "--http.answer.timeout=30s",
                                        "--http.attempts.max=0", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    start(&f, flags);
    for (int i = 0; i < MANY; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "slow@farm:wrong-%d", i);
        fds[i] = open_and_put(&f, user);
    }
    wait_metric(&f, WAITING, MANY / 2);
    spawned_signal(&f.bridge.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.bridge.child), 1);
    assert_null(strstr(f.bridge.child.log, "not a live"));
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]);
    }
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_too_many_checks_are_a_503(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.password.checks.max=1",
                                        "--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    struct raw_reply reply;
    int fds[3];
    (void)state;
    start(&f, flags);
    fds[0] = open_and_put(&f, "slow@farm:a");
    fds[1] = open_and_put(&f, "slow@farm:b");
    fds[2] = open_and_put(&f, "slow@farm:c");
    wait_metric(&f, WAITING, 3); /* two run, one waits */
    assert_int_equal(ask(&f, "/v1/c", "d1@farm:sesame", &reply), 503);
    assert_non_null(strstr(reply.head, "\r\nRetry-After: 1\r\n"));
    raw_check_problem(&reply, 503, NULL);
    free(reply.body);
    for (int i = 0; i < 3; i++) {
        raw_expect(fds[i], 401, NULL);
        (void)close(fds[i]);
    }
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    stop(&f);
}

/* One address never has more than a quarter of the places. */
static void test_places_are_shared_out(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=1000", "--http.password.checks.max=8",
                                        "--http.answer.timeout=30s", NULL};
    struct identity_fixture f;
    int fds[2];
    (void)state;
    start(&f, flags);
    fds[0] = open_and_put(&f, "slow@farm:a");
    fds[1] = open_and_put(&f, "slow@farm:b");
    wait_metric(&f, WAITING, 2);
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 503);
    for (int i = 0; i < 2; i++) {
        raw_expect(fds[i], 401, NULL);
        (void)close(fds[i]);
    }
    assert_int_equal(status_of(&f, "d1@farm:sesame"), 202);
    stop(&f);
}

static void test_the_time_of_the_answer_counts(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=100ms", NULL};
    struct identity_fixture f;
    (void)state;
    start(&f, flags);
    assert_int_equal(status_of(&f, "slow@farm:slow"), 503);
    assert_int_equal(bridge_metric(&f.bridge, WAITING), 1); /* long before the check's end */
    assert_int_equal(count_stored(&f), 0);
    while (bridge_metric(&f.bridge, WAITING) > 0) {
    }
    assert_int_equal(status_of(&f, "slow@farm:slow"), 202); /* it went on, and was right */
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 1);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_ones_are_told_the_same),
        cmocka_unit_test(test_the_proven_device_is_stored),
        cmocka_unit_test(test_a_batch_of_a_gateway),
        cmocka_unit_test(test_a_right_password_is_checked_once),
        cmocka_unit_test(test_an_unknown_device_costs_a_check_too),
        cmocka_unit_test(test_wrong_ones_are_limited),
        cmocka_unit_test(test_each_address_is_judged_by_itself),
        cmocka_unit_test(test_those_found_right_do_not_wait_behind_others),
        cmocka_unit_test(test_a_changed_password_counts_at_once),
        cmocka_unit_test(test_a_changed_file_is_read),
        cmocka_unit_test(test_a_broken_file_changes_nothing),
        cmocka_unit_test(test_a_client_that_leaves_during_its_check),
        cmocka_unit_test(test_a_drain_waits_for_checks),
        cmocka_unit_test(test_a_drain_does_not_wait_for_all_that_is_queued),
        cmocka_unit_test(test_over_the_deadline_they_are_given_up),
        cmocka_unit_test(test_too_many_checks_are_a_503),
        cmocka_unit_test(test_places_are_shared_out),
        cmocka_unit_test(test_the_time_of_the_answer_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
