// SPDX-License-Identifier: Apache-2.0
/* What we write is what InfluxDB gives back: every nasty name and value goes through the mapping to
 * a real InfluxDB 1.x (influxd from PATH, on ports and a folder of its own) and is compared with
 * what /query returns, read by jansson. Without influxd it is skipped loudly; with CI=true it
 * fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <millrace/http_client.h>

#include "consumers/influx/gzip.h"
#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping.h"
#include "consumers/influx/options.h"
#include "event/percent.h"
#include "kit/buf.h"
#include "kit/mem.h"

enum { START_DEADLINE_MS = 60000 };

extern char **environ;

static uv_loop_t loop;
static struct mr_http_client *client;
static char folder[] = "/tmp/millrace-influx-XXXXXX";
static pid_t influxd;
static unsigned http_port;

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

struct reply {
    int calls;
    int status; /* 0: none */
    char body[65536];
};

static void on_reply(void *user, const struct mr_http_answer *answer, const struct mr_error *error)
{
    struct reply *reply = user;
    (void)error;
    reply->calls = 1;
    reply->status = 0;
    if (answer != NULL) {
        assert_false(answer->body_is_cut);
        reply->status = answer->status;
        memcpy(reply->body, answer->body.ptr, answer->body.len);
        reply->body[answer->body.len] = '\0';
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void ask(const char *method, const char *target, struct mr_slice body, bool gzip,
                struct reply *reply)
{
    static const char *const headers[] = {"Content-Encoding: gzip"};
    char url[16384];
    struct mr_http_request request = {.method = method,
                                      .url = url,
                                      .headers = headers,
                                      .header_count = gzip ? 1 : 0,
                                      .body = body,
                                      .timeout_ms = 20000};
    uv_timer_t tick; /* UV_RUN_ONCE doesn't return for a callback that a timer made */
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_port, target);
    reply->calls = 0;
    assert_int_equal(mr_http_client_send(client, &request, on_reply, reply, NULL, NULL), 0);
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 2, 2);
    while (reply->calls == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void query(const char *method, const char *text, struct reply *reply)
{
    struct mr_buf target;
    buf_init(&target, 16384);
    (void)buf_add_str(&target, "/query?db=test%20db&epoch=ns&q=");
    (void)percent_encode(mr_slice_of(text), &target);
    (void)buf_add_char(&target, '\0');
    assert_int_equal(target.failed, 0);
    ask(method, target.ptr, (struct mr_slice){0}, false, reply);
    buf_done(&target);
}

static void write_configuration(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "reporting-disabled = true\n"
            "bind-address = \"127.0.0.1:%u\"\n"
            "[meta]\ndir = \"%s/meta\"\n"
            "[data]\ndir = \"%s/data\"\nwal-dir = \"%s/wal\"\n"
            "[http]\nbind-address = \"127.0.0.1:%u\"\nlog-enabled = false\n"
            "[monitor]\nstore-enabled = false\n",
            free_port(), folder, folder, folder, http_port);
    assert_int_equal(fclose(file), 0);
}

static bool in_path(const char *name)
{
    char command[64];
    (void)snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
    return system(command) == 0;
}

static void start_influxd(void)
{
    char path[64];
    char *arguments[] = {(char[]){"influxd"}, (char[]){"-config"}, path, NULL};
    posix_spawn_file_actions_t actions;
    assert_non_null(mkdtemp(folder));
    http_port = free_port();
    (void)snprintf(path, sizeof path, "%s/influxdb.conf", folder);
    write_configuration(path);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&influxd, "influxd", &actions, NULL, arguments, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
}

static int set_up(void **state)
{
    struct mr_http_client_config config = {.answer_bytes_max = 65535};
    static struct reply reply;
    uint64_t begun = uv_hrtime();
    (void)state;
    start_influxd();
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mr_http_client_open(&loop, &config, &client, NULL), 0);
    do {
        assert_true((uv_hrtime() - begun) / 1000000 < START_DEADLINE_MS);
        (void)uv_sleep(10);
        ask("GET", "/ping", (struct mr_slice){0}, false, &reply);
    } while (reply.status != 204);
    query("POST", "CREATE DATABASE \"test db\"", &reply);
    assert_int_equal(reply.status, 200);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    mr_http_client_close(client, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)kill(influxd, SIGKILL);
    (void)waitpid(influxd, NULL, 0);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* Write the event through the mapping, gzip and the writer's own URL; true if InfluxDB took it. */
static void write_event(struct mr_event *event, struct reply *reply)
{
    struct mapping *mapping = mapping_new();
    char uri[64];
    char database[] = "test db";
    struct influx_options options = {.uri = uri, .database = database};
    struct mr_slice line;
    struct mr_buf body;
    struct gzip gzip;
    struct mr_error err = {0};
    char *url;
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u/", http_port);
    url = influx_write_url(&options);
    if (mapping_line(mapping, event, 1465839830000, &line, &err) != 0) {
        fail_msg("%s", err.text);
    }
    buf_init(&body, 16 * 1024 * 1024);
    assert_int_equal(gzip_init(&gzip), 0);
    assert_int_equal(gzip_write(&gzip, line, &body), 0);
    ask("POST", url + strlen(uri) - 1, buf_slice(&body), true, reply);
    if (reply->status != 204) {
        print_message("%d %s\n", reply->status, reply->body);
    }
    gzip_done(&gzip);
    buf_done(&body);
    mem_free(url);
    mapping_free(mapping);
}

static struct mr_event *event_of(const char *subject, const char *data)
{
    struct mr_event *event = mr_event_new();
    assert_non_null(event);
    assert_int_equal(mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("subject"), mr_slice_of(subject), NULL), 0);
    mr_event_set_data(event, mr_slice_of(data));
    return event;
}

/* The one point of a measurement, as an object of its columns. */
static json_t *point_of(const char *measurement)
{
    static struct reply reply;
    struct mr_buf text;
    json_t *answer;
    json_t *series;
    json_t *point = json_object();
    buf_init(&text, 8192);
    (void)buf_add_str(&text, "SELECT * FROM \"");
    for (const char *c = measurement; *c != '\0'; c++) { /* InfluxQL's own escapes */
        if (*c == '"' || *c == '\\') {
            (void)buf_add_char(&text, '\\');
        }
        (void)buf_add_char(&text, *c);
    }
    (void)buf_add(&text, "\"", 2);
    query("GET", text.ptr, &reply);
    buf_done(&text);
    assert_int_equal(reply.status, 200);
    answer = json_loads(reply.body, JSON_ALLOW_NUL, NULL);
    assert_non_null(answer);
    series = json_array_get(
        json_object_get(json_array_get(json_object_get(answer, "results"), 0), "series"), 0);
    if (series == NULL || json_array_size(json_object_get(series, "values")) != 1) {
        fail_msg("not one point of %s: %s", measurement, reply.body);
    }
    for (size_t i = 0; i < json_array_size(json_object_get(series, "columns")); i++) {
        assert_int_equal(
            json_object_set(
                point, json_string_value(json_array_get(json_object_get(series, "columns"), i)),
                json_array_get(json_array_get(json_object_get(series, "values"), 0), i)),
            0);
    }
    json_decref(answer);
    return point;
}

/* `data` becomes a point of `measurement` whose columns are `expected` (JSON), besides the time. */
static void round_trip(struct mr_event *event, const char *measurement, const char *expected)
{
    static struct reply reply;
    json_t *point;
    json_t *wanted = json_loads(expected, JSON_ALLOW_NUL, NULL);
    assert_non_null(wanted);
    write_event(event, &reply);
    mr_event_free(event);
    assert_int_equal(reply.status, 204);
    point = point_of(measurement);
    if (json_object_get(wanted, "time") == NULL) {
        assert_int_equal(json_object_set_new(wanted, "time", json_integer(1465839830000000000)), 0);
    }
    if (!json_equal(point, wanted)) {
        char *got = json_dumps(point, JSON_COMPACT);
        fail_msg("%s: got %s, expected %s", measurement, got, expected);
    }
    json_decref(point);
    json_decref(wanted);
}

static void payload(const char *measurement, const char *data, const char *expected)
{
    round_trip(event_of(measurement, data), measurement, expected);
}

static void strings_come_back_exactly(void **state)
{
    static char data[LINE_STRING_BYTES_MAX + 16];
    (void)state;
    payload("s1", "{\"a\":\"\",\"b\":\" \",\"c\":\"x\"}", "{\"a\":\"\",\"b\":\" \",\"c\":\"x\"}");
    payload("s2", "{\"a\":\"\\\"\",\"b\":\"\\\\\",\"c\":\"\\\\\\\"\",\"d\":\"\\\\n\"}",
            "{\"a\":\"\\\"\",\"b\":\"\\\\\",\"c\":\"\\\\\\\"\",\"d\":\"\\\\n\"}");
    payload("s3", "{\"a\":\"l1\\nl2\\r\\n\\t\",\"b\":\"\\n\",\"c\":\"\\u0001\\u007f\"}",
            "{\"a\":\"l1\\nl2\\r\\n\\t\",\"b\":\"\\n\",\"c\":\"\\u0001\\u007f\"}");
    payload("s4", "{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\u0000y\"}");
    payload("s5", "{\"a\":\", =#\\u00e9\\ud83d\\ude00\",\"b\":\"a=1,b=\\\"2\\\" 3\"}",
            "{\"a\":\", =#\\u00e9\\ud83d\\ude00\",\"b\":\"a=1,b=\\\"2\\\" 3\"}");
    memset(data, 'x', sizeof data);
    memcpy(data, "{\"a\":\"", 6);
    (void)snprintf(data + 50000, 10, "\"}");
    payload("s6", data, data);
}

static void numbers_come_back_exactly(void **state)
{
    (void)state;
    payload("n1", "{\"a\":21.5,\"b\":-1.25e-3,\"c\":1E+2,\"d\":0.1}",
            "{\"a\":21.5,\"b\":-0.00125,\"c\":100,\"d\":0.1}");
    payload("n2", "{\"a\":1.7976931348623157e308,\"b\":5e-324,\"c\":1e-999,\"d\":-0}",
            "{\"a\":1.7976931348623157e308,\"b\":5e-324,\"c\":0,\"d\":0}");
    payload("n3", "{\"a\":9007199254740991,\"b\":0.30000000000000004}",
            "{\"a\":9007199254740991,\"b\":0.30000000000000004}");
    payload("n4", "{\"a\":true,\"b\":false,\"c\":null}", "{\"a\":true,\"b\":false}");
}

static void names_come_back_as_the_rules_say(void **state)
{
    (void)state;
    payload("f1", "{\"a b\":1.5,\"c,d\":2.5,\"e=f\":3.5,\"g\\\"h\":4.5,\"'\":5.5}",
            "{\"a b\":1.5,\"c,d\":2.5,\"e=f\":3.5,\"g\\\"h\":4.5,\"'\":5.5}");
    payload("f2", "{\"\\u00e9\":1.5,\"\\ud83d\\ude00\":2.5,\"#\":3.5,\"a\\\\b\":4.5}",
            "{\"\\u00e9\":1.5,\"\\ud83d\\ude00\":2.5,\"#\":3.5,\"a\\\\b\":4.5}");
    payload("f3", "{\"\":0.5,\"a\\\\\":1.5,\"b\\\\,c\":2.5,\"d\\\\\\\\=e\":3.5,\"f\\ng\":4.5}",
            "{\"_\":0.5,\"a_\":1.5,\"b_,c\":2.5,\"d\\\\_=e\":3.5,\"f_g\":4.5}");
    payload("f4",
            "{\"time\":1.5,\"device\":2.5,\"a\":{\"b\":3.5},\"a_b\":4.5,\"x\":[5.5,{\"y\":6.5}]}",
            "{\"time_\":1.5,\"device_\":2.5,\"a_b\":3.5,\"a_b_2\":4.5,\"x_0\":5.5,\"x_1_y\":6.5}");
    /* Quotes in names and a line break in a string, which a scanner of lines could mix up. */
    payload("f5",
            "{\"k\\\"1\":\"a\\nb\",\"k\\\\\\\"2\":\"c\\nd\",\"k=3\":\"e\\nf\",\"\\\\,\":\"g\\nh\"}",
            "{\"k\\\"1\":\"a\\nb\",\"k_\\\"2\":\"c\\nd\",\"k=3\":\"e\\nf\",\"_,\":\"g\\nh\"}");
    payload("f6", "{\"a\\\\\\\\b\":1.5,\"\\\\n\":2.5,\"\\\\\\\\\\\\c\\\\\\\\d\":3.5}",
            "{\"a\\\\\\\\b\":1.5,\"\\\\n\":2.5,\"\\\\\\\\\\\\c\\\\\\\\d\":3.5}");
}

static struct mr_event *tagged(const char *subject, const char *application, const char *device)
{
    struct mr_event *event = event_of(subject, "{\"f\":\"a\\nb\"}");
    assert_int_equal(mr_event_set(event, MR_SLICE("application"), mr_slice_of(application), NULL),
                     0);
    assert_int_equal(mr_event_set(event, MR_SLICE("device"), mr_slice_of(device), NULL), 0);
    return event;
}

static void tags_and_measurements_come_back(void **state)
{
    (void)state;
    round_trip(tagged("plain", "app", "dev-1"), "plain",
               "{\"application\":\"app\",\"device\":\"dev-1\",\"f\":\"a\\nb\"}");
    round_trip(tagged("a,b c=d", "x,y z=w", "q\"r'"), "a,b c=d",
               "{\"application\":\"x,y z=w\",\"device\":\"q\\\"r'\",\"f\":\"a\\nb\"}");
    round_trip(tagged("#hash", "#", " "), "_hash",
               "{\"application\":\"#\",\"device\":\" \",\"f\":\"a\\nb\"}");
    round_trip(tagged("q\"m", "a\\b", "c\\"), "q\"m",
               "{\"application\":\"a\\\\b\",\"device\":\"c_\",\"f\":\"a\\nb\"}");
    round_trip(
        tagged("u\xc3\xa9", "\xf0\x9f\x98\x80", "d\\,e\\=\"f\\ g"), "u\xc3\xa9",
        "{\"application\":\"\\ud83d\\ude00\",\"device\":\"d_,e_=\\\"f_ g\",\"f\":\"a\\nb\"}");
}

static void times_come_back(void **state)
{
    static const struct {
        const char *time;
        json_int_t ns;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"2016-06-13T17:43:50.1004002Z", 1465839830100400200},
        {"1677-09-21T00:12:43.145224194Z", INT64_MIN + 2},
        {"2262-04-11T23:47:16.854775806Z", INT64_MAX - 1},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        char measurement[16];
        char expected[64];
        struct mr_event *event;
        (void)snprintf(measurement, sizeof measurement, "t%zu", i);
        (void)snprintf(expected, sizeof expected, "{\"a\":1.5,\"time\":%lld}", cases[i].ns);
        event = event_of(measurement, "{\"a\":1.5}");
        assert_int_equal(mr_event_set(event, MR_SLICE("time"), mr_slice_of(cases[i].time), NULL),
                         0);
        round_trip(event, measurement, expected);
    }
}

static void the_largest_names_are_taken(void **state)
{
    char *name = calloc(1, LINE_NAME_BYTES_MAX + 1);
    char *data = calloc(1, LINE_NAME_BYTES_MAX + 16);
    static struct reply reply;
    struct mr_event *event;
    (void)state;
    memset(name, ',', LINE_NAME_BYTES_MAX);
    (void)snprintf(data, LINE_NAME_BYTES_MAX + 16, "{\"%s\":1}", name);
    event = event_of(name, data);
    assert_int_equal(mr_event_set(event, MR_SLICE("application"), mr_slice_of(name), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("device"), mr_slice_of(name), NULL), 0);
    write_event(event, &reply);
    assert_int_equal(reply.status, 204);
    mr_event_free(event);
    free(name);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_come_back_exactly),
        cmocka_unit_test(numbers_come_back_exactly),
        cmocka_unit_test(names_come_back_as_the_rules_say),
        cmocka_unit_test(tags_and_measurements_come_back),
        cmocka_unit_test(times_come_back),
        cmocka_unit_test(the_largest_names_are_taken),
    };
    if (!in_path("influxd")) {
        const char *ci = getenv("CI");
        fprintf(stderr,
                "SKIPPED: influxd (package influxdb) is not installed: nothing was tested "
                "against a real InfluxDB\n");
        return ci != NULL && strcmp(ci, "true") == 0 ? 1 : 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
