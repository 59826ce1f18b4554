// SPDX-License-Identifier: Apache-2.0
/* A broker with sessions that does, at random, whatever a broker may do: sends, drops connections
 * in the middle of a packet, sends again with and without DUP, gives messages to somebody else and
 * uses their packet ids again, forgets sessions; while Kafka fails at random, and the program is
 * killed. What must hold whatever happens:
 *     a PUBACK is of the oldest message that isn't acknowledged on its connection (4.6), and
 *     Kafka has all that is acknowledged, also when the program is killed at that moment.
 * TEST_SEED and TEST_STEPS are for more of it: other seeds, and how many steps of each protocol. */
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
#include "lib/mqtt_fixture.h"
#include "lib/raw_client.h"

enum {
    SESSIONS = 2,
    SEED = 1,
    STEPS = 1500,
    STEPS_OF_A_WORLD = 1500, /* the scripted broker has room for so many connections */
    UNACKNOWLEDGED_MAX = 60, /* over the program's in_flight.max */
    PACKET_IDS = 64,         /* few, so that they are soon used again */
    BATCH_MAX = 20,
    CONTENTS = 20000, /* messages that are different */
    SAME = 2,         /* of them that are sent again and again */
    LISTEN_MS_MAX = 4,
    AWAY_MS = 20, /* while a connection is awaited */
    CALM_S = 60,
};

struct message {
    unsigned content;
    uint16_t packet_id;
};

struct session {
    unsigned connection;                     /* 0: none */
    struct message sent[UNACKNOWLEDGED_MAX]; /* in their order */
    size_t count;
};

struct world {
    struct mqtt_fixture f;
    uint64_t random;
    struct session sessions[SESSIONS];
    unsigned seen; /* packets of the broker's */
    unsigned next_content;
    unsigned acknowledged[CONTENTS];
    unsigned stored[CONTENTS];
    bool is_kafka_up;
    bool forgets; /* sessions of connections that begin now */
    size_t total;
    size_t kills;
    const char *protocol;
    char tls_ca[300]; /* a flag; "": without TLS */
};

/* xorshift64 */
static unsigned below(struct world *w, unsigned limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)(w->random % limit);
}

static bool one_in(struct world *w, unsigned count)
{
    return below(w, count) == 0;
}

/* ---- what the broker sends ---- */

static void add(struct world *w, struct session *session, struct mr_buf *bytes,
                const struct message *message, bool dup)
{
    char topic[32];
    char payload[32];
    (void)snprintf(payload, sizeof payload, "m%u", message->content);
    /* Some can't become events. */
    (void)snprintf(topic, sizeof topic, message->content % 13 == 12 ? "no/route/%u" : "t/d%u",
                   message->content % 7);
    wire_add_publish(bytes, script_broker_level(w->f.broker, session->connection),
                     &(struct wire_publish){.topic = topic,
                                            .payload = mr_slice_of(payload),
                                            .packet_id = message->packet_id,
                                            .qos = 1,
                                            .dup = dup});
}

/* `is_inside`: only a part of a packet was sent. */
static void drop(struct world *w, struct session *session, bool is_inside)
{
    bool is_v5 = script_broker_level(w->f.broker, session->connection) == WIRE_LEVEL_5;
    if (is_v5 && !is_inside && one_in(w, 4)) {
        script_broker_disconnect(w->f.broker, session->connection, 0x8B, NULL);
    } else {
        script_broker_close(w->f.broker, session->connection, one_in(w, 2));
    }
    session->connection = 0;
}

/* As a whole, in two pieces, or only the beginning before the connection ends. */
static void send_bytes(struct world *w, struct session *session, struct mr_slice bytes)
{
    size_t first = one_in(w, 4) && bytes.len > 0 ? below(w, (unsigned)bytes.len) : bytes.len;
    script_broker_send_part(w->f.broker, session->connection, mr_slice(bytes.ptr, first),
                            first == bytes.len);
    if (first < bytes.len) {
        (void)spawned_listen(&w->f.child, (int)below(w, LISTEN_MS_MAX));
        if (one_in(w, 4)) {
            drop(w, session, true);
        } else {
            script_broker_send(w->f.broker, session->connection,
                               mr_slice(bytes.ptr + first, bytes.len - first));
        }
    }
}

static bool is_used(const struct session *session, uint16_t packet_id)
{
    for (size_t i = 0; i < session->count; i++) {
        if (session->sent[i].packet_id == packet_id) {
            return true;
        }
    }
    return false;
}

static void publish(struct world *w, struct session *session)
{
    struct mr_buf bytes;
    wire_begin(&bytes);
    for (unsigned left = 1 + below(w, BATCH_MAX);
         left > 0 && session->count < UNACKNOWLEDGED_MAX && w->next_content < CONTENTS; left--) {
        struct message *message = &session->sent[session->count];
        *message = (struct message){.packet_id = (uint16_t)(1 + below(w, PACKET_IDS))};
        if (!is_used(session, message->packet_id)) {
            message->content = one_in(w, 3) ? w->next_content++ : below(w, SAME);
            session->count++;
            w->total++;
            add(w, session, &bytes, message, false);
        }
    }
    send_bytes(w, session, buf_slice(&bytes));
    buf_done(&bytes);
}

/* Some have expired meanwhile, or another of a share has got them. */
static void lose_some(struct world *w, struct session *session)
{
    size_t kept = 0;
    for (size_t i = 0; i < session->count; i++) {
        if (!one_in(w, 3)) {
            session->sent[kept++] = session->sent[i];
        }
    }
    session->count = kept;
}

static void send_again(struct world *w, struct session *session)
{
    bool dup = !one_in(w, 8); /* MQTT wants it */
    struct mr_buf bytes;
    wire_begin(&bytes);
    for (size_t i = 0; i < session->count; i++) {
        add(w, session, &bytes, &session->sent[i], dup);
    }
    send_bytes(w, session, buf_slice(&bytes));
    buf_done(&bytes);
}

/* What no broker should send; the program ends the connection, or passes over it. */
static void send_nonsense(struct world *w, struct session *session)
{
    static const char *const nonsense[] = {
        "\x34\x09\x00\x03t/d\x00\x01"
        "xx",                   /* PUBLISH with QoS 2, which is nonsense in 5.0 too */
        "\xD0\x00",             /* PINGRESP */
        "\x40\x02\x00\x07",     /* PUBACK */
        "\x90\x03\x00\x07\x00", /* SUBACK */
        "\xF0\x00",             /* AUTH */
    };
    static const size_t lengths[] = {11, 2, 4, 5, 2};
    unsigned which = below(w, MR_COUNT_OF(nonsense));
    script_broker_send(w->f.broker, session->connection, mr_slice(nonsense[which], lengths[which]));
}

/* ---- what it gets ---- */

static struct session *session_of(struct world *w, const char *client_id)
{
    return &w->sessions[strcmp(client_id, MQTT_CLIENT "-2") == 0 ? 1 : 0];
}

static struct session *session_on(struct world *w, unsigned connection)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        if (w->sessions[i].connection == connection) {
            return &w->sessions[i];
        }
    }
    return NULL;
}

/* The broker's thread has answered already, by the script. */
static void take_connect(struct world *w, const struct script_broker_packet *packet)
{
    struct session *session = session_of(w, packet->packet.client_id);
    session->connection = packet->connection;
    if (!packet->session_present) {
        session->count = 0;
    } else if (one_in(w, 2)) {
        lose_some(w, session);
    }
    send_again(w, session);
}

/* On a connection that the broker has given up it doesn't count. */
static void take_puback(struct world *w, const struct script_broker_packet *packet)
{
    struct session *session = session_on(w, packet->connection);
    if (session == NULL) {
        return;
    }
    if (session->count == 0 || session->sent[0].packet_id != packet->packet.packet_id) {
        fail_msg("PUBACK of %u; the oldest message has %d", packet->packet.packet_id,
                 session->count == 0 ? -1 : session->sent[0].packet_id);
    }
    w->acknowledged[session->sent[0].content]++;
    session->count--;
    memmove(&session->sent[0], &session->sent[1], session->count * sizeof session->sent[0]);
}

static void take_packets(struct world *w)
{
    const struct script_broker_packet *packet;
    while ((packet = script_broker_packet_at(w->f.broker, w->seen + 1)) != NULL) {
        struct session *session = session_on(w, packet->connection);
        w->seen = packet->number;
        if (packet->packet.type == WIRE_CONNECT) {
            take_connect(w, packet);
        } else if (packet->packet.type == WIRE_PUBACK) {
            take_puback(w, packet);
        } else if (packet->packet.type == WIRE_END && session != NULL) {
            session->connection = 0;
        }
    }
}

/* ---- what Kafka has ---- */

static void count_stored(struct world *w, const char *topic)
{
    struct mock_records records;
    struct mr_event *event = mr_event_new();
    struct mr_error err;
    mock_kafka_read(&w->f.mock, topic, &records);
    for (size_t i = 0; i < records.count; i++) {
        const struct kafka_record *record = &records.at[i].record;
        struct mr_slice data = record->value;
        if (strstr(topic, ".dead") == NULL) {
            assert_int_equal(kafka_binding_read(record, event, &err), 0);
            data = mr_event_data(event);
        }
        if (data.len < 2 || data.ptr[0] != 'm') {
            fail_msg("what nobody has sent: %.*s", MR_SLICE_ARG(data));
        }
        w->stored[strtoul(data.ptr + 1, NULL, 10)]++;
    }
    mr_event_free(event);
    mock_records_free(&records);
}

static void assert_stored(struct world *w)
{
    memset(w->stored, 0, sizeof w->stored);
    count_stored(w, "events");
    count_stored(w, "events.dead");
    for (unsigned i = 0; i < CONTENTS; i++) {
        if (w->stored[i] < w->acknowledged[i]) {
            fail_msg("m%u is acknowledged %u times and stored %u times", i, w->acknowledged[i],
                     w->stored[i]);
        }
    }
}

static void set_kafka_up(struct world *w, bool up)
{
    if (w->is_kafka_up != up) {
        mock_kafka_set_up(&w->f.mock, up);
        w->is_kafka_up = up;
    }
}

static void trouble_kafka(struct world *w)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    };
    static const int rtts_ms[] = {0, 0, 10, 100};
    switch (below(w, 4)) {
        case 0:
            mock_kafka_push_error(&w->f.mock, MOCK_API_PRODUCE,
                                  errors[below(w, MR_COUNT_OF(errors))], 1 + below(w, 3));
            break;
        case 1:
            mock_kafka_set_rtt(&w->f.mock, rtts_ms[below(w, MR_COUNT_OF(rtts_ms))]);
            break;
        default:
            set_kafka_up(w, !w->is_kafka_up || !one_in(w, 3));
    }
}

/* ---- a world ---- */

#define CA_FILE "ca.pem"

struct tls {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
};

static void launch(struct world *w)
{
    const char *const extra[] = {w->protocol,
                                 "--mqtt.connections=2",
                                 "--mqtt.group=g",
                                 "--mqtt.in_flight.max=50",
                                 "--mqtt.reconnect.max=100ms",
                                 "--kafka.reconnect.backoff.max.ms=100",
                                 "--admin.shutdown.deadline=5s",
                                 w->tls_ca[0] == '\0' ? NULL : w->tls_ca,
                                 "--mqtt.tls=on",
                                 NULL};
    mqtt_launch(&w->f, extra);
}

static bool is_over(const struct world *w)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        if (w->sessions[i].connection != 0) {
            return false;
        }
    }
    return true;
}

/* It ends, by this signal, and begins again. */
static void end_program(struct world *w, int number)
{
    double end_s = raw_now_s() + CALM_S;
    spawned_signal(&w->f.child, number);
    (void)spawned_wait(&w->f.child);
    while (!is_over(w)) { /* what it has written last is still to be read */
        assert_true(raw_now_s() < end_s);
        take_packets(w);
    }
    mock_kafka_clear_errors(&w->f.mock, MOCK_API_PRODUCE);
    mock_kafka_set_rtt(&w->f.mock, 0);
    set_kafka_up(w, true);
    assert_stored(w);
    w->kills++;
    launch(w);
}

static void set_forgetting(struct world *w, bool forgets)
{
    w->forgets = forgets;
    script_broker_set(w->f.broker, &(struct script_broker_script){.session_present = !forgets});
}

static void step(struct world *w)
{
    struct session *session = &w->sessions[below(w, SESSIONS)];
    unsigned what = below(w, 1000);
    take_packets(w);
    if (what < 5) {
        end_program(w, one_in(w, 3) ? SIGTERM : SIGKILL);
    } else if (what < 10) {
        set_forgetting(w, !w->forgets);
    } else if (what < 100) {
        trouble_kafka(w);
    } else if (session->connection == 0) {
        (void)spawned_listen(&w->f.child, AWAY_MS);
    } else if (what < 170) {
        drop(w, session, false);
    } else if (what < 175) {
        send_nonsense(w, session);
    } else if (what < 700) {
        publish(w, session);
    }
    if (!spawned_listen(&w->f.child, (int)below(w, LISTEN_MS_MAX))) {
        fail_msg("it has ended: %s", w->f.child.log);
    }
}

static size_t unacknowledged(const struct world *w)
{
    size_t count = 0;
    for (size_t i = 0; i < SESSIONS; i++) {
        count += w->sessions[i].count;
    }
    return count;
}

/* All is well: all that is there is acknowledged now. */
static void calm_down(struct world *w)
{
    double end_s = raw_now_s() + CALM_S;
    mock_kafka_clear_errors(&w->f.mock, MOCK_API_PRODUCE);
    mock_kafka_set_rtt(&w->f.mock, 0);
    set_kafka_up(w, true);
    while (unacknowledged(w) > 0) {
        if (raw_now_s() > end_s) {
            fail_msg("%zu messages are never acknowledged: %s", unacknowledged(w), w->f.child.log);
        }
        take_packets(w);
        (void)spawned_listen(&w->f.child, LISTEN_MS_MAX);
    }
    assert_stored(w);
}

static void prepare(struct world *w, const struct tls *tls)
{
    if (tls == NULL) {
        mqtt_prepare(&w->f);
    } else {
        mqtt_prepare_tls(&w->f, &tls->server, NULL);
        (void)snprintf(w->tls_ca, sizeof w->tls_ca, "--mqtt.tls.ca=%s",
                       cert_path(&tls->folder, CA_FILE));
    }
    mock_kafka_create_topic(&w->f.mock, "events.dead", 1);
    set_forgetting(w, false);
}

static void run_world(const char *protocol, const struct tls *tls, unsigned seed, unsigned steps)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.protocol = protocol;
    w.random = seed * UINT64_C(0x9E3779B97F4A7C15);
    w.next_content = SAME;
    w.is_kafka_up = true;
    prepare(&w, tls);
    launch(&w);
    for (unsigned i = 0; i < steps; i++) {
        step(&w);
    }
    calm_down(&w);
    print_message("%s seed %u: %u steps, %zu messages, %zu kills, %u connections\n", protocol, seed,
                  steps, w.total, w.kills, script_broker_connections(w.f.broker));
    mqtt_stop(&w.f);
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

static void run_worlds(const char *protocol, const struct tls *tls)
{
    unsigned seed = from_environment("TEST_SEED", SEED);
    unsigned left = from_environment("TEST_STEPS", STEPS);
    while (left > 0) {
        unsigned steps = left < STEPS_OF_A_WORLD ? left : STEPS_OF_A_WORLD;
        run_world(protocol, tls, seed++, steps);
        left -= steps;
    }
}

static void test_what_is_acknowledged_is_stored(void **state)
{
    (void)state;
    run_worlds("--mqtt.protocol=5", NULL);
}

static void test_what_is_acknowledged_is_stored_version_3(void **state)
{
    (void)state;
    run_worlds("--mqtt.protocol=3.1.1", NULL);
}

/* A record of TLS is read as a whole, whatever it is that it holds. */
static void test_what_is_acknowledged_is_stored_with_tls(void **state)
{
    static struct tls tls;
    (void)state;
    cert_folder_make(&tls.folder);
    cert_make(&tls.ca, &(struct cert_spec){.common_name = "CA", .is_authority = 1});
    cert_make(&tls.server, &(struct cert_spec){.common_name = "127.0.0.1", .issuer = &tls.ca});
    cert_write(cert_path(&tls.folder, CA_FILE), &tls.ca, NULL);
    run_worlds("--mqtt.protocol=5", &tls);
    cert_done(&tls.ca);
    cert_done(&tls.server);
    cert_folder_remove(&tls.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_acknowledged_is_stored),
        cmocka_unit_test(test_what_is_acknowledged_is_stored_version_3),
        cmocka_unit_test(test_what_is_acknowledged_is_stored_with_tls),
    };
    /* For the program under test. */
    (void)setenv(
        "LSAN_OPTIONS",
        "print_suppressions=0:suppressions=" TEST_SOURCE_DIR "/tests/lsan-broken-broker.supp", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
