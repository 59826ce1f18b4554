// SPDX-License-Identifier: Apache-2.0
/* millrace-influx with measurements by configuration, as users run it, between a mock Kafka and a
 * scripted InfluxDB; and `millrace map`, which must say the same lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/format_json.h"
#include "kit/buf.h"
#include "lib/mock_kafka.h"
#include "lib/script_server.h"
#include "lib/spawned.h"
#include "lib/temporary.h"

#define TOPIC "events"
#define GROUP "millrace-influx"

enum { DEADLINE_MS = 60000, BYTES_MAX = 1 << 20 };

struct fixture {
    struct mock_kafka kafka;
    struct script_server *influx;
    struct spawned program;
    char config[TEMPORARY_BYTES];
    pthread_mutex_t lock;
    struct mr_buf lines; /* of all writes; under `lock` */
};

static const char configuration[] =
    "[influx]\n"
    "topic = " TOPIC
    "\n"
    "database = db\n"
    "unmatched = %s\n"
    "batch.age = 20ms\n"
    "commit.interval = 50ms\n"
    "[measurement climate]\n"
    "match = subject:climate/*\n"
    "field.temp = $.t\n"
    "field.n = $.n integer\n"
    "tag.room = $.room\n"
    "[measurement power]\n"
    "match = subject:power\n"
    "each = $.r[*]\n"
    "field.w = @.w required\n"
    "time = @.ts ms\n";

static const struct {
    const char *subject, *data;
} events[] = {
    {"climate/1", "{\"t\":21.5,\"n\":3,\"room\":\"a b\"}"},
    {"power", "{\"r\":[{\"w\":1,\"ts\":1},{\"w\":2,\"ts\":2}]}"},
    {"power", "{\"r\":[{\"w\":1,\"ts\":3},{\"ts\":4}]}"}, /* no field in the second: dead */
    {"other", "{\"t\":1}"},                               /* matches nothing */
    {"climate/2", "{\"t\":2,\"n\":1.5}"},                 /* a fraction: dead */
    {"climate/3", "{\"t\":3}"},
};

static const char expected[] =
    "climate,application=app,device=d,room=a\\ b temp=21.5,n=3i 7\n"
    "power,application=app,device=d w=1 1000000\n"
    "power,application=app,device=d w=2 2000000\n"
    "climate,application=app,device=d temp=3 7\n";

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    struct fixture *f = user;
    answer->bytes = "HTTP/1.1 204 No Content\r\n\r\n";
    pthread_mutex_lock(&f->lock);
    (void)buf_add_slice(&f->lines, request->body);
    pthread_mutex_unlock(&f->lock);
}

static void write_configuration(struct fixture *f, const char *unmatched)
{
    int fd;
    temporary_name(f->config, "configured");
    fd = mkstemp(f->config);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, configuration, unmatched) > 0);
    assert_int_equal(close(fd), 0);
}

static struct mr_event *make_event(const char *subject, const char *data)
{
    struct mr_event *event = mr_event_new();
    const char *const attributes[][2] = {
        {"specversion", "1.0"}, {"id", "1"},          {"source", "/app/d"},
        {"type", "t"},          {"subject", subject}, {"datacontenttype", "application/json"},
        {"application", "app"}, {"device", "d"},      {"time", "1970-01-01T00:00:00.000000007Z"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(attributes); i++) {
        assert_int_equal(
            mr_event_set(event, mr_slice_of(attributes[i][0]), mr_slice_of(attributes[i][1]), NULL),
            0);
    }
    mr_event_set_data(event, mr_slice_of(data));
    return event;
}

static void produce_all(struct fixture *f)
{
    for (size_t i = 0; i < MR_COUNT_OF(events); i++) {
        struct mr_event *event = make_event(events[i].subject, events[i].data);
        struct kafka_writer writer;
        struct kafka_record record;
        kafka_writer_init(&writer, BYTES_MAX);
        assert_int_equal(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL),
                         0);
        (void)mock_kafka_produce(&f->kafka, TOPIC, 0, &record);
        kafka_writer_done(&writer);
        mr_event_free(event);
    }
}

static void begin(struct fixture *f, const char *unmatched)
{
    char kafka[128];
    char uri[64];
    const char *arguments[] = {TEST_BUILD_DIR "/consumers/millrace-influx",
                               "--config",
                               f->config,
                               kafka,
                               uri,
                               "--admin.listen=127.0.0.1:0",
                               "--kafka.consumer.session.timeout.ms=6000",
                               NULL};
    memset(f, 0, sizeof *f);
    buf_init(&f->lines, 16 * BYTES_MAX);
    (void)pthread_mutex_init(&f->lock, NULL);
    mock_kafka_start(&f->kafka);
    mock_kafka_create_topic(&f->kafka, TOPIC, 1);
    mock_kafka_create_topic(&f->kafka, TOPIC ".dead", 1);
    f->influx = script_server_start(0, handle, f);
    assert_non_null(f->influx);
    write_configuration(f, unmatched);
    produce_all(f);
    (void)snprintf(kafka, sizeof kafka, "--kafka.bootstrap.servers=%s", f->kafka.bootstrap);
    (void)snprintf(uri, sizeof uri, "--influx.uri=http://127.0.0.1:%u",
                   script_server_port(f->influx));
    spawned_start(&f->program, arguments);
    for (int waited = 0;
         mock_kafka_committed(&f->kafka, GROUP, TOPIC, 0) != (int64_t)MR_COUNT_OF(events);
         waited += 50) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, 50);
    }
}

static void end(struct fixture *f)
{
    spawned_signal(&f->program, SIGTERM);
    assert_int_equal(spawned_wait(&f->program), 0);
    script_server_stop(f->influx);
    mock_kafka_stop(&f->kafka);
    buf_done(&f->lines);
    (void)unlink(f->config);
    (void)pthread_mutex_destroy(&f->lock);
}

static void assert_dead(const struct mock_record *record, const char *text)
{
    struct mr_slice said = mock_record_header(record, "millrace_dead_text");
    assert_true(
        mr_slice_is(mock_record_header(record, "millrace_dead_reason"), MR_SLICE("mapping")));
    if (!mr_slice_is(said, mr_slice_of(text))) {
        fail_msg("%.*s", MR_SLICE_ARG(said));
    }
}

static void the_configured_lines_are_written(void **state)
{
    static struct fixture f;
    struct mock_records dead;
    (void)state;
    begin(&f, "skip");
    pthread_mutex_lock(&f.lock);
    assert_int_equal(f.lines.len, sizeof expected - 1);
    assert_memory_equal(f.lines.ptr, expected, sizeof expected - 1);
    pthread_mutex_unlock(&f.lock);
    mock_kafka_read(&f.kafka, TOPIC ".dead", &dead);
    assert_int_equal(dead.count, 2);
    assert_dead(&dead.at[0], "[measurement power]: element 1: field w: @.w: missing, but required");
    assert_dead(&dead.at[1],
                "[measurement climate]: field n: $.n: a number with a fraction, "
                "expected a whole number");
    mock_records_free(&dead);
    end(&f);
}

static void what_matches_nothing_may_be_dead(void **state)
{
    static struct fixture f;
    struct mock_records dead;
    (void)state;
    begin(&f, "dead");
    mock_kafka_read(&f.kafka, TOPIC ".dead", &dead);
    assert_int_equal(dead.count, 3);
    assert_dead(&dead.at[1], "no [measurement] matches the event");
    mock_records_free(&dead);
    end(&f);
}

/* The events as `millrace tail` would print them. */
static void write_events(const char *path)
{
    struct mr_buf lines;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    buf_init(&lines, BYTES_MAX);
    for (size_t i = 0; i < MR_COUNT_OF(events); i++) {
        struct mr_event *event = make_event(events[i].subject, events[i].data);
        assert_int_equal(event_json_encode(event, &lines, NULL), 0);
        assert_int_equal(buf_add_char(&lines, '\n'), 0);
        mr_event_free(event);
    }
    assert_int_equal(fwrite(lines.ptr, 1, lines.len, file), lines.len);
    assert_int_equal(fclose(file), 0);
    buf_done(&lines);
}

/* Its standard output; the status is 1 because some events can't become points. */
static void run_map(const char *config, const char *input, struct mr_buf *out)
{
    char command[512];
    FILE *pipe;
    char chunk[4096];
    size_t n;
    int status;
    (void)snprintf(command, sizeof command, "%s map --config %s %s 2>/dev/null",
                   TEST_BUILD_DIR "/cli/millrace", config, input);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((n = fread(chunk, 1, sizeof chunk, pipe)) > 0) {
        assert_int_equal(buf_add(out, chunk, n), 0);
    }
    status = pclose(pipe);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void millrace_map_says_the_same_lines(void **state)
{
    struct fixture f = {0};
    struct mr_buf out;
    char input[TEMPORARY_BYTES];
    int fd;
    (void)state;
    temporary_name(input, "events");
    fd = mkstemp(input);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    buf_init(&out, BYTES_MAX);
    write_configuration(&f, "skip");
    write_events(input);
    run_map(f.config, input, &out);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.ptr, expected, sizeof expected - 1);
    buf_done(&out);
    (void)unlink(f.config);
    (void)unlink(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configured_lines_are_written),
        cmocka_unit_test(what_matches_nothing_may_be_dead),
        cmocka_unit_test(millrace_map_says_the_same_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
