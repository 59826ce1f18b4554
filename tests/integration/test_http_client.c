// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <millrace/http_client.h>

#include "kit/mem.h"
#include "lib/heap.h"
#include "lib/script_server.h"

enum { DEADLINE_MS = 60000, MANY = 200 };

/* What the server does, by the beginning of the request's target. */
struct script {
    const char *target;
    struct script_answer answer;
};

struct fixture {
    uv_loop_t loop;
    struct mr_http_client *client;
    struct script_server *server;
    const struct script *scripts;
    size_t script_count;
    char last_head[4096];
    char last_body[4096];
    size_t last_body_len;
    bool closed;
};

struct outcome {
    int calls;
    bool inside_call; /* the callback ran inside a call of ours */
    bool answered;
    struct mr_http_answer answer;
    char body[8192];
    struct mr_error error;
};

static bool in_call;

static void on_outcome(void *user, const struct mr_http_answer *answer,
                       const struct mr_error *error)
{
    struct outcome *outcome = user;
    outcome->calls++;
    outcome->inside_call |= in_call;
    outcome->answered = answer != NULL;
    if (answer != NULL) {
        assert_null(error);
        outcome->answer = *answer;
        assert_true(answer->body.len < sizeof outcome->body);
        memcpy(outcome->body, answer->body.ptr, answer->body.len);
        outcome->body[answer->body.len] = '\0';
    } else {
        assert_non_null(error);
        outcome->error = *error;
    }
}

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    struct fixture *f = user;
    const char *target = strchr(request->head, ' ') + 1;
    (void)snprintf(f->last_head, sizeof f->last_head, "%s", request->head);
    f->last_body_len = request->body.len;
    assert_true(request->body.len <= sizeof f->last_body);
    memcpy(f->last_body, request->body.ptr, request->body.len);
    for (size_t i = 0; i < f->script_count; i++) {
        if (strncmp(target, f->scripts[i].target, strlen(f->scripts[i].target)) == 0) {
            *answer = f->scripts[i].answer;
            return;
        }
    }
    answer->bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
}

/* Fires often, since a callback that comes from a timer doesn't wake UV_RUN_ONCE. */
static void on_tick(uv_timer_t *timer)
{
    const uint64_t *begun_ms = timer->data;
    if (uv_now(timer->loop) - *begun_ms > DEADLINE_MS) {
        fail_msg("nothing happened for %d ms", DEADLINE_MS);
    }
}

static void run_until(uv_loop_t *loop, const int *count, int wanted)
{
    uv_timer_t tick;
    uint64_t begun_ms;
    uv_update_time(loop);
    begun_ms = uv_now(loop);
    (void)uv_timer_init(loop, &tick);
    tick.data = &begun_ms;
    (void)uv_timer_start(&tick, on_tick, 2, 2);
    while (*count < wanted) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

static struct fixture *begin(const struct script *scripts, size_t count,
                             const struct mr_http_client_config *config)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->scripts = scripts;
    f->script_count = count;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->server = script_server_start(0, handle, f);
    assert_non_null(f->server);
    assert_int_equal(mr_http_client_open(&f->loop, config, &f->client, NULL), 0);
    return f;
}

static void on_closed(void *user)
{
    struct fixture *f = user;
    f->closed = true;
}

static void end(struct fixture *f)
{
    if (!f->closed) {
        mr_http_client_close(f->client, on_closed, f);
        assert_false(f->closed);
        (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    script_server_stop(f->server);
    free(f);
}

static int send_to(struct fixture *f, const char *target, struct mr_http_request request,
                   struct outcome *outcome, struct mr_http_call **call)
{
    char url[256];
    int rc;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", script_server_port(f->server), target);
    request.method = request.method == NULL ? "GET" : request.method;
    request.url = url;
    in_call = true;
    rc = mr_http_client_send(f->client, &request, on_outcome, outcome, call, NULL);
    in_call = false;
    memset(url, 'x', sizeof url - 1); /* it was copied */
    return rc;
}

static void ask(struct fixture *f, const char *target, struct mr_http_request request,
                struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    assert_int_equal(send_to(f, target, request, outcome, NULL), 0);
    run_until(&f->loop, &outcome->calls, 1);
    assert_int_equal(outcome->calls, 1);
    assert_false(outcome->inside_call);
}

static void get(struct fixture *f, const char *target, struct outcome *outcome)
{
    ask(f, target, (struct mr_http_request){.method = "GET"}, outcome);
}

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define LEN0 "Content-Length: 0\r\n\r\n"

static const struct script answers[] = {
    {"/ok", {.bytes = OK_2}},
    {"/none", {.bytes = "HTTP/1.1 204 No Content\r\n\r\n"}},
    {"/chunked",
     {.bytes = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
               "4\r\nhalf\r\n5\r\n-half\r\n0\r\n\r\n"}},
    {"/slow", {.bytes = OK_2, .piece_bytes = 5, .pause_ms = 5}},
    {"/cut", {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", .then = SCRIPT_CLOSE}},
    {"/reset", {.then = SCRIPT_RESET}},
    {"/close", {.then = SCRIPT_CLOSE}},
    {"/status-line", {.bytes = "HTTP/1.1 204 No Content\r\n", .then = SCRIPT_CLOSE}},
    {"/interim",
     {.bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n", .then = SCRIPT_CLOSE}},
    {"/hang", {.then = SCRIPT_HANG}},
    {"/half-head", {.bytes = "HTTP/1.1 200 OK\r\nContent-", .then = SCRIPT_HANG}},
    {"/rubbish", {.bytes = "SSH-2.0-OpenSSH_9\r\n\r\n", .then = SCRIPT_CLOSE}},
    {"/busy", {.bytes = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n" LEN0}},
    {"/years", {.bytes = "HTTP/1.1 429 Busy\r\nRetry-After: 99999999\r\n" LEN0}},
    {"/past", {.bytes = "HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n" LEN0}},
    {"/future",
     {.bytes = "HTTP/1.1 503 No\r\nRetry-After: Sun, 31 Dec 2034 23:59:59 GMT\r\n" LEN0}},
    {"/elsewhere", {.bytes = "HTTP/1.1 302 Found\r\nLocation: /ok\r\n" LEN0}},
};

static struct fixture *begin_default(void)
{
    struct mr_http_client_config config = {0};
    return begin(answers, MR_COUNT_OF(answers), &config);
}

static void answers_of_every_kind_arrive(void **state)
{
    struct fixture *f = begin_default();
    struct outcome o;
    (void)state;
    get(f, "/ok", &o);
    assert_int_equal(o.answer.status, 200);
    assert_string_equal(o.body, "ok");
    assert_int_equal(o.answer.retry_after_ms, -1);
    assert_false(o.answer.body_is_cut);
    ask(f, "/none", (struct mr_http_request){.method = "POST"}, &o);
    assert_int_equal(o.answer.status, 204);
    assert_string_equal(o.body, "");
    get(f, "/chunked", &o);
    assert_int_equal(o.answer.status, 400);
    assert_string_equal(o.body, "half-half");
    get(f, "/slow", &o);
    assert_string_equal(o.body, "ok");
    get(f, "/elsewhere", &o);
    assert_int_equal(o.answer.status, 302);
    ask(f, "/nowhere", (struct mr_http_request){.method = "DELETE"}, &o);
    assert_int_equal(o.answer.status, 404);
    assert_memory_equal(f->last_head, "DELETE /nowhere HTTP/1.1\r\n", 26);
    assert_int_equal(script_server_connections(f->server), 1);
    end(f);
}

static void retry_after_is_read_and_bounded(void **state)
{
    struct fixture *f = begin_default();
    struct outcome o;
    (void)state;
    get(f, "/busy", &o);
    assert_int_equal(o.answer.status, 503);
    assert_int_equal(o.answer.retry_after_ms, 7000);
    get(f, "/years", &o);
    assert_int_equal(o.answer.retry_after_ms, MR_HTTP_RETRY_AFTER_MS_MAX);
    get(f, "/future", &o);
    assert_int_equal(o.answer.retry_after_ms, MR_HTTP_RETRY_AFTER_MS_MAX);
    get(f, "/past", &o);
    assert_int_equal(o.answer.retry_after_ms, -1);
    end(f);
}

static void failures_are_told_and_retriable(void **state)
{
    static const struct {
        const char *target;
        const char *words;
    } cases[] = {
        {"/cut?secret=1", "GET http://127.0.0.1:"},
        {"/reset", "reset by peer"},
        {"/close", "Empty reply"},
        {"/status-line", "within the head"},
        {"/interim", "within the head"},
        {"/rubbish", "/rubbish: "},
        {"/hang", "timed out"},
        {"/half-head", "timed out"},
    };
    struct fixture *f = begin_default();
    struct outcome o;
    struct mr_http_request refused = {.method = "GET", .url = "http://127.0.0.1:1/refused"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        ask(f, cases[i].target, (struct mr_http_request){.timeout_ms = 300}, &o);
        print_message("%s: %s\n", cases[i].target, o.error.text);
        assert_false(o.answered);
        assert_int_equal(o.error.code, MR_ENET);
        assert_true(o.error.retriable);
        assert_non_null(strstr(o.error.text, cases[i].words));
        assert_null(strstr(o.error.text, "secret"));
    }
    o = (struct outcome){0};
    assert_int_equal(mr_http_client_send(f->client, &refused, on_outcome, &o, NULL, NULL), 0);
    run_until(&f->loop, &o.calls, 1);
    assert_int_equal(o.error.code, MR_ENET);
    assert_true(o.error.retriable);
    end(f);
}

static void the_request_is_what_was_asked(void **state)
{
    static const char *const headers[] = {"Content-Encoding: gzip", "X-Test: a b"};
    struct mr_http_client_config config = {.user_agent = "tester/1"};
    struct fixture *f = begin(answers, MR_COUNT_OF(answers), &config);
    struct outcome o;
    (void)state;
    ask(f, "/none?db=a%20b",
        (struct mr_http_request){.method = "POST",
                                 .headers = headers,
                                 .header_count = 2,
                                 .body = {"a\0b", 3},
                                 .user = "Aladdin",
                                 .password = "open sesame"},
        &o);
    assert_int_equal(o.answer.status, 204);
    assert_memory_equal(f->last_head, "POST /none?db=a%20b HTTP/1.1\r\n", 30);
    assert_int_equal(f->last_body_len, 3);
    assert_memory_equal(f->last_body, "a\0b", 3);
    /* RFC 7617 2: the example of its authors. */
    assert_string_equal(script_header(f->last_head, "authorization"),
                        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_string_equal(script_header(f->last_head, "content-encoding"), "gzip");
    assert_string_equal(script_header(f->last_head, "x-test"), "a b");
    assert_string_equal(script_header(f->last_head, "user-agent"), "tester/1");
    assert_null(script_header(f->last_head, "expect"));
    assert_null(script_header(f->last_head, "content-type"));
    ask(f, "/none", (struct mr_http_request){.method = "PUT", .body = {"", 0}}, &o);
    assert_memory_equal(f->last_head, "PUT /none HTTP/1.1\r\n", 20);
    assert_string_equal(script_header(f->last_head, "content-length"), "0");
    assert_null(script_header(f->last_head, "authorization"));
    end(f);
}

static void a_large_answer_is_cut(void **state)
{
    static char large[100000];
    struct script scripts[] = {{"/large", {.bytes = large}}};
    struct mr_http_client_config config = {.answer_bytes_max = 100};
    struct fixture *f;
    struct outcome o;
    size_t head = (size_t)snprintf(large, sizeof large,
                                   "HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n", 99900);
    (void)state;
    memset(large + head, 'e', sizeof large - head);
    scripts[0].answer.len = head + 99900;
    assert_true(scripts[0].answer.len <= sizeof large);
    f = begin(scripts, 1, &config);
    get(f, "/large", &o);
    assert_int_equal(o.answer.status, 500);
    assert_int_equal(strlen(o.body), 100);
    assert_true(o.answer.body_is_cut);
    get(f, "/large", &o);
    assert_int_equal(script_server_connections(f->server), 1);
    end(f);
}

static void many_requests_share_few_connections(void **state)
{
    struct mr_http_client_config config = {.connections_max = 3, .queued_max = MANY};
    struct fixture *f = begin(answers, MR_COUNT_OF(answers), &config);
    struct outcome *outcomes = calloc(MANY, sizeof *outcomes);
    (void)state;
    assert_non_null(outcomes);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(send_to(f, "/ok", (struct mr_http_request){0}, &outcomes[i], NULL), 0);
    }
    assert_int_equal(mr_http_client_in_flight(f->client), MANY);
    for (int i = 0; i < MANY; i++) {
        run_until(&f->loop, &outcomes[i].calls, 1);
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].answer.status, 200);
    }
    assert_int_equal(mr_http_client_in_flight(f->client), 0);
    assert_in_range(script_server_connections(f->server), 1, 3);
    free(outcomes);
    end(f);
}

static void a_full_line_is_refused(void **state)
{
    struct mr_http_client_config config = {.connections_max = 1, .queued_max = 2};
    struct fixture *f = begin(answers, MR_COUNT_OF(answers), &config);
    struct outcome outcomes[4] = {0};
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(send_to(f, "/hang", (struct mr_http_request){0}, &outcomes[i], NULL),
                         i < 3 ? 0 : MR_EBUSY);
    }
    end(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].error.code, MR_ECLOSED);
    }
    assert_int_equal(outcomes[3].calls, 0);
}

static void cancelled_calls_are_told_later(void **state)
{
    struct mr_http_client_config config = {.connections_max = 1};
    struct fixture *f = begin(answers, MR_COUNT_OF(answers), &config);
    struct outcome outcomes[3] = {0};
    struct mr_http_call *calls[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_to(f, i == 2 ? "/ok" : "/hang", (struct mr_http_request){0},
                                 &outcomes[i], &calls[i]),
                         0);
    }
    in_call = true;
    mr_http_call_cancel(calls[1]); /* in line */
    mr_http_call_cancel(calls[0]); /* at work: the third moves up */
    mr_http_call_cancel(calls[0]);
    in_call = false;
    run_until(&f->loop, &outcomes[2].calls, 1);
    assert_int_equal(outcomes[2].answer.status, 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_false(outcomes[i].inside_call);
        assert_int_equal(outcomes[i].error.code, MR_ECLOSED);
    }
    end(f);
}

struct chain {
    struct fixture *f;
    struct outcome outcome;
    int calls;
};

/* Sends again from its own callback, and closes the client in the third. */
static void on_chain(void *user, const struct mr_http_answer *answer, const struct mr_error *error)
{
    struct chain *chain = user;
    struct fixture *f = chain->f;
    char url[64];
    struct mr_http_request request = {.method = "GET", .url = url};
    (void)error;
    assert_non_null(answer);
    chain->calls++;
    if (chain->calls < 3) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/ok", script_server_port(f->server));
        assert_int_equal(mr_http_client_send(f->client, &request, on_chain, chain, NULL, NULL), 0);
        return;
    }
    assert_int_equal(send_to(f, "/hang", request, &chain->outcome, NULL), 0);
    mr_http_client_close(f->client, on_closed, f);
    assert_int_equal(send_to(f, "/ok", request, &chain->outcome, NULL), MR_ECLOSED);
}

static void a_callback_may_send_and_close(void **state)
{
    struct fixture *f = begin_default();
    struct chain chain = {.f = f};
    char url[64];
    struct mr_http_request request = {.method = "GET", .url = url};
    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/ok", script_server_port(f->server));
    assert_int_equal(mr_http_client_send(f->client, &request, on_chain, &chain, NULL, NULL), 0);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(chain.calls, 3);
    assert_int_equal(chain.outcome.calls, 1);
    assert_int_equal(chain.outcome.error.code, MR_ECLOSED);
    end(f);
}

static void bad_requests_are_refused_at_once(void **state)
{
    static const char *const bad_header[] = {"X: a\r\nY: b"};
    const struct mr_http_request bad[] = {
        {.method = "GET", .url = "ftp://127.0.0.1/"},
        {.method = "GET", .url = "file:///etc/passwd"},
        {.method = "GET", .url = "127.0.0.1:8086"},
        {.method = "GET", .url = ""},
        {.method = "GET", .url = NULL},
        {.method = "GET", .url = "http://me:sesame@127.0.0.1/"},
        {.method = "GET", .url = "http://sesame@127.0.0.1/"},
        {.method = "GE T", .url = "http://127.0.0.1/"},
        {.method = "", .url = "http://127.0.0.1/"},
        {.method = "GET", .url = "http://127.0.0.1/", .headers = bad_header, .header_count = 1},
    };
    struct fixture *f = begin_default();
    struct outcome o = {0};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_error err = {0};
        assert_int_equal(mr_http_client_send(f->client, &bad[i], on_outcome, &o, NULL, &err),
                         MR_EINVAL);
        print_message("%s\n", err.text);
        assert_null(strstr(err.text, "sesame"));
    }
    assert_int_equal(mr_http_client_in_flight(f->client), 0);
    end(f);
    assert_int_equal(o.calls, 0);
}

static void proxies_are_not_taken_from_the_environment(void **state)
{
    struct fixture *f = begin_default();
    struct outcome o;
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    get(f, "/ok", &o);
    assert_true(o.answered);
    assert_int_equal(unsetenv("http_proxy"), 0);
    end(f);
}

/* An allocation fails while a request is on its way: it is refused, or told, or times out. */
static int one_request(uv_loop_t *loop, struct outcome *o)
{
    struct mr_http_client_config config = {.ca_file = "/nonexistent", .connections_max = 1};
    struct mr_http_request request = {
        .method = "GET", .url = "http://127.0.0.1:1/", .timeout_ms = 200};
    struct mr_http_client *client = NULL;
    int rc = mr_http_client_open(loop, &config, &client, NULL);
    if (rc == 0) {
        rc = mr_http_client_send(client, &request, on_outcome, o, NULL, NULL);
        while (rc == 0 && o->calls == 0) {
            (void)uv_run(loop, UV_RUN_ONCE);
        }
    }
    mr_http_client_close(client, NULL, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        uv_loop_t loop;
        struct outcome o = {0};
        int rc;
        assert_int_equal(uv_loop_init(&loop), 0);
        heap_fail_at(n);
        rc = one_request(&loop, &o);
        assert_true(rc == 0 || rc == MR_ENOMEM);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
    }
    assert_true(n > 4);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_every_kind_arrive),
        cmocka_unit_test(retry_after_is_read_and_bounded),
        cmocka_unit_test(failures_are_told_and_retriable),
        cmocka_unit_test(the_request_is_what_was_asked),
        cmocka_unit_test(a_large_answer_is_cut),
        cmocka_unit_test(many_requests_share_few_connections),
        cmocka_unit_test(a_full_line_is_refused),
        cmocka_unit_test(cancelled_calls_are_told_later),
        cmocka_unit_test(a_callback_may_send_and_close),
        cmocka_unit_test(bad_requests_are_refused_at_once),
        cmocka_unit_test(proxies_are_not_taken_from_the_environment),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
