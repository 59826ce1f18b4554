// SPDX-License-Identifier: Apache-2.0
/* Brokers that refuse millrace-mqtt, or send it away: the reason is told, and it tries again, for
 * ever and not too often. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/certificates.h"
#include "lib/mqtt_fixture.h"
#include "lib/raw_client.h"

/* Reasons: MQTT 5.0, 2.4; return codes of CONNACK: 3.1.1, table 3.1. */
enum {
    BAD_USER_OR_PASSWORD = 0x86,
    NOT_AUTHORIZED = 0x87,
    SERVER_UNAVAILABLE = 0x88,
    SERVER_SHUTTING_DOWN = 0x8B,
    QUOTA_EXCEEDED = 0x97,
    V3_REFUSED_UNAVAILABLE = 3,
    V3_REFUSED_USER = 4,
    V3_REFUSED_NOT_AUTHORIZED = 5,
    V3_SUBACK_FAILURE = 0x80, /* 3.9.3 of 3.1.1 */
};

enum { FLAG_BYTES = 300, TRIES = 7, PAUSES_S = 3 };

static void test_a_disconnect_with_a_reason_is_told(void **state)
{
    static const char *const extra[] = {"--mqtt.reconnect.max=1s", NULL};
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.connack = SERVER_UNAVAILABLE});
    script_broker_disconnect(f.broker, 1, QUOTA_EXCEEDED, "too many of them");
    (void)spawned_wait_log(&f.child, "uota exceeded");
    script_broker_set(f.broker, &(struct script_broker_script){0});
    (void)script_broker_wait_subscribed(f.broker, after);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

/* Nobody listens any more: /readyz goes on saying why. */
/* Nothing is read then, but for the end. */
static void test_a_reason_is_told_while_acknowledgements_are_held(void **state)
{
    enum { COUNT = 3 };
    struct mqtt_fixture f;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    script_broker_disconnect(f.broker, 1, QUOTA_EXCEEDED, "too many of them");
    (void)spawned_wait_log(&f.child, "uota exceeded");
    mock_kafka_set_up(&f.mock, true);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_a_broker_that_shuts_down_says_so(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *end;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    script_broker_set(f.broker, &(struct script_broker_script){.connack_held = true});
    script_broker_disconnect(f.broker, 1, SERVER_SHUTTING_DOWN, NULL);
    end = script_broker_wait_packet(f.broker, WIRE_END, 0);
    mqtt_wait_not_ready(&f, "mqtt: ");
    (void)spawned_wait_log(&f.child, "erver shutting down");
    assert_int_equal(end->connection, 1);
    mqtt_stop(&f);
}

static void expect_refused(const char *protocol, uint8_t code, const char *text)
{
    const char *const extra[] = {protocol, "--mqtt.user=u", "--mqtt.password=wrong",
                                 "--mqtt.reconnect.max=1s", NULL};
    struct mqtt_fixture f;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.connack = code});
    mqtt_launch(&f, extra);
    mqtt_wait_not_ready(&f, text);
    assert_null(script_broker_look(f.broker, WIRE_SUBSCRIBE, 0));
    script_broker_set(f.broker, &(struct script_broker_script){0}); /* the password is right now */
    (void)script_broker_wait_subscribed(f.broker, 0);
    mqtt_wait_ready(&f);
    assert_null(strstr(f.child.log, "wrong"));
    mqtt_stop(&f);
}

static void test_wrong_credentials_are_told(void **state)
{
    (void)state;
    expect_refused("--mqtt.protocol=5", BAD_USER_OR_PASSWORD, "assword");
}

static void test_wrong_credentials_are_told_version_3(void **state)
{
    (void)state;
    expect_refused("--mqtt.protocol=3.1.1", V3_REFUSED_USER, "assword");
}

static void test_not_authorized_is_told(void **state)
{
    (void)state;
    expect_refused("--mqtt.protocol=5", NOT_AUTHORIZED, "ot authori");
}

static void test_not_authorized_is_told_version_3(void **state)
{
    (void)state;
    expect_refused("--mqtt.protocol=3.1.1", V3_REFUSED_NOT_AUTHORIZED, "ot authori");
}

static void test_an_unavailable_broker_is_told_version_3(void **state)
{
    (void)state;
    expect_refused("--mqtt.protocol=3.1.1", V3_REFUSED_UNAVAILABLE, "navailable");
}

static void expect_subscription_refused(const char *protocol,
                                        const struct script_broker_script *script)
{
    const char *const extra[] = {protocol, "--mqtt.reconnect.max=1s", NULL};
    struct mqtt_fixture f;
    mqtt_prepare(&f);
    script_broker_set(f.broker, script);
    mqtt_launch(&f, extra);
    (void)script_broker_wait_subscribed(f.broker, 0);
    mqtt_wait_not_ready(&f, "'+'");                           /* which one */
    script_broker_wait_count(f.broker, WIRE_SUBSCRIBE, 2, 1); /* it asks again by itself */
    script_broker_set(f.broker, &(struct script_broker_script){0});
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_a_refused_subscription_is_told(void **state)
{
    (void)state;
    expect_subscription_refused("--mqtt.protocol=5",
                                &(struct script_broker_script){.suback = NOT_AUTHORIZED});
}

static void test_a_refused_subscription_is_told_version_3(void **state)
{
    (void)state;
    expect_subscription_refused("--mqtt.protocol=3.1.1",
                                &(struct script_broker_script){.suback = V3_SUBACK_FAILURE});
}

/* QoS 0 would lose what comes while the bridge is away (3.9.3: less may be granted than asked). */
static void test_a_subscription_with_qos_0_is_refused_by_the_bridge(void **state)
{
    (void)state;
    expect_subscription_refused("--mqtt.protocol=5",
                                &(struct script_broker_script){.grants_qos_0 = true});
}

static void test_a_subscription_without_its_answer_is_not_ready(void **state)
{
    struct mqtt_fixture f;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.suback_held = true});
    mqtt_launch(&f, mqtt_no_more);
    (void)script_broker_wait_subscribed(f.broker, 0);
    mqtt_wait_not_ready(&f, "mqtt: ");
    assert_null(strstr(f.child.log, "msg=ready"));
    mqtt_stop(&f);
}

/* Each pause is twice as long as the one before, less a half at most, from 100 ms on. */
static void test_tries_get_rarer(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *packet = NULL;
    double first_s = 0;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.drops = true});
    mqtt_launch(&f, mqtt_no_more);
    for (int i = 0; i < TRIES; i++) {
        packet =
            script_broker_wait_packet(f.broker, WIRE_CONNECT, packet == NULL ? 0 : packet->number);
        first_s = i == 0 ? packet->at_s : first_s;
    }
    assert_true(packet->at_s - first_s >= PAUSES_S);
    mqtt_stop(&f);
}

/* As with two clients of one id, which a broker ends by turns. */
static void test_tries_get_rarer_though_each_is_subscribed(void **state)
{
    enum { ENDS = 5 };
    static const double last_pause_s = 0.8; /* half of 100 ms doubled four times */
    struct mqtt_fixture f;
    unsigned connection = 1;
    double pause_s = 0;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    for (int i = 0; i < ENDS; i++) {
        unsigned after = mqtt_last(&f);
        double ended_s = raw_now_s();
        script_broker_close(f.broker, connection, true);
        pause_s = script_broker_wait_packet(f.broker, WIRE_CONNECT, after)->at_s - ended_s;
        connection = mqtt_wait_subscribed(&f, after);
        mqtt_wait_ready(&f);
    }
    assert_true(pause_s >= last_pause_s);
    mqtt_stop(&f);
}

/* Somebody must mend something first, and the broker's log is not to be filled. */
static void test_tries_of_one_that_is_refused_are_rare(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    double first_s;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.connack = BAD_USER_OR_PASSWORD});
    mqtt_launch(&f, mqtt_no_more);
    packet = script_broker_wait_packet(f.broker, WIRE_CONNECT, 0);
    first_s = packet->at_s;
    packet = script_broker_wait_packet(f.broker, WIRE_CONNECT, packet->number);
    assert_true(packet->at_s - first_s >= 1);
    mqtt_stop(&f);
}

/* Of a subscription that another client, or a configuration of old, has left in the session. The
 * library would acknowledge it (PUBREC, which the scripted broker takes from nobody) before Kafka
 * has it. Returns the last packet before that. */
static unsigned send_with_qos_2(struct mqtt_fixture *f)
{
    unsigned after = mqtt_last(f);
    mqtt_publish_many(f, 1, 1, 1);
    script_broker_publish(
        f->broker, 1,
        &(struct wire_publish){
            .topic = "old/d1", .payload = MR_SLICE("twice"), .packet_id = 2, .qos = 2});
    return after;
}

static void qos_2_is_refused(struct mqtt_fixture *f)
{
    unsigned after = send_with_qos_2(f);
    (void)script_broker_wait_packet(f->broker, WIRE_END, after);
    mqtt_wait_not_ready(f, "QoS 2");
    assert_int_equal(mqtt_stored(f, "events", "twice", NULL), 0);
    after = script_broker_wait_packet(f->broker, WIRE_CONNECT, after)->number; /* and goes on */
    (void)script_broker_wait_packet(f->broker, WIRE_SUBSCRIBE, after);
    mqtt_wait_ready(f);
    mqtt_stop(f);
}

static void test_a_message_of_qos_2_is_never_taken(void **state)
{
    struct mqtt_fixture f;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    qos_2_is_refused(&f);
}

static void test_a_message_of_qos_2_is_never_taken_version_3(void **state)
{
    static const char *const extra[] = {"--mqtt.protocol=3.1.1", NULL};
    struct mqtt_fixture f;
    (void)state;
    mqtt_start(&f, extra);
    qos_2_is_refused(&f);
}

/* In pieces: each byte of a packet before it looks as if it began such a message ('4' is 0x34). */
static void test_what_only_looks_like_qos_2_is_taken(void **state)
{
    enum { BYTES = 2000, LOOK_MS = 5 };
    static char payload[BYTES + 1];
    struct mqtt_fixture f;
    struct mr_buf bytes;
    (void)state;
    memset(payload, 0x34, BYTES);
    mqtt_start(&f, mqtt_no_more);
    wire_begin(&bytes);
    wire_add_publish(
        &bytes, WIRE_LEVEL_5,
        &(struct wire_publish){
            .topic = "4444/4444", .payload = mr_slice_of(payload), .packet_id = 0x3434, .qos = 1});
    for (size_t at = 0, len = 1; at < bytes.len; at += len, len = len * 2 + 1) {
        len = len < bytes.len - at ? len : bytes.len - at;
        script_broker_send(f.broker, 1, mr_slice(bytes.ptr + at, len));
        (void)poll(NULL, 0, LOOK_MS);
    }
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, 1);
    assert_int_equal(mqtt_stored(&f, "events", payload, NULL), 1);
    buf_done(&bytes);
    mqtt_stop(&f);
}

struct tls {
    struct cert_folder folder;
    struct cert ca;
    struct cert other_ca;
    struct cert server;
    struct cert elsewhere;
    struct cert client;
    char ca_flag[FLAG_BYTES];
    char other_flag[FLAG_BYTES];
    char cert_flag[FLAG_BYTES];
    char key_flag[FLAG_BYTES];
};

static void flag(const struct tls *t, char ret_flag[FLAG_BYTES], const char *name, const char *file)
{
    (void)snprintf(ret_flag, FLAG_BYTES, "--mqtt.%s=%.150s/%s", name, t->folder.path, file);
}

static int tls_set_up(void **state)
{
    static struct tls t;
    cert_folder_make(&t.folder);
    cert_make(&t.ca, &(struct cert_spec){.common_name = "CA", .is_authority = 1});
    cert_make(&t.other_ca, &(struct cert_spec){.common_name = "Other CA", .is_authority = 1});
    cert_make(&t.server, &(struct cert_spec){.common_name = "127.0.0.1", .issuer = &t.ca});
    cert_make(&t.elsewhere, &(struct cert_spec){.common_name = "elsewhere.example",
                                                .names = "DNS:elsewhere.example,IP:127.0.0.2",
                                                .issuer = &t.ca});
    cert_make(&t.client, &(struct cert_spec){.common_name = "bridge", .issuer = &t.ca});
    cert_write(cert_path(&t.folder, "ca.pem"), &t.ca, NULL);
    cert_write(cert_path(&t.folder, "other.pem"), &t.other_ca, NULL);
    cert_write(cert_path(&t.folder, "client.pem"), &t.client, NULL);
    cert_write_key(cert_path(&t.folder, "client.key"), &t.client, NULL);
    flag(&t, t.ca_flag, "tls.ca", "ca.pem");
    flag(&t, t.other_flag, "tls.ca", "other.pem");
    flag(&t, t.cert_flag, "tls.certificate", "client.pem");
    flag(&t, t.key_flag, "tls.key", "client.key");
    *state = &t;
    return 0;
}

static int tls_tear_down(void **state)
{
    struct tls *t = *state;
    cert_done(&t->ca);
    cert_done(&t->other_ca);
    cert_done(&t->server);
    cert_done(&t->elsewhere);
    cert_done(&t->client);
    cert_folder_remove(&t->folder);
    return 0;
}

static void test_with_tls_and_a_client_certificate(void **state)
{
    const struct tls *t = *state;
    const char *const extra[] = {"--mqtt.tls=on", t->ca_flag, t->cert_flag, t->key_flag, NULL};
    struct mqtt_fixture f;
    mqtt_prepare_tls(&f, &t->server, &t->ca);
    mqtt_launch(&f, extra);
    (void)script_broker_wait_subscribed(f.broker, 0);
    mock_kafka_set_rtt(&f.mock, 100);
    mqtt_publish_many(&f, 1, 1, 500); /* many in one record of TLS: none may stay in there */
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, 500);
    mock_kafka_set_rtt(&f.mock, 0);
    mqtt_expect_stored(&f, 1, 10, 1);
    mqtt_stop(&f);
}

/* Nothing can be seen there before it is read. */
static void test_a_message_of_qos_2_is_never_taken_with_tls(void **state)
{
    const struct tls *t = *state;
    const char *const extra[] = {"--mqtt.tls=on", t->ca_flag, NULL};
    struct mqtt_fixture f;
    mqtt_prepare_tls(&f, &t->server, NULL);
    mqtt_launch(&f, extra);
    (void)mqtt_wait_subscribed(&f, 0);
    mqtt_wait_ready(&f);
    qos_2_is_refused(&f);
}

static void expect_tls_refused(const struct cert *server, const struct cert *ca,
                               const char *const *extra, const char *text)
{
    struct mqtt_fixture f;
    mqtt_prepare_tls(&f, server, ca);
    mqtt_launch(&f, extra);
    mqtt_wait_not_ready(&f, text);
    assert_null(script_broker_look(f.broker, WIRE_SUBSCRIBE, 0));
    mqtt_stop(&f);
}

static void test_a_wrong_authority_is_refused(void **state)
{
    const struct tls *t = *state;
    const char *const extra[] = {"--mqtt.tls=on", t->other_flag, NULL};
    expect_tls_refused(&t->server, NULL, extra, "certificate");
}

static void test_a_wrong_name_is_refused(void **state)
{
    const struct tls *t = *state;
    const char *const extra[] = {"--mqtt.tls=on", t->ca_flag, NULL};
    expect_tls_refused(&t->elsewhere, NULL, extra, "certificate");
}

static void test_a_missing_client_certificate_is_told(void **state)
{
    const struct tls *t = *state;
    const char *const extra[] = {"--mqtt.tls=on", t->ca_flag, NULL};
    expect_tls_refused(&t->server, &t->ca, extra, "certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_disconnect_with_a_reason_is_told),
        cmocka_unit_test(test_a_reason_is_told_while_acknowledgements_are_held),
        cmocka_unit_test(test_a_broker_that_shuts_down_says_so),
        cmocka_unit_test(test_wrong_credentials_are_told),
        cmocka_unit_test(test_wrong_credentials_are_told_version_3),
        cmocka_unit_test(test_not_authorized_is_told),
        cmocka_unit_test(test_not_authorized_is_told_version_3),
        cmocka_unit_test(test_an_unavailable_broker_is_told_version_3),
        cmocka_unit_test(test_a_refused_subscription_is_told),
        cmocka_unit_test(test_a_refused_subscription_is_told_version_3),
        cmocka_unit_test(test_a_subscription_with_qos_0_is_refused_by_the_bridge),
        cmocka_unit_test(test_a_subscription_without_its_answer_is_not_ready),
        cmocka_unit_test(test_tries_get_rarer),
        cmocka_unit_test(test_tries_get_rarer_though_each_is_subscribed),
        cmocka_unit_test(test_tries_of_one_that_is_refused_are_rare),
        cmocka_unit_test(test_a_message_of_qos_2_is_never_taken),
        cmocka_unit_test(test_a_message_of_qos_2_is_never_taken_version_3),
        cmocka_unit_test(test_a_message_of_qos_2_is_never_taken_with_tls),
        cmocka_unit_test(test_what_only_looks_like_qos_2_is_taken),
        cmocka_unit_test(test_with_tls_and_a_client_certificate),
        cmocka_unit_test(test_a_wrong_authority_is_refused),
        cmocka_unit_test(test_a_wrong_name_is_refused),
        cmocka_unit_test(test_a_missing_client_certificate_is_told),
    };
    return cmocka_run_group_tests(tests, tls_set_up, tls_tear_down);
}
