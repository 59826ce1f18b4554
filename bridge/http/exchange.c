// SPDX-License-Identifier: Apache-2.0
/* One event's way, and that its answer comes in time: 504 is decided here. Happy path: a request is
 * complete -> a dialect makes an event of it -> it is sent -> Kafka acknowledges -> 202. What can
 * go wrong: the head says enough (target.h: 404, 405, 415, ...), the dialect refuses it (4xx) or
 * finds no event in it (204), the producer can't or won't take it (503, 413, 422), nothing is known
 * by answer.timeout (504, and the send goes on alone), the client has left (everything goes on as
 * if it hadn't). A request that is a batch goes its own way (exchange_batch.c), with the same
 * deadlines. */
#include "bridge/http/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "bridge/http/answer.h"
#include "bridge/http/exchange_internal.h"
#include "bridge/http/target.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    EXCHANGES_MAGIC = 0x58434753,
    SPARE_MAX = 1024,
    ID_BYTES_INLINE = 64,
    CLOCK_STEP_MS = 10, /* answers that are due are looked for no more often */
    NS_IN_MS = 1000000,
};

/* The two times at which the head was judged differ: attempts.time has just ended, for one. */
#define HALF_HERE \
    "The event is surely not stored; send it again: it was refused by its head at first"

/* Behind others of its connection, or while its password was checked. */
#define TOO_LATE                                                                         \
    "The event is surely not stored; send it again later: its time (answer.timeout) was" \
    " up before it could be sent to Kafka"

/* An exchange of one event. */
struct exchange_single {
    struct exchange base;
    struct mr_send send;
    struct exchange_single *next; /* of the spare ones */
    struct mr_slice id;           /* in id_inline, or allocated */
    char id_inline[ID_BYTES_INLINE];
};

static const struct dialect *const dialects[] = {
    &dialect_drogue, &dialect_publish,      &dialect_hono,
    &dialect_ttn,    &dialect_things_stack, &dialect_cloudevents,
};

void exchange_count_answer(struct exchanges *exchanges, int status)
{
    bridge_metrics_count(exchanges->metrics, status);
}

void exchange_count_refusal(int status, void *user)
{
    struct exchanges *exchanges;
    MAGIC_CAST(exchanges, user, EXCHANGES_MAGIC);
    exchange_count_answer(exchanges, status);
}

void exchange_refuse(struct exchanges *exchanges, struct http_request *request,
                     const struct refusal *refusal)
{
    exchange_count_answer(exchanges, answer_refusal(request, refusal));
}

void exchange_refuse_memory(struct exchanges *exchanges, struct http_request *request)
{
    const struct refusal refusal = {.status = 503, .detail = "out of memory"};
    exchange_refuse(exchanges, request, &refusal);
}

void exchange_answered(struct exchange *exchange, int status)
{
    exchange->request = NULL;
    deadline_lift(&exchange->deadline);
    exchange_count_answer(exchange->owner, status);
    mr_observe(exchange->owner->metrics->seconds, (double)(uv_hrtime() - exchange->came_ns) / 1e9);
}

void exchange_count_send(struct exchanges *exchanges)
{
    exchanges->unsettled++;
    mr_gauge_add(exchanges->metrics->in_flight, 1);
}

void exchange_count_settled(struct exchanges *exchanges)
{
    exchanges->unsettled--;
    mr_gauge_add(exchanges->metrics->in_flight, -1);
    if (exchanges->unsettled == 0 && exchanges->on_settled != NULL) {
        exchanges->on_settled(exchanges->user);
    }
}

/* --- the deadlines --- */

static void arm(struct exchanges *exchanges, uint64_t due_ms);

static void on_timer(uv_timer_t *timer)
{
    struct exchanges *exchanges;
    struct deadline *due;
    MAGIC_CAST(exchanges, timer->data, EXCHANGES_MAGIC);
    for (size_t i = 0; i < EXCHANGE_WAITS; i++) {
        while ((due = deadlines_take_due(&exchanges->answers[i], uv_now(exchanges->loop))) !=
               NULL) {
            struct exchange *exchange = CONTAINER_OF(due, struct exchange, deadline);
            MAGIC_CHECK(exchange, EXCHANGE_MAGIC);
            exchange_answered(exchange, exchange->answer_late(exchange));
        }
    }
    exchanges->timer_due_ms = UINT64_MAX;
    for (size_t i = 0; i < EXCHANGE_WAITS; i++) {
        if (exchanges->answers[i].first != NULL) {
            arm(exchanges, exchanges->answers[i].first->due_ms);
        }
    }
}

static void arm(struct exchanges *exchanges, uint64_t due_ms)
{
    uint64_t now_ms = uv_now(exchanges->loop);
    due_ms = due_ms < now_ms + CLOCK_STEP_MS ? now_ms + CLOCK_STEP_MS : due_ms;
    if (due_ms >= exchanges->timer_due_ms) {
        return;
    }
    exchanges->timer_due_ms = due_ms;
    (void)uv_timer_start(&exchanges->timer, on_timer, due_ms - now_ms, 0);
}

/* Since the request's last byte came. */
static uint64_t gone_ms(const struct exchanges *exchanges, const struct http_request *request)
{
    uint64_t now_ms = uv_now(exchanges->loop);
    uint64_t came_ms = http_request_came_ms(request);
    return now_ms > came_ms ? now_ms - came_ms : 0;
}

/* Which list its deadline belongs to; EXCHANGE_WAITS: its time is up, or as good as. */
static size_t steps_gone(const struct exchanges *exchanges, const struct http_request *request)
{
    uint64_t steps = (gone_ms(exchanges, request) * EXCHANGE_WAITS + exchanges->answer_ms - 1) /
                     exchanges->answer_ms;
    return steps < EXCHANGE_WAITS ? (size_t)steps : EXCHANGE_WAITS;
}

static void set_deadline(struct exchange *exchange)
{
    struct exchanges *exchanges = exchange->owner;
    size_t steps = steps_gone(exchanges, exchange->request);
    steps = steps < EXCHANGE_WAITS ? steps : EXCHANGE_WAITS - 1;
    deadline_set(&exchanges->answers[steps], &exchange->deadline, uv_now(exchanges->loop));
    arm(exchanges, exchange->deadline.due_ms);
}

void exchange_open(struct exchange *exchange, struct exchanges *owner, struct http_request *request,
                   int (*answer_late)(struct exchange *exchange))
{
    exchange->magic = EXCHANGE_MAGIC;
    exchange->owner = owner;
    exchange->request = request;
    exchange->answer_late = answer_late;
    exchange->came_ns = uv_hrtime() - gone_ms(owner, request) * NS_IN_MS;
    set_deadline(exchange);
}

/* --- one event --- */

static struct exchange_single *take(struct exchanges *exchanges)
{
    struct exchange_single *single = exchanges->spare;
    if (single != NULL) {
        exchanges->spare = single->next;
        exchanges->spare_count--;
    } else {
        single = mem_alloc(sizeof *single);
    }
    if (single != NULL) {
        memset(single, 0, offsetof(struct exchange_single, id_inline));
    }
    return single;
}

static void give_back(struct exchanges *exchanges, struct exchange_single *single)
{
    assert(single->base.deadline.list == NULL);
    if (single->id.ptr != single->id_inline) {
        mem_free((void *)(uintptr_t)single->id.ptr);
    }
    single->base.magic = 0;
    if (exchanges->spare_count >= SPARE_MAX) {
        mem_free(single);
        return;
    }
    single->next = exchanges->spare;
    exchanges->spare = single;
    exchanges->spare_count++;
}

static bool keep_id(struct exchange_single *single, struct mr_slice id)
{
    char *copy = single->id_inline;
    if (id.len > ID_BYTES_INLINE) {
        copy = mem_strndup(id.ptr, id.len);
    }
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, id.ptr, id.len);
    single->id = mr_slice(copy, id.len);
    return true;
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct exchange_single *single = CONTAINER_OF(send, struct exchange_single, send);
    struct exchange *base = &single->base;
    struct exchanges *exchanges;
    MAGIC_CHECK(base, EXCHANGE_MAGIC);
    exchanges = base->owner;
    if (base->request != NULL) {
        exchange_answered(base, answer_outcome(base->request, outcome, single->id));
    }
    give_back(exchanges, single);
    exchange_count_settled(exchanges);
}

static int answer_late(struct exchange *exchange)
{
    struct exchange_single *single = CONTAINER_OF(exchange, struct exchange_single, base);
    return answer_too_late(exchange->request, single->id);
}

static void send_event(struct exchanges *exchanges, struct http_request *request)
{
    struct exchange_single *single = take(exchanges);
    if (single == NULL || !keep_id(single, mr_event_string(exchanges->event, "id"))) {
        if (single != NULL) {
            give_back(exchanges, single);
        }
        exchange_refuse_memory(exchanges, request);
        return;
    }
    single->send.on_settled = on_settled;
    exchange_open(&single->base, exchanges, request, answer_late);
    exchange_count_send(exchanges);
    mr_send(exchanges->port, &single->send, exchanges->event);
}

static struct mr_slice get_header(const void *from, const char *name, unsigned *ret_count)
{
    return http_request_header(from, name, ret_count);
}

static bool get_header_at(const void *from, unsigned index, struct mr_slice *ret_name,
                          struct mr_slice *ret_value)
{
    return http_request_header_at(from, index, ret_name, ret_value);
}

struct dialect_request exchange_dialect_request(const struct http_request *request,
                                                const struct identity *identity)
{
    return (struct dialect_request){
        .method = http_request_method(request),
        .path = http_request_path(request),
        .query = http_request_query(request),
        .body = http_request_body(request),
        .header = get_header,
        .header_at = get_header_at,
        .from = request,
        .identity = *identity,
    };
}

int exchange_complete(struct mr_event *event, struct refusal *ret_refusal)
{
    struct mr_error err;
    if (mr_event_complete(event, &err) == 0) {
        return 0;
    }
    *ret_refusal = (struct refusal){.status = err.code == MR_ENOMEM ? 503 : 400};
    (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail, "%.400s", err.text);
    return -1;
}

/* Of enum dialect_result. */
static int read_event(const struct dialect *dialect, const struct dialect_request *from,
                      struct mr_event *event, struct refusal *ret_refusal)
{
    int rc;
    mr_event_clear(event);
    rc = dialect->read(from, event, ret_refusal);
    return rc == DIALECT_EVENT ? exchange_complete(event, ret_refusal) : rc;
}

static void begin_single(struct exchanges *exchanges, struct http_request *request,
                         const struct dialect *dialect, const struct dialect_request *from)
{
    struct refusal refusal;
    switch (read_event(dialect, from, exchanges->event, &refusal)) {
        case DIALECT_EVENT:
            send_event(exchanges, request);
            break;
        case DIALECT_NOT_STORED:
            exchange_count_answer(exchanges, answer_not_stored(request));
            break;
        default:
            exchange_refuse(exchanges, request, &refusal);
    }
}

static void begin_event(struct exchanges *exchanges, struct http_request *request,
                        const struct dialect *dialect, const struct dialect_request *from)
{
    if (dialect->is_batch != NULL && dialect->is_batch(from)) {
        exchange_begin_batch(exchanges, request, dialect, from);
    } else {
        begin_single(exchanges, request, dialect, from);
    }
}

static void dispatch(struct exchanges *exchanges, struct http_request *request,
                     const struct identity *identity)
{
    const struct dialect_request from = exchange_dialect_request(request, identity);
    const struct refusal half_here = {.status = 503, .detail = HALF_HERE};
    struct target target;
    switch (target_find(&from, dialects, MR_COUNT_OF(dialects), &target)) {
        case TARGET_FOUND:
            if (http_request_is_whole(request)) {
                begin_event(exchanges, request, target.dialect, &from);
            } else {
                exchange_refuse(exchanges, request, &half_here);
            }
            break;
        case TARGET_OPTIONS:
            exchange_count_answer(exchanges, answer_options(request, target.allow));
            break;
        default:
            exchange_refuse(exchanges, request, &target.refusal);
    }
}

bool exchange_wants_content(const struct http_request *request, void *user)
{
    static const struct identity nobody = {0};
    const struct dialect_request from = exchange_dialect_request(request, &nobody);
    const struct exchanges *exchanges;
    struct target target;
    MAGIC_CAST(exchanges, user, EXCHANGES_MAGIC);
    if (exchanges->authenticator != NULL &&
        !authenticator_may_let_in(exchanges->authenticator, request)) {
        return false;
    }
    return target_find(&from, dialects, MR_COUNT_OF(dialects), &target) == TARGET_FOUND;
}

static void take_in(struct exchanges *exchanges, struct http_request *request,
                    const struct identity *identity)
{
    const struct refusal too_late = {.status = 503, .detail = TOO_LATE};
    if (steps_gone(exchanges, request) == EXCHANGE_WAITS) {
        exchange_refuse(exchanges, request, &too_late);
        return;
    }
    dispatch(exchanges, request, identity);
}

void exchange_go_on(struct http_request *request, const struct identity *identity,
                    const struct refusal *refusal, void *user)
{
    struct exchanges *exchanges;
    MAGIC_CAST(exchanges, user, EXCHANGES_MAGIC);
    if (identity == NULL) {
        exchange_refuse(exchanges, request, refusal);
    } else {
        take_in(exchanges, request, identity);
    }
}

void exchange_begin(struct http_request *request, void *user)
{
    struct exchanges *exchanges;
    struct identity identity = {0};
    struct refusal refusal;
    enum authenticated authenticated = AUTHENTICATED_YES;
    MAGIC_CAST(exchanges, user, EXCHANGES_MAGIC);
    mr_count(exchanges->metrics->bytes, http_request_body(request).len);
    if (exchanges->authenticator != NULL) {
        authenticated = authenticate(exchanges->authenticator, request, &identity, &refusal);
    }
    if (authenticated == AUTHENTICATED_YES) {
        take_in(exchanges, request, &identity);
    } else if (authenticated == AUTHENTICATED_NO) {
        exchange_refuse(exchanges, request, &refusal);
    }
}

int exchanges_init(struct exchanges *exchanges, uv_loop_t *loop, struct mr_port *port,
                   const struct bridge_options *options, struct bridge_metrics *metrics,
                   struct mr_error *err)
{
    *exchanges = (struct exchanges){
        .magic = EXCHANGES_MAGIC, .loop = loop, .port = port, .metrics = metrics};
    exchanges->event = mr_event_new();
    if (exchanges->event == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    exchanges->timer_due_ms = UINT64_MAX;
    exchanges->answer_ms = (uint64_t)options->answer_ms;
    exchanges->batch_events_max = (size_t)options->batch_max;
    exchanges->batches_events_max = (size_t)options->in_flight_max;
    for (size_t i = 0; i < EXCHANGE_WAITS; i++) {
        exchanges->answers[i].after_ms =
            exchanges->answer_ms - (exchanges->answer_ms * i + EXCHANGE_WAITS - 1) / EXCHANGE_WAITS;
    }
    (void)uv_timer_init(loop, &exchanges->timer);
    exchanges->timer.data = exchanges;
    return 0;
}

void exchanges_close(struct exchanges *exchanges, uv_close_cb closed)
{
    MAGIC_CHECK(exchanges, EXCHANGES_MAGIC);
    assert(exchanges->unsettled == 0);
    while (exchanges->spare != NULL) {
        struct exchange_single *single = exchanges->spare;
        exchanges->spare = single->next;
        mem_free(single);
    }
    mr_event_free(exchanges->event);
    uv_close((uv_handle_t *)&exchanges->timer, closed);
}
