// SPDX-License-Identifier: Apache-2.0
/* millrace-influx as users run it, between a mock Kafka and a scripted InfluxDB: what it sends, and
 * that an offset is committed only when InfluxDB has answered 204. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "kit/buf.h"
#include "lib/mock_kafka.h"
#include "lib/script_server.h"

#define TOPIC "events"
#define GROUP "millrace-influx"

enum { DEADLINE_MS = 60000, BODY_BYTES_MAX = 1 << 20 };

extern char **environ;

static pid_t program; /* 0: none */

struct fixture {
    struct mock_kafka kafka;
    struct script_server *influx;
    /* All below under `lock`: the server's threads write it. */
    pthread_mutex_t lock;
    bool failing; /* writes are answered with `failure` */
    struct script_answer failure;
    unsigned failed;
    const char *gzip; /* the option; NULL: on */
    int refusing;     /* lines with "bad" in them, as InfluxDB 1 or 2 does; 0: none */
    unsigned probes;
    unsigned writes;      /* with a body */
    size_t lines_len_max; /* of one write */
    unsigned stored;      /* writes that were answered 204 */
    char head[4096];      /* of the last write */
    struct mr_buf last;   /* the last write's lines */
    struct mr_buf lines;  /* of all writes that were answered 204 */
};

#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

static void gunzip(struct mr_slice body, struct mr_buf *out)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body.ptr, .avail_in = (uInt)body.len};
    static Bytef bytes[BODY_BYTES_MAX];
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        abort();
    }
    stream.next_out = bytes;
    stream.avail_out = sizeof bytes;
    if (inflate(&stream, Z_FINISH) != Z_STREAM_END) {
        abort();
    }
    buf_clear(out);
    (void)buf_add(out, bytes, stream.total_out);
    (void)inflateEnd(&stream);
}

static unsigned count_of(struct mr_slice text, const char *word)
{
    unsigned count = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr;
         (at = memmem(at, (size_t)(end - at), word, strlen(word))) != NULL; at++) {
        count++;
    }
    return count;
}

/* A type conflict on each line with "bad", as 1.6.7 and 2.7.12 say it; the others are stored. */
static const char *refuse(struct fixture *f, unsigned bad)
{
    static char bytes[1024];
    static const char words[] =
        "partial write: field type conflict: input field \\\"temp\\\" on "
        "measurement \\\"temp\\\" is type string, already exists as type "
        "float dropped=";
    if (f->refusing == 1) {
        (void)snprintf(bytes, sizeof bytes,
                       "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
                       "{\"error\":\"%s%u\"}\n",
                       words, bad);
    } else {
        (void)snprintf(bytes, sizeof bytes,
                       "HTTP/1.1 422 Unprocessable Entity\r\nConnection: close\r\n\r\n"
                       "{\"code\":\"unprocessable entity\",\"message\":\"failure writing points "
                       "to database: %s%u\"}",
                       words, bad);
    }
    return bytes;
}

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    struct fixture *f = user;
    pthread_mutex_lock(&f->lock);
    answer->bytes = NO_CONTENT;
    if (request->body.len == 0) {
        f->probes++;
    } else {
        f->writes++;
        (void)snprintf(f->head, sizeof f->head, "%s", request->head);
        if (script_header(request->head, "content-encoding") != NULL) {
            gunzip(request->body, &f->last);
        } else {
            buf_clear(&f->last);
            (void)buf_add_slice(&f->last, request->body);
        }
        f->lines_len_max = f->last.len > f->lines_len_max ? f->last.len : f->lines_len_max;
        if (f->failing) {
            *answer = f->failure;
            f->failed++;
        } else if (f->refusing != 0 && count_of(buf_slice(&f->last), "\"bad\"") > 0) {
            answer->bytes = refuse(f, count_of(buf_slice(&f->last), "\"bad\""));
            answer->then = SCRIPT_CLOSE;
            f->failed++;
        } else {
            f->stored++;
            (void)buf_add_slice(&f->lines, buf_slice(&f->last));
        }
    }
    pthread_mutex_unlock(&f->lock);
}

static unsigned read_count(struct fixture *f, const unsigned *count)
{
    unsigned value;
    pthread_mutex_lock(&f->lock);
    value = *count;
    pthread_mutex_unlock(&f->lock);
    return value;
}

static void wait_count(struct fixture *f, const unsigned *count, unsigned wanted)
{
    for (int waited = 0; read_count(f, count) < wanted; waited += 10) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, 10);
    }
}

static void wait_committed(struct fixture *f, int64_t offset)
{
    for (int waited = 0; mock_kafka_committed(&f->kafka, GROUP, TOPIC, 0) != offset; waited += 50) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, 50);
    }
}

static void start_program_with(struct fixture *f, const char *request_bytes)
{
    bool two = f->refusing == 2;
    char kafka[128];
    char uri[64];
    char bytes[64];
    char gzip[64];
    char *arguments[] = {
        (char[]){TEST_BUILD_DIR "/consumers/millrace-influx"}, kafka, uri, bytes, gzip,
        (char[]){"--influx.topic=" TOPIC}, (char[]){"--influx.timeout=500ms"},
        (char[]){"--influx.wait.min=50ms"}, (char[]){"--influx.wait.max=200ms"},
        (char[]){"--influx.batch.age=20ms"}, (char[]){"--influx.commit.interval=50ms"},
        (char[]){"--admin.listen=127.0.0.1:0"},
        /* How long the mock cluster holds a group up after a member has left. */
        (char[]){"--kafka.consumer.session.timeout.ms=6000"},
        two ? (char[]){"--influx.org=my org"} : (char[]){"--influx.database=my db"},
        two ? (char[]){"--influx.bucket=b"} : (char[]){"--influx.username=me"}, NULL};
    (void)snprintf(kafka, sizeof kafka, "--kafka.bootstrap.servers=%s", f->kafka.bootstrap);
    (void)snprintf(bytes, sizeof bytes, "--influx.request.bytes=%s", request_bytes);
    (void)snprintf(gzip, sizeof gzip, "--influx.gzip=%s", f->gzip == NULL ? "on" : f->gzip);
    (void)snprintf(uri, sizeof uri, "--influx.uri=http://127.0.0.1:%u/prefix/",
                   script_server_port(f->influx));
    assert_int_equal(unsetenv(two ? "INFLUXDB_PASSWORD" : "MILLRACE_INFLUX_TOKEN"), 0);
    assert_int_equal(setenv(two ? "MILLRACE_INFLUX_TOKEN" : "INFLUXDB_PASSWORD", "sesame", 1), 0);
    assert_int_equal(posix_spawn(&program, arguments[0], NULL, NULL, arguments, environ), 0);
}

static void start_program(struct fixture *f)
{
    start_program_with(f, "4MiB");
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    buf_init(&f->last, BODY_BYTES_MAX);
    buf_init(&f->lines, 16 * BODY_BYTES_MAX);
    (void)pthread_mutex_init(&f->lock, NULL);
    mock_kafka_start(&f->kafka);
    mock_kafka_create_topic(&f->kafka, TOPIC, 1);
    mock_kafka_create_topic(&f->kafka, TOPIC ".dead", 1);
    f->influx = script_server_start(0, handle, f);
    assert_non_null(f->influx);
}

/* SIGTERM; it ends by itself, with status 0. */
static void stop_program(void)
{
    int status = 0;
    assert_int_equal(kill(program, SIGTERM), 0);
    for (int waited = 0; waitpid(program, &status, WNOHANG) == 0; waited += 10) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, 10);
    }
    program = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void end(struct fixture *f)
{
    if (program != 0) {
        stop_program();
    }
    script_server_stop(f->influx);
    mock_kafka_stop(&f->kafka);
    buf_done(&f->last);
    buf_done(&f->lines);
    (void)pthread_mutex_destroy(&f->lock);
}

static void produce(struct fixture *f, const char *device, const char *data)
{
    struct kafka_writer writer;
    struct kafka_record record;
    struct mr_event *event = mr_event_new();
    static const char *const attributes[][2] = {
        {"specversion", "1.0"}, {"id", "1"},
        {"source", "app/dev"},  {"type", "t"},
        {"subject", "temp"},    {"datacontenttype", "application/json"},
        {"application", "app"}, {"time", "1970-01-01T00:00:00.000000007Z"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(attributes); i++) {
        assert_int_equal(
            mr_event_set(event, mr_slice_of(attributes[i][0]), mr_slice_of(attributes[i][1]), NULL),
            0);
    }
    assert_int_equal(mr_event_set(event, MR_SLICE("device"), mr_slice_of(device), NULL), 0);
    mr_event_set_data(event, mr_slice_of(data));
    kafka_writer_init(&writer, BODY_BYTES_MAX);
    assert_int_equal(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL), 0);
    (void)mock_kafka_produce(&f->kafka, TOPIC, 0, &record);
    kafka_writer_done(&writer);
    mr_event_free(event);
}

static bool has_line(struct fixture *f, const char *line)
{
    char *text;
    bool found;
    pthread_mutex_lock(&f->lock);
    text = strndup(f->lines.len > 0 ? f->lines.ptr : "", f->lines.len);
    pthread_mutex_unlock(&f->lock);
    found = text != NULL && strstr(text, line) != NULL;
    free(text);
    return found;
}

static void events_become_one_request(void **state)
{
    static struct fixture f;
    (void)state;
    begin(&f);
    produce(&f, "d1", "{\"temp\":21.5,\"s\":\"a\\nb\"}");
    produce(&f, "d2", "{\"temp\":22,\"x\":[true]}");
    produce(&f, "d3", "{\"temp\":23}");
    start_program(&f);
    wait_committed(&f, 3);
    assert_true(has_line(&f, "temp,application=app,device=d1 temp=21.5,s=\"a\nb\" 7\n"));
    assert_true(has_line(&f, "temp,application=app,device=d2 temp=22,x_0=true 7\n"));
    assert_true(has_line(&f, "temp,application=app,device=d3 temp=23 7\n"));
    assert_memory_equal(f.head, "POST /prefix/write?db=my%20db&precision=ns HTTP/1.1\r\n", 53);
    assert_string_equal(script_header(f.head, "content-encoding"), "gzip");
    /* printf me:sesame | base64 */
    assert_string_equal(script_header(f.head, "authorization"), "Basic bWU6c2VzYW1l");
    assert_true(f.probes >= 1);
    end(&f);
}

static void nothing_is_compressed_for_this_machines_loopback(void **state)
{
    static struct fixture f;
    (void)state;
    begin(&f);
    f.gzip = "auto";
    produce(&f, "d1", "{\"temp\":21.5}");
    produce(&f, "d2", "{\"temp\":22}");
    start_program(&f);
    wait_committed(&f, 2);
    assert_true(has_line(&f, "temp,application=app,device=d1 temp=21.5 7\n"));
    assert_true(has_line(&f, "temp,application=app,device=d2 temp=22 7\n"));
    assert_null(script_header(f.head, "content-encoding"));
    end(&f);
}

static void what_cannot_be_mapped_is_dead_and_the_rest_goes_on(void **state)
{
    static struct fixture f;
    struct mock_records dead;
    (void)state;
    begin(&f);
    produce(&f, "d1", "{\"temp\":1}");
    produce(&f, "d2", "[1]");
    produce(&f, "d3", "{\"temp\":1e999}");
    produce(&f, "d4", "{\"temp\":4}");
    start_program(&f);
    wait_committed(&f, 4);
    assert_true(has_line(&f, "device=d1 temp=1 7\n"));
    assert_true(has_line(&f, "device=d4 temp=4 7\n"));
    assert_false(has_line(&f, "device=d2"));
    assert_false(has_line(&f, "device=d3"));
    mock_kafka_read(&f.kafka, TOPIC ".dead", &dead);
    assert_int_equal(dead.count, 2);
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"), MR_SLICE("mapping")));
    assert_true(mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_text"),
                            MR_SLICE("the data is an array, expected a JSON object")));
    mock_records_free(&dead);
    end(&f);
}

#define ANSWER(status, body)                                                                   \
    {                                                                                          \
        .bytes = "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body, .then = SCRIPT_CLOSE \
    }

static void set_failing(struct fixture *f, const struct script_answer *failure)
{
    pthread_mutex_lock(&f->lock);
    f->failing = failure != NULL;
    f->failed = 0;
    if (failure != NULL) {
        f->failure = *failure;
    }
    pthread_mutex_unlock(&f->lock);
}

/* Over request.bytes a batch is written in parts, one after another; a dead event in between and a
 * failure in the middle change nothing. */
static void a_large_batch_is_written_in_parts(void **state)
{
    static const struct script_answer failure = ANSWER("500 No", "");
    static struct fixture f;
    (void)state;
    begin(&f);
    for (int i = 0; i < 60; i++) {
        char device[16];
        (void)snprintf(device, sizeof device, "d%d.", i);
        produce(&f, device, i % 20 == 19 ? "{}" : "{\"temp\":1}");
    }
    set_failing(&f, &failure);
    start_program_with(&f, "1KiB");
    wait_count(&f, &f.failed, 2);
    assert_int_equal(mock_kafka_committed(&f.kafka, GROUP, TOPIC, 0), -1);
    set_failing(&f, NULL);
    wait_committed(&f, 60);
    for (int i = 0; i < 60; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "temp,application=app,device=d%d. temp=1 7\n", i);
        assert_int_equal(has_line(&f, line), i % 20 != 19);
    }
    assert_in_range(f.stored, 3, 57);
    assert_in_range(f.lines_len_max, 500, 1024);
    end(&f);
}

/* Every write fails with `failure`, several times: nothing is committed. Then all is well. */
static void outage(struct fixture *f, int64_t offset, struct script_answer failure)
{
    char device[16];
    char line[64];
    (void)snprintf(device, sizeof device, "d%d", (int)offset);
    (void)snprintf(line, sizeof line, "temp,application=app,device=%s temp=1 7\n", device);
    set_failing(f, &failure);
    produce(f, device, "{\"temp\":1}");
    wait_count(f, &f->failed, 3);
    assert_int_equal(mock_kafka_committed(&f->kafka, GROUP, TOPIC, 0), offset > 0 ? offset : -1);
    assert_false(has_line(f, line));
    set_failing(f, NULL);
    wait_committed(f, offset + 1);
    assert_true(has_line(f, line));
}

static void outages(const struct script_answer *failures, size_t count)
{
    static struct fixture f;
    begin(&f);
    start_program(&f);
    for (size_t i = 0; i < count; i++) {
        print_message("outage %zu\n", i);
        outage(&f, (int64_t)i, failures[i]);
    }
    end(&f);
}

/* What `refusing` refuses is dead, with the server's words, and the rest is stored. */
static void salvage(int version, const char *path, const char *authorization, const char *server)
{
    static struct fixture f;
    struct mock_records dead;
    begin(&f);
    f.refusing = version;
    for (int i = 0; i < 60; i++) {
        char device[16];
        (void)snprintf(device, sizeof device, "d%d.", i);
        produce(&f, device, i % 20 == 7 ? "{\"temp\":\"bad\"}" : "{\"temp\":1}");
    }
    start_program(&f);
    wait_committed(&f, 60);
    for (int i = 0; i < 60; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "temp,application=app,device=d%d. temp=1 7\n", i);
        assert_int_equal(has_line(&f, line), i % 20 != 7);
    }
    assert_memory_equal(f.head, path, strlen(path));
    assert_string_equal(script_header(f.head, "authorization"), authorization);
    mock_kafka_read(&f.kafka, TOPIC ".dead", &dead);
    assert_int_equal(dead.count, 3);
    for (size_t i = 0; i < dead.count; i++) {
        assert_true(mr_slice_is(mock_record_header(&dead.at[i], "millrace_dead_reason"),
                                MR_SLICE("influxdb")));
        assert_memory_equal(mock_record_header(&dead.at[i], "millrace_dead_server").ptr, server,
                            strlen(server));
    }
    mock_records_free(&dead);
    assert_true(f.failed <= 12); /* three requests a batch, and the events may come in several */
    end(&f);
}

static void refused_points_are_dead_and_the_others_stored(void **state)
{
    (void)state;
    salvage(1, "POST /prefix/write?db=my%20db&precision=ns HTTP/1.1\r\n", "Basic bWU6c2VzYW1l",
            "400 partial write: field type conflict: input field \"temp\"");
}

static void refused_points_of_2_x_are_dead_and_the_others_stored(void **state)
{
    (void)state;
    salvage(2, "POST /prefix/api/v2/write?org=my%20org&bucket=b&precision=ns HTTP/1.1\r\n",
            "Token sesame",
            "422 failure writing points to database: partial write: field type conflict: ");
}

static void other_answers_are_waited_on(void **state)
{
    static const struct script_answer failures[] = {
        ANSWER("400 Bad Request", "<html>a proxy's page</html>"),
        ANSWER("400 Bad Request", "{\"error\":\"unexpected EOF\"}\n"),
        ANSWER("413 Request Entity Too Large", "{\"error\":\"Request Entity Too Large\"}"),
        ANSWER("401 Unauthorized", "{\"error\":\"authorization failed\"}"),
        ANSWER("403 Forbidden", ""),
        ANSWER("404 Not Found", "{\"error\":\"database not found: \\\"my db\\\"\"}"),
        ANSWER("429 Too Many Requests", ""),
        ANSWER("500 Internal Server Error", "{\"error\":\"timeout\"}"),
        ANSWER("200 OK", "a proxy's page"),
    };
    (void)state;
    outages(failures, MR_COUNT_OF(failures));
}

static void silence_is_waited_out(void **state)
{
    static const struct script_answer failures[] = {
        {.then = SCRIPT_RESET},
        {.then = SCRIPT_CLOSE},
        {.then = SCRIPT_HANG},
        {.bytes = "HTTP/1.1 204 No", .then = SCRIPT_CLOSE},
        {.bytes = NO_CONTENT, .piece_bytes = 1, .pause_ms = 50, .then = SCRIPT_CLOSE},
    };
    (void)state;
    outages(failures, MR_COUNT_OF(failures));
}

static void a_server_that_is_not_there_yet_is_waited_for(void **state)
{
    static struct fixture f;
    uint16_t port;
    (void)state;
    begin(&f);
    port = script_server_port(f.influx);
    produce(&f, "d1", "{\"temp\":1}");
    start_program(&f);
    wait_committed(&f, 1);
    script_server_stop(f.influx);
    produce(&f, "d2", "{\"temp\":2}");
    produce(&f, "d3", "{\"temp\":3}");
    f.influx = script_server_start(port, handle, &f);
    assert_non_null(f.influx);
    wait_committed(&f, 3);
    assert_true(has_line(&f, "device=d2 temp=2 7\n"));
    assert_true(has_line(&f, "device=d3 temp=3 7\n"));
    end(&f);
}

static void it_ends_while_influxdb_is_away(void **state)
{
    static const struct script_answer failure = ANSWER("500 No", "");
    static struct fixture f;
    (void)state;
    begin(&f);
    set_failing(&f, &failure);
    produce(&f, "d1", "{\"temp\":1}");
    start_program(&f);
    wait_count(&f, &f.failed, 2);
    stop_program();
    assert_int_equal(mock_kafka_committed(&f.kafka, GROUP, TOPIC, 0), -1);
    set_failing(&f, NULL);
    start_program(&f);
    wait_committed(&f, 1);
    assert_true(has_line(&f, "device=d1 temp=1 7\n"));
    end(&f);
}

/* After a failed test. */
static int kill_program(void **state)
{
    (void)state;
    if (program != 0) {
        (void)kill(program, SIGKILL);
        (void)waitpid(program, NULL, 0);
        program = 0;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(events_become_one_request, kill_program),
        cmocka_unit_test_teardown(nothing_is_compressed_for_this_machines_loopback, kill_program),
        cmocka_unit_test_teardown(what_cannot_be_mapped_is_dead_and_the_rest_goes_on, kill_program),
        cmocka_unit_test_teardown(a_large_batch_is_written_in_parts, kill_program),
        cmocka_unit_test_teardown(refused_points_are_dead_and_the_others_stored, kill_program),
        cmocka_unit_test_teardown(refused_points_of_2_x_are_dead_and_the_others_stored,
                                  kill_program),
        cmocka_unit_test_teardown(other_answers_are_waited_on, kill_program),
        cmocka_unit_test_teardown(silence_is_waited_out, kill_program),
        cmocka_unit_test_teardown(a_server_that_is_not_there_yet_is_waited_for, kill_program),
        cmocka_unit_test_teardown(it_ends_while_influxdb_is_away, kill_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
