// SPDX-License-Identifier: Apache-2.0
/* `millrace send --mqtt` against the scripted broker: what it waits for, and what it does when the
 * broker refuses, goes away or says nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/certificates.h"
#include "lib/script_broker.h"
#include "lib/spawned.h"

enum { ARGUMENTS_MAX = 20, OLD = WIRE_LEVEL_311, NEW = WIRE_LEVEL_5 };

/* Reason codes of MQTT 5.0, 2.4. */
enum {
    NO_SUBSCRIBER = 0x10,
    NOT_AUTHORIZED = 0x87,
    SERVER_UNAVAILABLE = 0x88,
    QUOTA_EXCEEDED = 0x97,
};
enum { OLD_NOT_AUTHORIZED = 5 }; /* MQTT 3.1.1, 3.2.2.3 */

/* A CloudEvent with an attribute of each type. */
#define EVENT                                              \
    "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/" \
    "a\",\"type\":\"x.y\",\"n\":-1,\"b\":true,"            \
    "\"datacontenttype\":\"text/plain\",\"data\":\"hot\"}"

/* Lines "1" to "9" by standard input; standard output goes where spawned reads. */
static const char shell[] =
    "exec \"$0\" send --mqtt \"$@\" >&2 <<END\n"
    "1\n2\n3\n4\n5\n6\n7\n8\n9\nEND\n";

static void start_at(struct spawned *child, const char *host, uint16_t port,
                     const char *const *words)
{
    const char *arguments[ARGUMENTS_MAX] = {"/bin/sh", "-c", shell, TEST_BUILD_DIR "/cli/millrace"};
    char broker[64];
    size_t count = 4;
    (void)snprintf(broker, sizeof broker, "--broker=%s:%u", host, port);
    arguments[count++] = broker;
    for (; *words != NULL; words++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        arguments[count++] = *words;
    }
    spawned_start(child, arguments);
}
#define START(child, broker, ...)                              \
    start_at((child), "127.0.0.1", script_broker_port(broker), \
             (const char *const[]){__VA_ARGS__, NULL})

static void expect_end(struct spawned *child, int status, const char *text)
{
    int found = spawned_wait(child);
    if (found != status || strstr(child->log, text) == NULL) {
        fail_msg("status %d, not %d with '%s':\n%s", found, status, text, child->log);
    }
}

/* PUBACK (3.4) of the n-th PUBLISH, from 0. Returns its packet. */
static const struct script_broker_packet *acknowledge(struct script_broker *broker, int level,
                                                      size_t n, uint8_t reason)
{
    const struct script_broker_packet *packet = script_broker_wait_packet(broker, WIRE_PUBLISH, 0);
    struct mr_buf body, bytes;
    for (; n > 0; n--) {
        packet = script_broker_wait_packet(broker, WIRE_PUBLISH, packet->number);
    }
    wire_begin(&body);
    wire_begin(&bytes);
    wire_add_2(&body, packet->packet.packet_id);
    if (level == NEW && reason != 0) {
        wire_add_1(&body, reason);
    }
    wire_add_packet(&bytes, WIRE_PUBACK, 0, buf_slice(&body));
    script_broker_send(broker, packet->connection, buf_slice(&bytes));
    buf_done(&body);
    buf_done(&bytes);
    return packet;
}

static const struct wire_packet *only_message(struct script_broker *broker, struct spawned *child,
                                              int level)
{
    const struct script_broker_packet *packet = acknowledge(broker, level, 0, 0);
    expect_end(child, 0, "1 of 1 acknowledged\n");
    assert_string_equal(packet->packet.topic, "a/b");
    return &packet->packet;
}

static void test_a_message_has_what_was_asked_for(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    const struct wire_packet *packet;
    struct spawned child;
    (void)state;
    START(&child, broker, "a/b", "{\"celsius\":21.5}", "--id=1", "--device=d", "--application=f",
          "--time=2010-01-01T00:00:00Z", "--properties=a=1%2C2,b=%3D%25,a=");
    packet = only_message(broker, &child, NEW);
    assert_string_equal(packet->payload, "{\"celsius\":21.5}");
    assert_string_equal(packet->content_type, "application/json");
    assert_string_equal(packet->user_properties,
                        "id=1;time=2010-01-01T00:00:00Z;application=f;device=d;a=1,2;b==%;a=;");
    script_broker_stop(broker);

    broker = script_broker_start(NULL, NULL);
    START(&child, broker, "a/b", "{\"celsius\":21.5}", "--protocol=3.1.1");
    assert_string_equal(only_message(broker, &child, OLD)->payload, "{\"celsius\":21.5}");
    script_broker_stop(broker);
}

/* CloudEvents MQTT binding 1.0.2: 3.1 with version 5, 3.2 with 3.1.1 (2.3). */
static void test_an_event_is_sent_as_the_binding_has_it(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    const struct wire_packet *packet;
    struct cert_folder folder;
    struct spawned child;
    char input[CERT_PATH_BYTES + 16];
    (void)state;
    cert_folder_make(&folder);
    cert_write_text(cert_path(&folder, "events"), EVENT "\n");
    (void)snprintf(input, sizeof input, "--input=%s", cert_path(&folder, "events"));
    START(&child, broker, "a/b", "--events", input);
    packet = only_message(broker, &child, NEW);
    assert_string_equal(packet->payload, "hot");
    assert_string_equal(packet->content_type, "text/plain");
    assert_string_equal(packet->user_properties,
                        "specversion=1.0;id=7;source=/a;type=x.y;n=-1;b=true;");
    script_broker_stop(broker);

    broker = script_broker_start(NULL, NULL);
    START(&child, broker, "a/b", "--events", input, "--protocol=3.1.1");
    assert_string_equal(only_message(broker, &child, OLD)->payload, EVENT);
    script_broker_stop(broker);
    cert_folder_remove(&folder);
}

static void no_more_than_the_window(int level, const char *protocol)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    const struct script_broker_packet *packet;
    struct spawned child;
    START(&child, broker, "t", "--lines", "--window=2", protocol, "--user=me", "--password=secret",
          "--client.id=device-1");
    packet = script_broker_wait_packet(broker, WIRE_CONNECT, 0);
    assert_int_equal(packet->packet.level, level);
    assert_true(packet->packet.clean_start);
    assert_string_equal(packet->packet.client_id, "device-1");
    assert_string_equal(packet->packet.user, "me");
    assert_string_equal(packet->packet.password, "secret");
    script_broker_wait_count(broker, WIRE_PUBLISH, 1, 2);
    for (size_t n = 0; n < 9; n++) {
        size_t on_their_way = n + 2 < 9 ? n + 2 : 9;
        assert_int_equal(script_broker_count(broker, WIRE_PUBLISH, 1), on_their_way);
        packet = acknowledge(broker, level, n, 0);
        assert_int_equal(packet->packet.flags & 6, 2); /* QoS 1 (3.3.1.2) */
        if (on_their_way < 9) {
            script_broker_wait_count(broker, WIRE_PUBLISH, 1, on_their_way + 1);
        }
    }
    (void)script_broker_wait_packet(broker, WIRE_DISCONNECT, 0);
    expect_end(&child, 0, "9 of 9 acknowledged\n");
    script_broker_stop(broker);
}

static void test_it_waits_for_each_puback_within_the_window(void **state)
{
    (void)state;
    no_more_than_the_window(NEW, "--protocol=5");
    no_more_than_the_window(OLD, "--protocol=3.1.1");
}

static void test_what_the_broker_refuses_is_told_and_the_others_go_on(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    (void)state;
    START(&child, broker, "t", "-l");
    for (size_t n = 0; n < 9; n++) {
        (void)acknowledge(broker, NEW, n, n == 3 ? QUOTA_EXCEEDED : n == 5 ? NO_SUBSCRIBER : 0);
    }
    expect_end(&child, 1, "7 of 9 acknowledged, 2 refused\n");
    assert_non_null(strstr(child.log, "line 4: Quota exceeded"));
    assert_non_null(strstr(child.log, "line 6: nobody subscribes to the topic"));
    script_broker_stop(broker);
}

static void unanswered_ones_come_again(int level, const char *protocol)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    START(&child, broker, "t", "-l", protocol);
    script_broker_wait_count(broker, WIRE_PUBLISH, 1, 9);
    for (size_t n = 0; n < 4; n++) {
        (void)acknowledge(broker, level, n, 0);
    }
    script_broker_close(broker, 1, false);
    script_broker_wait_count(broker, WIRE_PUBLISH, 2, 5);
    for (size_t n = 9; n < 14; n++) {
        const struct script_broker_packet *packet = acknowledge(broker, level, n, 0);
        assert_int_equal(packet->connection, 2);
        assert_true((packet->packet.flags & 8) != 0); /* DUP (3.3.1.1) */
    }
    expect_end(&child, 0, "9 of 9 acknowledged\n");
    script_broker_stop(broker);
}

static void test_what_had_no_puback_comes_again_on_a_new_connection(void **state)
{
    (void)state;
    unanswered_ones_come_again(NEW, "--protocol=5");
    unanswered_ones_come_again(OLD, "--protocol=3.1.1");
}

static void test_a_broker_that_does_not_want_the_client_ends_it(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    (void)state;
    script_broker_set(broker, &(struct script_broker_script){.connack = NOT_AUTHORIZED});
    START(&child, broker, "t", "x");
    expect_end(&child, 1, "0 of 1 acknowledged, not sent\n");
    assert_non_null(strstr(child.log, "Not authorized"));
    script_broker_set(broker, &(struct script_broker_script){.connack = OLD_NOT_AUTHORIZED});
    START(&child, broker, "t", "x", "--protocol=3.1.1");
    expect_end(&child, 1, "0 of 1 acknowledged, not sent\n");
    assert_non_null(strstr(child.log, "not authorised"));
    assert_int_equal(script_broker_connections(broker), 2);
    script_broker_stop(broker);
}

static void test_a_broker_that_is_busy_or_away_is_waited_for(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    (void)state;
    script_broker_set(broker, &(struct script_broker_script){.connack = SERVER_UNAVAILABLE});
    START(&child, broker, "t", "x");
    (void)script_broker_wait_packet(broker, WIRE_CONNECT, 0);
    script_broker_set_up(broker, false);
    script_broker_set(broker, &(struct script_broker_script){0});
    script_broker_set_up(broker, true);
    (void)acknowledge(broker, NEW, 0, 0);
    expect_end(&child, 0, "1 of 1 acknowledged\n");
    script_broker_stop(broker);
}

static void test_it_gives_up_when_there_is_no_puback_any_more(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    (void)state;
    START(&child, broker, "t", "-l", "--window=3", "--timeout=1s");
    (void)acknowledge(broker, NEW, 0, 0);
    expect_end(&child, 1, "1 of 4 acknowledged, 3 not answered; what is left of the input was");
    assert_non_null(strstr(child.log, "given up, since nothing was acknowledged any more"));

    script_broker_set(broker, &(struct script_broker_script){.connack_held = true});
    START(&child, broker, "t", "x", "--timeout=1s");
    expect_end(&child, 1, "0 of 1 acknowledged, not sent\n");
    script_broker_stop(broker);
}

static void test_an_interrupt_tells_how_far_it_came(void **state)
{
    struct script_broker *broker = script_broker_start(NULL, NULL);
    struct spawned child;
    (void)state;
    START(&child, broker, "t", "x");
    script_broker_wait_count(broker, WIRE_PUBLISH, 1, 1);
    spawned_signal(&child, SIGTERM);
    expect_end(&child, 1, "0 of 1 acknowledged, 1 not answered\n");
    script_broker_stop(broker);
}

/* The broker's certificate is for localhost and 127.0.0.1, not for "127.1", which is the same. */
static void test_the_brokers_certificate_is_checked(void **state)
{
    struct cert ca, server;
    struct cert_folder folder;
    struct script_broker *broker;
    struct spawned child;
    char trusted[CERT_PATH_BYTES + 16];
    uint16_t port;
    (void)state;
    cert_folder_make(&folder);
    cert_make(&ca, &(struct cert_spec){.common_name = "ca", .is_authority = 1});
    cert_make(&server, &(struct cert_spec){.common_name = "localhost", .issuer = &ca});
    cert_write(cert_path(&folder, "ca.pem"), &ca, NULL);
    (void)snprintf(trusted, sizeof trusted, "--tls.ca=%s", cert_path(&folder, "ca.pem"));
    broker = script_broker_start(&server, NULL);
    port = script_broker_port(broker);

    start_at(&child, "localhost", port, (const char *const[]){"t", "x", "--tls", trusted, NULL});
    (void)acknowledge(broker, NEW, 0, 0);
    expect_end(&child, 0, "1 of 1 acknowledged\n");
    start_at(&child, "127.1", port,
             (const char *const[]){"t", "x", "--tls", trusted, "--timeout=1s", NULL});
    expect_end(&child, 1, "host name verification failed");
    start_at(&child, "localhost", port,
             (const char *const[]){"t", "x", "--tls", "--timeout=1s", NULL});
    expect_end(&child, 1, "certificate verify failed");
    start_at(&child, "127.1", port,
             (const char *const[]){"t", "x", "--tls", trusted, "--tls.verify.name=false", NULL});
    (void)acknowledge(broker, NEW, 1, 0);
    expect_end(&child, 0, "1 of 1 acknowledged\n");

    script_broker_stop(broker);
    cert_done(&server);
    cert_done(&ca);
    cert_folder_remove(&folder);
}

static void test_a_certificate_of_ours_is_shown(void **state)
{
    struct cert ca, server, client;
    struct cert_folder folder;
    struct script_broker *broker;
    struct spawned child;
    char trusted[CERT_PATH_BYTES + 32], certificate[CERT_PATH_BYTES + 32];
    char key[CERT_PATH_BYTES + 32];
    (void)state;
    cert_folder_make(&folder);
    cert_make(&ca, &(struct cert_spec){.common_name = "ca", .is_authority = 1});
    cert_make(&server, &(struct cert_spec){.common_name = "localhost", .issuer = &ca});
    cert_make(&client, &(struct cert_spec){.common_name = "device-1", .issuer = &ca});
    cert_write(cert_path(&folder, "ca.pem"), &ca, NULL);
    cert_write(cert_path(&folder, "client.pem"), &client, NULL);
    cert_write_key(cert_path(&folder, "client.key"), &client, NULL);
    (void)snprintf(trusted, sizeof trusted, "--tls.ca=%s", cert_path(&folder, "ca.pem"));
    (void)snprintf(certificate, sizeof certificate, "--tls.certificate=%s",
                   cert_path(&folder, "client.pem"));
    (void)snprintf(key, sizeof key, "--tls.key=%s", cert_path(&folder, "client.key"));
    broker = script_broker_start(&server, &ca);

    START(&child, broker, "t", "x", "--tls", trusted, certificate, key);
    (void)acknowledge(broker, NEW, 0, 0);
    expect_end(&child, 0, "1 of 1 acknowledged\n");
    START(&child, broker, "t", "x", "--tls", trusted, "--timeout=1s");
    expect_end(&child, 1, "0 of 1 acknowledged, not sent\n");
    START(&child, broker, "t", "x", "--tls", trusted, "--tls.certificate=/nosuch", key);
    expect_end(&child, 2, "--tls.certificate: can't be read: No such file or directory");

    script_broker_stop(broker);
    cert_done(&client);
    cert_done(&server);
    cert_done(&ca);
    cert_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_has_what_was_asked_for),
        cmocka_unit_test(test_an_event_is_sent_as_the_binding_has_it),
        cmocka_unit_test(test_it_waits_for_each_puback_within_the_window),
        cmocka_unit_test(test_what_the_broker_refuses_is_told_and_the_others_go_on),
        cmocka_unit_test(test_what_had_no_puback_comes_again_on_a_new_connection),
        cmocka_unit_test(test_a_broker_that_does_not_want_the_client_ends_it),
        cmocka_unit_test(test_a_broker_that_is_busy_or_away_is_waited_for),
        cmocka_unit_test(test_it_gives_up_when_there_is_no_puback_any_more),
        cmocka_unit_test(test_an_interrupt_tells_how_far_it_came),
        cmocka_unit_test(test_the_brokers_certificate_is_checked),
        cmocka_unit_test(test_a_certificate_of_ours_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
