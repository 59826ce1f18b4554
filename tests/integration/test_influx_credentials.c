// SPDX-License-Identifier: Apache-2.0
/* millrace-influx with a secret from a file that InfluxDB refuses, until another stands there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/kafka_binding.h"
#include "lib/mock_kafka.h"
#include "lib/script_server.h"
#include "lib/spawned.h"
#include "lib/temporary.h"

#define TOPIC "events"
#define GROUP "millrace-influx"

enum { DEADLINE_MS = 60000, LOOK_MS = 20, BYTES_MAX = 1 << 16, DENIALS = 2 };

struct fixture {
    struct mock_kafka kafka;
    struct script_server *influx;
    struct spawned program;
    char secret[TEMPORARY_BYTES]; /* the file */
    const char *right;            /* the header's value that is taken */
    pthread_mutex_t lock;
    unsigned denials; /* under `lock` */
};

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    struct fixture *f = user;
    const char *given = script_header(request->head, "Authorization");
    pthread_mutex_lock(&f->lock);
    if (given != NULL && strcmp(given, f->right) == 0) {
        answer->bytes = "HTTP/1.1 204 No Content\r\n\r\n";
    } else {
        answer->bytes = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}";
        f->denials++;
    }
    pthread_mutex_unlock(&f->lock);
}

/* In one step, as Kubernetes changes a Secret. */
static void write_secret(const struct fixture *f, const char *secret)
{
    char path[TEMPORARY_BYTES];
    int fd;
    temporary_name(path, "secret");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(path, f->secret), 0);
}

static unsigned denials(struct fixture *f)
{
    unsigned count;
    pthread_mutex_lock(&f->lock);
    count = f->denials;
    pthread_mutex_unlock(&f->lock);
    return count;
}

static void wait_denied(struct fixture *f, unsigned more)
{
    unsigned count = denials(f) + more;
    for (int waited = 0; denials(f) < count; waited += LOOK_MS) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static void produce_one(struct fixture *f)
{
    static const char *const attributes[][2] = {
        {"specversion", "1.0"}, {"id", "1"},
        {"source", "/app/d"},   {"type", "t"},
        {"subject", "climate"}, {"application", "app"},
        {"device", "d"},        {"datacontenttype", "application/json"}};
    struct mr_event *event = mr_event_new();
    struct kafka_writer writer;
    struct kafka_record record;
    for (size_t i = 0; i < MR_COUNT_OF(attributes); i++) {
        assert_int_equal(
            mr_event_set(event, mr_slice_of(attributes[i][0]), mr_slice_of(attributes[i][1]), NULL),
            0);
    }
    mr_event_set_data(event, MR_SLICE("{\"t\":1}"));
    kafka_writer_init(&writer, BYTES_MAX);
    assert_int_equal(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL), 0);
    (void)mock_kafka_produce(&f->kafka, TOPIC, 0, &record);
    kafka_writer_done(&writer);
    mr_event_free(event);
}

/* `file` and `more`: options; the first ends with '=', and the file's name follows. */
static void begin(struct fixture *f, const char *right, const char *file, const char *const *more)
{
    char kafka[128];
    char uri[64];
    char secret[TEMPORARY_BYTES + 64];
    const char *arguments[] = {TEST_BUILD_DIR "/consumers/millrace-influx",
                               kafka,
                               uri,
                               secret,
                               more[0],
                               more[1],
                               "--influx.wait.min=20ms",
                               "--influx.wait.max=100ms",
                               "--influx.commit.interval=50ms",
                               "--admin.listen=127.0.0.1:0",
                               NULL};
    int fd;
    memset(f, 0, sizeof *f);
    f->right = right;
    (void)pthread_mutex_init(&f->lock, NULL);
    temporary_name(f->secret, "secret");
    fd = mkstemp(f->secret);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_secret(f, "first-sesame\n");
    mock_kafka_start(&f->kafka);
    mock_kafka_create_topic(&f->kafka, TOPIC, 1);
    mock_kafka_create_topic(&f->kafka, TOPIC ".dead", 1);
    f->influx = script_server_start(0, handle, f);
    assert_non_null(f->influx);
    produce_one(f);
    (void)snprintf(kafka, sizeof kafka, "--kafka.bootstrap.servers=%s", f->kafka.bootstrap);
    (void)snprintf(uri, sizeof uri, "--influx.uri=http://127.0.0.1:%u",
                   script_server_port(f->influx));
    (void)snprintf(secret, sizeof secret, "%s%s", file, f->secret);
    spawned_start(&f->program, arguments);
}

static void expect_stored(struct fixture *f)
{
    for (int waited = 0; mock_kafka_committed(&f->kafka, GROUP, TOPIC, 0) != 1; waited += LOOK_MS) {
        assert_true(waited < DEADLINE_MS);
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static void end(struct fixture *f)
{
    spawned_signal(&f->program, SIGTERM);
    assert_int_equal(spawned_wait(&f->program), 0);
    assert_null(strstr(f->program.log, "sesame"));
    script_server_stop(f->influx);
    mock_kafka_stop(&f->kafka);
    (void)unlink(f->secret);
    (void)pthread_mutex_destroy(&f->lock);
}

static void test_another_token_counts_without_a_restart(void **state)
{
    static const char *const more[] = {"--influx.org=o", "--influx.bucket=b"};
    static struct fixture f;
    (void)state;
    begin(&f, "Token second-sesame", "--influx.token.file=", more);
    wait_denied(&f, DENIALS);
    write_secret(&f, "second-sesame\n");
    expect_stored(&f);
    end(&f);
}

static void test_another_password_counts_without_a_restart(void **state)
{
    static const char *const more[] = {"--influx.database=d", "--influx.username=u"};
    static struct fixture f;
    (void)state;
    begin(&f, "Basic dTpzZWNvbmQtc2VzYW1l" /* RFC 7617 of u:second-sesame */,
          "--influx.password.file=", more);
    wait_denied(&f, DENIALS);
    write_secret(&f, "second-sesame\n");
    expect_stored(&f);
    end(&f);
}

/* No file for a moment, an empty one, one that would break the header: what there is stays. */
static void test_what_is_no_token_changes_nothing(void **state)
{
    static const char *const more[] = {"--influx.org=o", "--influx.bucket=b"};
    static struct fixture f;
    (void)state;
    begin(&f, "Token second-sesame", "--influx.token.file=", more);
    wait_denied(&f, DENIALS);
    assert_int_equal(unlink(f.secret), 0);
    (void)spawned_wait_log(&f.program, "can't be read again");
    write_secret(&f, "");
    wait_denied(&f, DENIALS);
    write_secret(&f, "second-sesame\r\nX-More: sesame");
    (void)spawned_wait_log(&f.program, "printable ASCII");
    write_secret(&f, "second-sesame");
    expect_stored(&f);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_token_counts_without_a_restart),
        cmocka_unit_test(test_another_password_counts_without_a_restart),
        cmocka_unit_test(test_what_is_no_token_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
