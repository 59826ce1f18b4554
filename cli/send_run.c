// SPDX-License-Identifier: Apache-2.0
/* Happy path: the way is ready -> messages of the input are given to it, as many as the window has
 * room for -> each is acknowledged -> the next ones -> the input has ended and nothing is on its
 * way -> the sum is told. What can go wrong: the input can't be read (what came before is sent,
 * status 1); a message is refused (told, counted, status 1; the others go on); nothing is
 * acknowledged for `timeout`, or we are interrupted: the rest is given up (status 1). */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "cli/print.h"
#include "cli/send.h"
#include "event/format_json.h"
#include "event/json_scan.h"
#include "kit/clock.h"
#include "kit/magic.h"
#include "kit/utf8.h"

enum { SEND_MAGIC = 0x5e4d, TICK_MS = 100, SHOWN_BYTES = 400 };

/* `why` may be a server's words. */
static void tell(const char *where, const char *why)
{
    char shown[SHOWN_BYTES];
    (void)print_harmless(mr_slice_of(why), shown, sizeof shown);
    fprintf(stderr, "millrace send: %s: %s\n", where, shown);
}

static void tell_of_message(struct send *send, size_t number, const char *why)
{
    char where[64];
    bool is_line = send->options->lines || send->options->events;
    if (send->refused <= SEND_REASONS_TOLD_MAX) {
        (void)snprintf(where, sizeof where, is_line ? "line %zu" : "refused", number);
        tell(where, why);
    }
    if (send->refused == SEND_REASONS_TOLD_MAX) {
        fprintf(stderr, "millrace send: the reasons of further ones are not told\n");
    }
}

/* --- the end --- */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void end(struct send *send)
{
    if (send->ended) {
        return;
    }
    send->ended = true;
    send_input_close(send->input);
    send->input = NULL;
    send->way->close(send);
    close_handle((uv_handle_t *)&send->tick);
    close_handle((uv_handle_t *)&send->interrupted[0]);
    close_handle((uv_handle_t *)&send->interrupted[1]);
}

void send_give_up(struct send *send, const char *where, const char *why)
{
    if (!send->ended) {
        tell(where, why);
        send->failed = true;
        end(send);
    }
}

static void end_if_done(struct send *send)
{
    if (send->input_ended && send->in_flight == 0) {
        end(send);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct send *send;
    uint64_t waited_ms;
    MAGIC_CAST(send, tick->data, SEND_MAGIC);
    waited_ms = uv_now(&send->loop) - send->progress_ms;
    if (send->in_flight == 0 && send->way->is_ready(send)) {
        send->progress_ms = uv_now(&send->loop); /* it is the input that is slow */
    } else if (waited_ms >= (uint64_t)send->options->timeout_ms) {
        send_give_up(send, "given up, since nothing was acknowledged any more",
                     send->trouble[0] == '\0' ? "no answer" : send->trouble);
    }
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct send *send;
    MAGIC_CAST(send, handle->data, SEND_MAGIC);
    send_give_up(send, "interrupted", strsignal(signum));
}

/* --- messages --- */

void send_trouble(struct send *send, const char *where, const char *why)
{
    (void)snprintf(send->trouble, sizeof send->trouble, "%s%s%s", where,
                   where[0] == '\0' ? "" : ": ", why);
}

void send_settled(struct send *send, size_t number, size_t bytes, const char *why)
{
    if (send->ended) {
        return;
    }
    send->progress_ms = uv_now(&send->loop);
    send->in_flight--;
    send->in_flight_bytes -= bytes;
    if (why == NULL) {
        send->acknowledged++;
    } else {
        send->refused++;
        tell_of_message(send, number, why);
    }
}

static const char *guess_content_type(struct mr_slice data)
{
    size_t at = 0;
    if (json_is_valid(data)) {
        return "application/json";
    }
    while (at < data.len) {
        size_t len = utf8_sequence(data.ptr + at, data.len - at);
        if (len == 0 || data.ptr[at] == '\0') {
            return "application/octet-stream";
        }
        at += len;
    }
    return "text/plain; charset=utf-8";
}

static void give(struct send *send, struct mr_slice data, size_t number)
{
    char id[UUID7_BYTES];
    struct mr_error err;
    struct send_message message = {.number = number,
                                   .data = data,
                                   .id = send->options->id,
                                   .content_type = send->options->content_type};
    send->given++;
    send->in_flight++;
    send->in_flight_bytes += data.len;
    if (send->options->events) {
        if (event_json_decode(data, send->event, &err) != 0) {
            send_settled(send, number, data.len, err.text);
            return;
        }
        message.event = send->event;
    }
    if (message.id == NULL) {
        uuid7_next(&send->ids, (uint64_t)clock_wall_ms(), id);
        message.id = id;
    }
    if (message.content_type == NULL) {
        message.content_type = guess_content_type(data);
    }
    send->way->give(send, &message);
}

static bool has_room(const struct send *send)
{
    return send->in_flight == 0 || (send->in_flight < (size_t)send->options->window &&
                                    send->in_flight_bytes < SEND_IN_FLIGHT_BYTES_MAX);
}

static void on_input_failed(struct send *send, size_t number, const char *why)
{
    char where[SEND_TROUBLE_BYTES];
    (void)snprintf(where, sizeof where, "%s: line %zu", send->options->file, number);
    options_make_harmless(where);
    tell(send->options->lines || send->options->events ? where : send->options->file, why);
    send->input_ended = true;
    send->failed = true;
}

void send_pump(struct send *send)
{
    struct mr_slice data;
    struct mr_error err;
    size_t number = 0;
    while (!send->ended && !send->input_ended && has_room(send) && send->way->is_ready(send)) {
        enum send_input_result result = send_input_next(send->input, &data, &number, &err);
        if (result == SEND_INPUT_THERE) {
            give(send, data, number);
        } else if (result == SEND_INPUT_WAIT) {
            break;
        } else if (result == SEND_INPUT_FAILED) {
            on_input_failed(send, number, err.text);
        } else {
            send->input_ended = true;
        }
    }
    end_if_done(send);
}

static void on_input_ready(void *user)
{
    struct send *send;
    MAGIC_CAST(send, user, SEND_MAGIC);
    send_pump(send);
}

/* --- the whole --- */

static int tell_sum(const struct send *send)
{
    bool by_line = send->options->lines || send->options->events;
    size_t unanswered = send->given - send->acknowledged - send->refused;
    size_t count = by_line || send->given > 0 ? send->given : 1;
    printf("%zu of %zu acknowledged", send->acknowledged, count);
    if (send->refused > 0) {
        printf(", %zu refused", send->refused);
    }
    if (unanswered > 0) {
        printf(", %zu not answered", unanswered);
    }
    if (!send->input_ended && (by_line || send->given == 0)) {
        printf("%s", by_line ? "; what is left of the input was not sent" : ", not sent");
    }
    printf("\n");
    return fflush(stdout) == 0 && !send->failed && send->input_ended &&
                   send->acknowledged == send->given
               ? 0
               : 1;
}

static void start(struct send *send)
{
    const struct send_input_spec spec = {
        .loop = &send->loop,
        .data = send->options->data,
        .file = send->options->file,
        .by_line = send->options->lines || send->options->events,
        .ready = on_input_ready,
        .user = send,
    };
    struct mr_error err;
    send->event = mr_event_new();
    if (send->event == NULL) {
        send_give_up(send, "memory", "out of memory");
    } else if (send_input_open(&spec, &send->input, &err) != 0) {
        send_give_up(send, send->options->file == NULL ? "data" : send->options->file, err.text);
    } else if (send->way->open(send) != 0) {
        send->failed = true;
        end(send);
    } else {
        send_pump(send);
    }
}

int send_run(const struct send_options *options)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct send send = {.magic = SEND_MAGIC,
                        .options = options,
                        .way = options->mqtt ? &send_over_mqtt : &send_over_http};
    (void)uv_loop_init(&send.loop);
    uuid7_init(&send.ids);
    (void)uv_timer_init(&send.loop, &send.tick);
    send.tick.data = &send;
    (void)uv_timer_start(&send.tick, on_tick, TICK_MS, TICK_MS);
    send.progress_ms = uv_now(&send.loop);
    for (size_t i = 0; i < MR_COUNT_OF(signals); i++) {
        (void)uv_signal_init(&send.loop, &send.interrupted[i]);
        send.interrupted[i].data = &send;
        (void)uv_signal_start(&send.interrupted[i], on_signal, signals[i]);
    }
    start(&send);
    (void)uv_run(&send.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&send.loop);
    mr_event_free(send.event);
    return tell_sum(&send);
}
