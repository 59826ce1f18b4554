// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <millrace/log.h>

enum { LINE_BYTES = 8 * 1024 };

static int saved_stderr = -1;

static void stderr_is(int fd)
{
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static void stderr_restore(void)
{
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(saved_stderr), 0);
}

/* What one mr_log_fields writes: through a socket that keeps writes apart, so that more than one
 * write a line would be seen. Terminated. */
static const char *line_of(enum mr_log_format format, const char *message,
                           const struct mr_field *fields)
{
    static char line[LINE_BYTES + 1];
    int ends[2];
    ssize_t n;
    char c;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    mr_log_init("test", MR_LOG_INFO, format);
    stderr_is(ends[0]);
    mr_log_fields(MR_LOG_INFO, message, fields);
    stderr_restore();
    n = recv(ends[1], line, LINE_BYTES, 0);
    assert_true(n > 1);
    assert_int_equal(recv(ends[1], &c, 1, MSG_DONTWAIT), -1);
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
    assert_int_equal(strlen(line), n - 1);
    assert_null(strchr(line, '\n'));
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    return line;
}

#define LOGFMT(message, ...) \
    after_time(line_of(MR_LOG_LOGFMT, message, (const struct mr_field[]){__VA_ARGS__, {0}}))
#define JSON(message, ...) \
    parse(line_of(MR_LOG_JSON, message, (const struct mr_field[]){__VA_ARGS__, {0}}))

static const char *after_time(const char *line)
{
    int n = 0;
    static const char form[] = "time=0000-00-00T00:00:00.000Z ";
    for (; form[n] != '\0'; n++) {
        if (form[n] == '0') {
            assert_in_range(line[n], '0', '9');
        } else {
            assert_int_equal(line[n], form[n]);
        }
    }
    return line + n;
}

static json_t *parse(const char *line)
{
    json_error_t error;
    json_t *json = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        fail_msg("%s: %s", error.text, line);
    }
    return json;
}

static void test_logfmt_quotes_what_needs_it_only(void **state)
{
    static const struct {
        struct mr_slice value;
        const char *expected;
    } cases[] = {
        {MR_SLICE_INIT("plain"), "plain"},
        {MR_SLICE_INIT("/a/b?c,d;e:[f]'g'"), "/a/b?c,d;e:[f]'g'"},
        {MR_SLICE_INIT("back\\slash"), "back\\slash"},
        {MR_SLICE_INIT("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F"},
        {MR_SLICE_INIT("\xF0\x9F\x98\x80"), "\xF0\x9F\x98\x80"},
        {MR_SLICE_INIT(""), "\"\""},
        {{NULL, 0}, "\"\""},
        {MR_SLICE_INIT("a b"), "\"a b\""},
        {MR_SLICE_INIT("a=b"), "\"a=b\""},
        {MR_SLICE_INIT("say \"hi\"\\"), "\"say \\\"hi\\\"\\\\\""},
        {MR_SLICE_INIT("a\nb\rc\td"), "\"a\\nb\\rc\\td\""},
        {MR_SLICE_INIT("\0\x01\x1b\x7f"), "\"\\x00\\x01\\x1b\\x7f\""},
        {MR_SLICE_INIT("\xC2\x9B"), "\"\\xc2\\x9b\""},          /* C1: an escape sequence begins */
        {MR_SLICE_INIT("\xC2\xA0"), "\xC2\xA0"},                /* no longer a control character */
        {MR_SLICE_INIT("\xFF\xC3"), "\"\\xff\\xc3\""},          /* never UTF-8; cut off */
        {MR_SLICE_INIT("\xC0\xAF"), "\"\\xc0\\xaf\""},          /* overlong */
        {MR_SLICE_INIT("\xED\xA0\x80"), "\"\\xed\\xa0\\x80\""}, /* a surrogate */
        {MR_SLICE_INIT("\xF4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\""}, /* above U+10FFFF */
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        char expected[128];
        (void)snprintf(expected, sizeof expected, "level=info program=test msg=m v=%s n=-5",
                       cases[i].expected);
        assert_string_equal(LOGFMT("m", MR_SLICE_FIELD("v", cases[i].value), MR_INT("n", -5)),
                            expected);
    }
}

static void test_a_bad_name_does_not_break_the_line(void **state)
{
    (void)state;
    assert_string_equal(LOGFMT("m", MR_INT("a b=\"\n", INT64_MIN)),
                        "level=info program=test msg=m a_b___=-9223372036854775808");
}

static void test_json_says_the_same_whatever_the_bytes(void **state)
{
    json_t *json =
        JSON("a \"b\"\n", MR_SLICE_FIELD("bytes", MR_SLICE("\0\x1f\x7f\\\"/\xC3\xBC")),
             MR_SLICE_FIELD("bad", MR_SLICE("a\xFF"
                                            "b\xED\xA0\x80")),
             MR_SLICE_FIELD("none", ((struct mr_slice){NULL, 0})), MR_INT("n", INT64_MAX));
    json_t *bytes = json_object_get(json, "bytes");
    (void)state;
    assert_string_equal(json_string_value(json_object_get(json, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(json, "program")), "test");
    assert_string_equal(json_string_value(json_object_get(json, "msg")), "a \"b\"\n");
    assert_int_equal(json_string_length(bytes), 8);
    assert_memory_equal(json_string_value(bytes), "\0\x1f\x7f\\\"/\xC3\xBC", 8);
    assert_string_equal(json_string_value(json_object_get(json, "bad")),
                        "a\xEF\xBF\xBD"
                        "b\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_true(json_is_null(json_object_get(json, "none")));
    assert_true(json_integer_value(json_object_get(json, "n")) == INT64_MAX);
    json_decref(json);
}

static void test_json_is_valid_for_every_pair_of_bytes(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first += 3) {
        char bytes[512];
        json_t *json;
        for (unsigned second = 0; second < 256; second++) {
            bytes[2 * second] = (char)first;
            bytes[2 * second + 1] = (char)second;
        }
        json = JSON("m", MR_SLICE_FIELD("v", mr_slice(bytes, sizeof bytes)));
        assert_true(json_is_string(json_object_get(json, "v")));
        json_decref(json);
    }
}

/* Cut at a character's end, closed, and said to be cut; at every offset. */
static void test_a_long_line_is_cut_whole(void **state)
{
    static char value[2 * LINE_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof value; i += 2) {
        memcpy(value + i, "\xC3\xBC", 2);
    }
    for (size_t offset = 0; offset < 40; offset++) {
        struct mr_slice whole = mr_slice(value, sizeof value);
        char pad[41];
        const char *line;
        json_t *json;
        memset(pad, 'p', sizeof pad);
        json = JSON("m", MR_SLICE_FIELD("pad", mr_slice(pad, offset)), MR_SLICE_FIELD("v", whole),
                    MR_INT("lost", 1));
        assert_true(json_is_true(json_object_get(json, "cut")));
        assert_true(json_string_length(json_object_get(json, "v")) > LINE_BYTES - 200);
        assert_null(json_object_get(json, "lost"));
        json_decref(json);
        line =
            LOGFMT("m", MR_SLICE_FIELD("pad", mr_slice(pad, offset)), MR_SLICE_FIELD("v", whole));
        assert_string_equal(line + strlen(line) - 11, "\xC3\xBC cut=true");
    }
}

static void test_a_field_that_does_not_fit_is_left_out(void **state)
{
    static char value[LINE_BYTES];
    (void)state;
    memset(value, 'x', sizeof value);
    for (size_t len = LINE_BYTES - 140; len < LINE_BYTES; len++) {
        const char *line;
        json_t *json = JSON("m", MR_SLICE_FIELD("v", mr_slice(value, len)), MR_STR("other", "a b"),
                            MR_INT("number", 12345));
        bool cut = json_object_get(json, "cut") != NULL;
        assert_true(cut || json_integer_value(json_object_get(json, "number")) == 12345);
        json_decref(json);
        line = LOGFMT("m", MR_SLICE_FIELD("v", mr_slice(value, len)), MR_INT("number", 12345));
        line = strrchr(line, ' ');
        assert_true(strcmp(line, " cut=true") == 0 || strcmp(line, " number=12345") == 0);
    }
}

static void test_levels(void **state)
{
    (void)state;
    mr_log_init("test", MR_LOG_WARN, MR_LOG_LOGFMT);
    assert_true(mr_log_wants(MR_LOG_ERROR));
    assert_true(mr_log_wants(MR_LOG_WARN));
    assert_false(mr_log_wants(MR_LOG_INFO));
    assert_false(mr_log_wants(MR_LOG_DEBUG));
}

static void test_a_limited_place(void **state)
{
    struct mr_log_limit limit = {0};
    int64_t suppressed = -1;
    (void)state;
    assert_true(mr_log_limit_pass(&limit, 3600 * 1000, &suppressed));
    assert_int_equal(suppressed, 0);
    for (int i = 0; i < 5; i++) {
        suppressed = -1;
        assert_false(mr_log_limit_pass(&limit, 3600 * 1000, &suppressed));
        assert_int_equal(suppressed, -1);
    }
    limit.next_ms = 0; /* the hour is over */
    assert_true(mr_log_limit_pass(&limit, 3600 * 1000, &suppressed));
    assert_int_equal(suppressed, 5);
    assert_string_equal(LOGFMT("m", MR_SUPPRESSED(5)),
                        "level=info program=test msg=m suppressed=5");
    assert_string_equal(LOGFMT("m", MR_SUPPRESSED(0)), "level=info program=test msg=m");
}

static void test_without_standard_error(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    stderr_is(ends[1]);
    errno = ERANGE;
    mr_log(MR_LOG_ERROR, "nobody reads");
    assert_int_equal(errno, ERANGE);
    assert_int_equal(close(STDERR_FILENO), 0);
    mr_log(MR_LOG_ERROR, "nobody can");
    stderr_restore();
    assert_int_equal(close(ends[1]), 0);
}

/* A reader that has stopped: nothing waits for it; when it reads again lines are whole lines. */
static void test_a_full_pipe_loses_lines_and_nothing_else(void **state)
{
    static char value[LINE_BYTES];
    static char read_back[3 * LINE_BYTES];
    char *last;
    int ends[2];
    ssize_t n;
    (void)state;
    memset(value, 'x', sizeof value);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    mr_log_init("test", MR_LOG_INFO, MR_LOG_LOGFMT);
    stderr_is(ends[1]);
    mr_log(MR_LOG_INFO, "torn", MR_SLICE_FIELD("v", mr_slice(value, sizeof value)));
    mr_log(MR_LOG_INFO, "lost");
    n = read(ends[0], read_back, sizeof read_back);
    mr_log(MR_LOG_INFO, "whole");
    stderr_restore();
    assert_int_equal(n, 4096);
    n += read(ends[0], read_back + n, sizeof read_back - (size_t)n - 1);
    read_back[n] = '\0';
    assert_null(strstr(read_back, "lost"));
    last = strchr(read_back, '\n');
    assert_non_null(last);
    assert_string_equal(after_time(last + 1), "level=info program=test msg=whole\n");
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

/* The same with a pipe that blocks: a service's standard error, and the reader hangs. */
static void test_a_stopped_reader_blocks_nobody(void **state)
{
    enum { LINES_WRITTEN = 100, SECONDS_MAX = 5 };
    static char fill[4096];
    struct timespec begin;
    struct timespec end;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(write(ends[1], fill, sizeof fill), sizeof fill);
    stderr_is(ends[1]);
    (void)alarm(30); /* it would wait for ever */
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < LINES_WRITTEN; i++) {
        mr_log(MR_LOG_INFO, "lost");
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    (void)alarm(0);
    assert_int_equal(read(ends[0], fill, sizeof fill), sizeof fill);
    mr_log(MR_LOG_INFO, "seen");
    stderr_restore();
    assert_true(end.tv_sec - begin.tv_sec < SECONDS_MAX);
    memset(fill, 0, sizeof fill);
    assert_true(read(ends[0], fill, sizeof fill - 1) > 0);
    assert_string_equal(after_time(fill), "level=info program=test msg=seen\n");
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

static int blocked_reader = -1;

static void on_alarm(int number)
{
    static char bytes[4096];
    (void)number;
    (void)!read(blocked_reader, bytes, sizeof bytes);
}

static void test_an_interrupted_write_goes_on(void **state)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const struct itimerval soon = {.it_value = {.tv_usec = 20000},
                                   .it_interval = {.tv_usec = 20000}};
    const struct itimerval never = {0};
    static char fill[4096];
    char line[256];
    int ends[2];
    ssize_t n;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(write(ends[1], fill, sizeof fill), sizeof fill);
    blocked_reader = ends[0];
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    stderr_is(ends[1]);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    mr_log(MR_LOG_INFO, "patient");
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    stderr_restore();
    n = read(ends[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(after_time(line), "level=info program=test msg=patient\n");
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

enum { THREADS = 4, LINES = 50, WORD_BYTES = 6000 /* more than a pipe takes at once */ };

static void *log_lines(void *arg)
{
    static _Thread_local char word[WORD_BYTES];
    memset(word, *(const char *)arg, sizeof word);
    for (int i = 0; i < LINES; i++) {
        mr_log(MR_LOG_INFO, "m", MR_SLICE_FIELD("v", mr_slice(word, sizeof word)));
        mr_log_limited(MR_LOG_DEBUG, 1000, "not wanted");
    }
    return NULL;
}

static void test_threads_do_not_mix_their_lines(void **state)
{
    static const char names[THREADS] = "abcd";
    static char line[LINE_BYTES + 1];
    pthread_t threads[THREADS];
    int counts[THREADS] = {0};
    int ends[2];
    FILE *reader;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    reader = fdopen(ends[0], "r");
    assert_non_null(reader);
    mr_log_init("test", MR_LOG_INFO, MR_LOG_LOGFMT);
    stderr_is(ends[1]);
    for (int i = 0; i < THREADS; i++) {
        void *name;
        memcpy(&name, &(const void *){&names[i]}, sizeof name);
        (void)pthread_create(&threads[i], NULL, log_lines, name);
    }
    for (int i = 0; i < THREADS * LINES; i++) {
        const char *value;
        if (fgets(line, sizeof line, reader) == NULL) {
            break;
        }
        value = strstr(line, " v=");
        if (value == NULL) {
            continue;
        }
        value += 3;
        if (strlen(value) == WORD_BYTES + 1 && value[0] >= 'a' && value[0] < 'a' + THREADS &&
            strspn(value, (char[]){value[0], '\0'}) == WORD_BYTES) {
            counts[value[0] - 'a']++;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    stderr_restore();
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(counts[i], LINES);
    }
    assert_int_equal(fclose(reader), 0);
    assert_int_equal(close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt_quotes_what_needs_it_only),
        cmocka_unit_test(test_a_bad_name_does_not_break_the_line),
        cmocka_unit_test(test_json_says_the_same_whatever_the_bytes),
        cmocka_unit_test(test_json_is_valid_for_every_pair_of_bytes),
        cmocka_unit_test(test_a_long_line_is_cut_whole),
        cmocka_unit_test(test_a_field_that_does_not_fit_is_left_out),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_a_limited_place),
        cmocka_unit_test(test_without_standard_error),
        cmocka_unit_test(test_a_full_pipe_loses_lines_and_nothing_else),
        cmocka_unit_test(test_a_stopped_reader_blocks_nobody),
        cmocka_unit_test(test_an_interrupted_write_goes_on),
        cmocka_unit_test(test_threads_do_not_mix_their_lines),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
