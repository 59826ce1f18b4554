// SPDX-License-Identifier: Apache-2.0
/* The program millrace-http with TLS, between OpenSSL's client and the mock cluster: whom it lets
 * in, what it makes of new files, and its end. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"
#include "lib/tls_client.h"

enum {
    FLAG_BYTES = 300,
    PIPELINE_MAX = 64,
    PIPELINED = 150,
    OLD_SERIAL = 1,
    NEW_SERIAL = 2,
    REVOKED_SERIAL = 77
};

/* RFC 8446 6.2 */
enum {
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_UNKNOWN_CA = 48,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_CERTIFICATE_REQUIRED = 116,
};

struct fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct cert renewed;
    struct cert device;
    struct cert revoked;
    struct bridge_fixture f;
    char certificate[FLAG_BYTES];
    char key[FLAG_BYTES];
    char client_ca[FLAG_BYTES];
    char client_crl[FLAG_BYTES];
};

static void flag(const struct fixture *t, char ret_flag[FLAG_BYTES], const char *name,
                 const char *file)
{
    (void)snprintf(ret_flag, FLAG_BYTES, "--http.%s=%.150s/%s", name, t->folder.path, file);
}

static void write_server(const struct fixture *t, const struct cert *cert)
{
    cert_write(cert_path(&t->folder, "server.pem"), cert, NULL);
    cert_write_key(cert_path(&t->folder, "server.key"), cert, NULL);
}

static int set_up(void **state)
{
    static struct fixture t;
    (void)signal(SIGPIPE, SIG_IGN);
    cert_folder_make(&t.folder);
    cert_make(&t.ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&t.server, &(struct cert_spec){
                             .common_name = "localhost", .issuer = &t.ca, .serial = OLD_SERIAL});
    cert_make(&t.renewed, &(struct cert_spec){
                              .common_name = "localhost", .issuer = &t.ca, .serial = NEW_SERIAL});
    cert_make(&t.device, &(struct cert_spec){
                             .common_name = "d1", .issuer = &t.ca, .serial = REVOKED_SERIAL - 1});
    cert_make(&t.revoked,
              &(struct cert_spec){.common_name = "d2", .issuer = &t.ca, .serial = REVOKED_SERIAL});
    write_server(&t, &t.server);
    cert_write(cert_path(&t.folder, "ca.pem"), &t.ca, NULL);
    flag(&t, t.certificate, "tls.certificate", "server.pem");
    flag(&t, t.key, "tls.key", "server.key");
    flag(&t, t.client_ca, "tls.client.ca", "ca.pem");
    flag(&t, t.client_crl, "tls.client.crl", "ca.crl");
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *t = *state;
    cert_done(&t->ca);
    cert_done(&t->server);
    cert_done(&t->renewed);
    cert_done(&t->device);
    cert_done(&t->revoked);
    cert_folder_remove(&t->folder);
    return 0;
}

#define START(t, ...)                                                   \
    do {                                                                \
        const char *const flags_[] = {(t)->certificate, (t)->key,       \
                                      __VA_ARGS__ __VA_OPT__(, ) NULL}; \
        bridge_start_tls(&(t)->f, flags_);                              \
    } while (0)

static void put_event(struct tls_client *client)
{
    tls_client_put(client,
                   "POST /v1/temp?device=d1 HTTP/1.1\r\nHost: a\r\n"
                   "Content-Length: 2\r\n\r\n21");
}

/* Let in, and an event of it is stored. */
static void expect_stored(const struct fixture *t, const struct tls_client_spec *spec)
{
    struct tls_client client;
    tls_client_open(&client, t->f.port, spec);
    put_event(&client);
    tls_client_expect(&client, 202, NULL);
    tls_client_close(&client);
}

static long handshakes(const struct fixture *t, const char *outcome)
{
    char sample[100];
    (void)snprintf(sample, sizeof sample, "millrace_http_tls_handshakes_total{outcome=\"%s\"}",
                   outcome);
    return bridge_metric(&t->f, sample);
}

static void test_versions_and_what_is_counted(void **state)
{
    struct fixture *t = *state;
    int fd;
    START(t);
    assert_int_equal(handshakes(t, "completed"), 0);
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca, .version = TLS1_2_VERSION});
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca, .version = TLS1_3_VERSION});
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.version = TLS1_1_VERSION},
                              ALERT_PROTOCOL_VERSION);
    fd = raw_connect(t->f.port);
    raw_put_get(fd, "/");
    raw_expect_refusal(fd, 400);
    assert_int_equal(handshakes(t, "completed"), 2);
    assert_int_equal(handshakes(t, "mismatch"), 1);
    assert_int_equal(handshakes(t, "plaintext"), 1);
    assert_true(bridge_metric(&t->f, "millrace_http_tls_not_after_seconds") > (long)time(NULL));
    bridge_stop(&t->f);
}

static void test_version_1_3_alone(void **state)
{
    struct fixture *t = *state;
    START(t, "--http.tls.version.min=1.3");
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca, .version = TLS1_3_VERSION});
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.version = TLS1_2_VERSION},
                              ALERT_PROTOCOL_VERSION);
    bridge_stop(&t->f);
}

/* In one process plain and TLS are served together. */
static void test_beside_plain_http(void **state)
{
    struct fixture *t = *state;
    const char *const flags[] = {t->certificate, t->key, "--http.tls.listen=127.0.0.1:0",
                                 "--http.loops=2", NULL};
    int fd;
    bridge_start(&t->f, flags);
    fd = raw_connect(t->f.port);
    bridge_put_event(fd, "/v1/temp?device=d1", "", "21");
    raw_expect(fd, 202, NULL);
    (void)close(fd);
    t->f.port = spawned_wait_port(&t->f.child, "msg=\"listening with TLS\" address=127.0.0.1:");
    for (int i = 0; i < 10; i++) {
        expect_stored(t, &(struct tls_client_spec){.ca = &t->ca});
    }
    bridge_stop(&t->f);
}

static void test_client_certificates(void **state)
{
    const long revoked[] = {REVOKED_SERIAL};
    struct fixture *t = *state;
    struct cert other_ca;
    struct cert stranger;
    struct cert expired;
    cert_make(&other_ca, &(struct cert_spec){.common_name = "Other CA", .is_authority = 1});
    cert_make(&stranger, &(struct cert_spec){.common_name = "d1", .issuer = &other_ca});
    cert_make(
        &expired,
        &(struct cert_spec){
            .common_name = "d1", .issuer = &t->ca, .serial = 9, .from_s = -7200, .to_s = -60});
    cert_write_crl(cert_path(&t->folder, "ca.crl"), &t->ca, revoked, 1);
    START(t, t->client_ca, t->client_crl, "--http.tls.client=required");
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca, .cert = &t->device});
    expect_stored(
        t, &(struct tls_client_spec){.ca = &t->ca, .cert = &t->device, .version = TLS1_2_VERSION});
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.ca = &t->ca},
                              ALERT_CERTIFICATE_REQUIRED);
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.cert = &stranger},
                              ALERT_UNKNOWN_CA);
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.cert = &expired},
                              ALERT_CERTIFICATE_EXPIRED);
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.cert = &t->revoked},
                              ALERT_CERTIFICATE_REVOKED);
    assert_int_equal(handshakes(t, "bad_certificate"), 4);
    bridge_stop(&t->f);
    cert_done(&other_ca);
    cert_done(&stranger);
    cert_done(&expired);
}

static void test_optional_client_certificates(void **state)
{
    struct fixture *t = *state;
    struct cert stranger;
    cert_make(&stranger, &(struct cert_spec){.common_name = "d1"});
    START(t, t->client_ca, "--http.tls.client=optional");
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca, .cert = &t->device});
    expect_stored(t, &(struct tls_client_spec){.ca = &t->ca});
    tls_client_expect_refused(t->f.port, &(struct tls_client_spec){.cert = &stranger},
                              ALERT_UNKNOWN_CA);
    bridge_stop(&t->f);
    cert_done(&stranger);
}

/* Until a new connection is shown this certificate `times` in a row (there are several loops). */
static void wait_serial(const struct fixture *t, long serial, int times)
{
    const struct tls_client_spec spec = {.ca = &t->ca};
    double end = raw_now_s() + RAW_DEADLINE_S;
    for (int same = 0; same < times;) {
        struct tls_client client;
        tls_client_open(&client, t->f.port, &spec);
        same = tls_client_serial(&client) == serial ? same + 1 : 0;
        tls_client_close(&client);
        assert_true(raw_now_s() < end);
    }
}

static void assert_in_use(struct tls_client *client)
{
    put_event(client);
    tls_client_expect(client, 202, NULL);
}

static void test_files_that_change_are_read_again(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    struct tls_client client;
    write_server(t, &t->server);
    START(t, "--http.loops=3");
    tls_client_open(&client, t->f.port, &spec);
    assert_int_equal(tls_client_serial(&client), OLD_SERIAL);
    assert_in_use(&client);
    write_server(t, &t->renewed);
    wait_serial(t, NEW_SERIAL, 20);
    assert_in_use(&client);
    /* What can't be used changes nothing, and the next change is tried again. */
    cert_write_text(cert_path(&t->folder, "server.pem"), "broken\n");
    (void)spawned_wait_log(&t->f.child,
                           "msg=\"TLS goes on with the certificate that it has\" "
                           "error=\"tls.certificate: ");
    wait_serial(t, NEW_SERIAL, 6);
    write_server(t, &t->server);
    wait_serial(t, OLD_SERIAL, 20);
    assert_in_use(&client);
    tls_client_close(&client);
    bridge_stop(&t->f);
}

static void test_sighup_while_a_connection_is_in_use(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    struct tls_client client;
    write_server(t, &t->server);
    START(t, "--http.loops=2");
    tls_client_open(&client, t->f.port, &spec);
    for (int i = 0; i < 20; i++) { /* in the midst of requests */
        put_event(&client);
        write_server(t, i % 2 == 0 ? &t->renewed : &t->server);
        spawned_signal(&t->f.child, SIGHUP);
        tls_client_expect(&client, 202, NULL);
    }
    write_server(t, &t->renewed);
    spawned_signal(&t->f.child, SIGHUP);
    wait_serial(t, NEW_SERIAL, 10);
    assert_in_use(&client);
    tls_client_close(&client);
    bridge_stop(&t->f);
    write_server(t, &t->server);
}

/* In TLS 1.3 with the first read. */
static bool is_let_in(const struct fixture *t, const struct tls_client_spec *spec)
{
    struct tls_client client;
    char byte;
    bool is_in = tls_client_try(&client, t->f.port, spec);
    if (is_in) {
        (void)SSL_write(client.ssl, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
        is_in = SSL_read(client.ssl, &byte, 1) == 1;
    }
    tls_client_close(&client);
    return is_in;
}

/* Revoked after the session began: its ticket is worth nothing any more. */
static void test_a_ticket_does_not_outlive_a_revocation(void **state)
{
    const long revoked[] = {REVOKED_SERIAL};
    struct fixture *t = *state;
    struct tls_client_spec spec = {.ca = &t->ca, .cert = &t->revoked};
    double end = raw_now_s() + RAW_DEADLINE_S;
    struct tls_client client;
    cert_write_crl(cert_path(&t->folder, "ca.crl"), &t->ca, NULL, 0);
    START(t, t->client_ca, t->client_crl, "--http.tls.client=required");
    tls_client_open(&client, t->f.port, &spec);
    assert_in_use(&client);
    spec.session = SSL_get1_session(client.ssl);
    /* As if it had ended well: OpenSSL forgets the others. */
    SSL_set_shutdown(client.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    tls_client_close(&client);
    tls_client_open(&client, t->f.port, &spec);
    assert_int_equal(SSL_session_reused(client.ssl), 1);
    assert_in_use(&client);
    tls_client_close(&client);
    cert_write_crl(cert_path(&t->folder, "ca.crl"), &t->ca, revoked, 1);
    spawned_signal(&t->f.child, SIGHUP);
    while (is_let_in(t, &spec)) {
        assert_true(raw_now_s() < end);
    }
    tls_client_expect_refused(t->f.port, &spec, ALERT_CERTIFICATE_REVOKED);
    SSL_SESSION_free(spec.session);
    bridge_stop(&t->f);
}

static void test_pipelining(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    struct tls_client client;
    START(t);
    tls_client_open(&client, t->f.port, &spec);
    for (int i = 0; i < PIPELINED; i++) {
        put_event(&client);
    }
    for (int i = 0; i < PIPELINED; i++) {
        tls_client_expect(&client, 202, NULL);
    }
    assert_int_equal(bridge_metric(&t->f, "millrace_producer_events_total{outcome=\"stored\"}"),
                     PIPELINED);
    tls_client_close(&client);
    bridge_stop(&t->f);
}

/* More than is read ahead, the rest when reading has paused: the time of what waits sealed in the
 * socket counts too, so that every answer comes in time. */
static void test_the_time_of_pipelined_events_counts_from_their_coming(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    struct tls_client client;
    double begun;
    START(t);
    expect_stored(t, &spec);
    mock_kafka_set_rtt(&t->f.mock, 60000);
    tls_client_open(&client, t->f.port, &spec);
    begun = raw_now_s();
    for (int i = 0; i < PIPELINED; i++) {
        put_event(&client);
        while (i == PIPELINE_MAX &&
               bridge_metric(&t->f, "millrace_http_in_flight") < PIPELINE_MAX) {
            assert_true(raw_now_s() - begun < ANSWER_S);
        }
    }
    for (int i = 0; i < PIPELINED; i++) {
        struct raw_reply reply;
        tls_client_get_reply(&client, &reply);
        assert_true(raw_now_s() - begun < ANSWER_S);
        /* What follows the first may have waited in librdkafka's queue. */
        assert_true(reply.status == 504 || (reply.status == 503 && i > 0));
        free(reply.body);
    }
    tls_client_close(&client);
    mock_kafka_set_rtt(&t->f.mock, 0);
    bridge_stop(&t->f);
}

static void test_a_client_that_leaves_changes_nothing(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    double end = raw_now_s() + RAW_DEADLINE_S;
    struct tls_client client;
    START(t);
    tls_client_open(&client, t->f.port, &spec);
    put_event(&client);
    tls_client_close(&client);
    while (bridge_metric(&t->f, "millrace_producer_events_total{outcome=\"stored\"}") != 1) {
        assert_true(raw_now_s() < end);
    }
    bridge_stop(&t->f);
}

static void test_the_end(void **state)
{
    struct fixture *t = *state;
    const struct tls_client_spec spec = {.ca = &t->ca};
    struct tls_client client;
    int midway;
    START(t, "--http.loops=2");
    tls_client_open(&client, t->f.port, &spec);
    assert_in_use(&client);
    midway = raw_connect(t->f.port);
    raw_put_bytes(midway, "\x16\x03\x01", 3);
    spawned_signal(&t->f.child, SIGTERM);
    tls_client_expect_end(&client);
    tls_client_close(&client);
    (void)close(midway);
    assert_int_equal(spawned_wait(&t->f.child), 0);
    mock_kafka_stop(&t->f.mock);
}

/* With --check: status 2, and these words. */
static void expect_wrong(const char *const *flags, const char *words)
{
    const char *arguments[16] = {BRIDGE_PROGRAM, "--check",
                                 "--kafka.bootstrap.servers=127.0.0.1:1"};
    struct spawned child;
    size_t count = 3;
    for (; *flags != NULL; flags++) {
        arguments[count++] = *flags;
    }
    spawned_start(&child, arguments);
    (void)spawned_wait_log(&child, words);
    assert_int_equal(spawned_wait(&child), 2);
    assert_null(strstr(child.log, "-----BEGIN"));
}

#define WRONG(words, ...) expect_wrong((const char *const[]){__VA_ARGS__, NULL}, (words))

static void test_wrong_options(void **state)
{
    struct fixture *t = *state;
    char stranger_key[FLAG_BYTES];
    char missing[FLAG_BYTES];
    flag(t, stranger_key, "tls.key", "stranger.key");
    flag(t, missing, "tls.key", "missing.key");
    cert_write_key(cert_path(&t->folder, "stranger.key"), &t->device, NULL);
    WRONG("plain: must be true without tls.certificate: nothing would be listened on",
          "--http.plain=false");
    WRONG("tls.key: must be given: the key of tls.certificate", t->certificate);
    WRONG("tls.certificate: must be given with tls.key", t->key);
    WRONG("tls.certificate: must be given with tls.client", "--http.tls.client=required",
          t->client_ca);
    WRONG("tls.client.ca: must be given: whose certificates tls.client is to accept",
          t->certificate, t->key, "--http.tls.client=optional");
    WRONG("tls.client.ca: is not used: tls.client must be optional or required", t->certificate,
          t->key, t->client_ca);
    WRONG("/stranger.key: does not belong to the certificate", t->certificate, stranger_key);
    WRONG("/missing.key: No such file or directory", t->certificate, missing);
    WRONG("tls.key: must be the name of a file, not what stands in it", t->certificate,
          "--http.tls.key=-----BEGIN PRIVATE KEY-----");
    WRONG("tls.version.min: ", t->certificate, t->key, "--http.tls.version.min=1.1");
}

static void test_an_outdated_certificate_warns(void **state)
{
    struct fixture *t = *state;
    struct cert old;
    cert_make(&old, &(struct cert_spec){
                        .common_name = "localhost", .issuer = &t->ca, .from_s = -7200, .to_s = -9});
    write_server(t, &old);
    START(t);
    (void)spawned_wait_log(&t->f.child,
                           "level=warn program=millrace-http msg=\"the TLS certificate"
                           " is outdated, or not valid yet: clients refuse it\"");
    bridge_stop(&t->f);
    write_server(t, &t->server);
    cert_done(&old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_and_what_is_counted),
        cmocka_unit_test(test_version_1_3_alone),
        cmocka_unit_test(test_beside_plain_http),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_optional_client_certificates),
        cmocka_unit_test(test_files_that_change_are_read_again),
        cmocka_unit_test(test_sighup_while_a_connection_is_in_use),
        cmocka_unit_test(test_a_ticket_does_not_outlive_a_revocation),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_the_time_of_pipelined_events_counts_from_their_coming),
        cmocka_unit_test(test_a_client_that_leaves_changes_nothing),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_an_outdated_certificate_warns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
