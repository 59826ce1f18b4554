// SPDX-License-Identifier: Apache-2.0
/* Messages over HTTP, as a device sends them: POST /v1/{channel}, or with --events POST /events.
 *
 * Happy path: a free slot -> a request -> 202 -> acknowledged. What can go wrong: no answer, 408,
 * 429 or 5xx (the same request, with the same id, again after Retry-After); another status
 * (refused, with the words of the answer's `detail`). send_run.c ends it all when nothing comes
 * through. */
#include <stdio.h>
#include <string.h>

#include <millrace/http_client.h>

#include "cli/send.h"
#include "event/json_scan.h"
#include "event/percent.h"
#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    HTTP_MAGIC = 0x5e4d80,
    SLOT_MAGIC = 0x5e4d81,
    CONNECTIONS_MAX = 64,
    URL_BYTES_MAX = 256 * 1024,
    HEADER_BYTES_MAX = 64 * 1024,
    ANSWER_BYTES_MAX = 4096,
    HEADERS_MAX = 2,
    REASON_BYTES = 400,
};

/* A message on its way; the memory is used again. */
struct slot {
    unsigned magic;
    struct send *send;
    struct slot *next_free;
    size_t number;
    uv_timer_t again;
    struct mr_buf url; /* terminated, as are the headers */
    struct mr_buf headers[HEADERS_MAX];
    size_t header_count;
    struct mr_buf body;
};

struct send_http {
    unsigned magic;
    struct mr_http_client *client;
    struct slot *free;
    size_t slot_count;
    size_t handles; /* that are still to be closed: the slots' timers and the client */
    struct slot slots[];
};

/* --- answers --- */

/* The text of the problem (RFC 9457), if there is one, else the beginning of the body. */
static void read_reason(const struct mr_http_answer *answer, char ret_reason[REASON_BYTES])
{
    struct json_scan scan;
    struct mr_slice shown = answer->body.len > 0 ? answer->body : MR_SLICE("");
    enum json_token token;
    struct mr_buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    json_scan_init(&scan, shown);
    for (token = json_scan_next(&scan); token != JSON_SCAN_END && token != JSON_SCAN_ERROR;
         token = json_scan_next(&scan)) {
        bool is_detail =
            token == JSON_SCAN_NAME && scan.depth == 1 && mr_slice_is(scan.raw, MR_SLICE("detail"));
        if (is_detail && json_scan_next(&scan) == JSON_SCAN_STRING &&
            json_scan_unescape(&scan, &text) == 0) {
            shown = buf_slice(&text);
            break;
        }
    }
    (void)snprintf(ret_reason, REASON_BYTES, "%d%s%.*s", answer->status, shown.len > 0 ? ": " : "",
                   MR_SLICE_ARG(shown));
    buf_done(&text);
}

static void on_answer(void *user, const struct mr_http_answer *answer,
                      const struct mr_error *error);

static void post(struct slot *slot)
{
    struct send *send = slot->send;
    const char *headers[HEADERS_MAX];
    const struct mr_http_request request = {
        .method = "POST",
        .url = slot->url.ptr,
        .headers = headers,
        .header_count = slot->header_count,
        .body = buf_slice(&slot->body),
        .user = send->options->user,
        .password = send->options->password,
        .timeout_ms = send->options->timeout_ms,
    };
    struct mr_error err;
    for (size_t i = 0; i < slot->header_count; i++) {
        headers[i] = slot->headers[i].ptr;
    }
    if (mr_http_client_send(send->http->client, &request, on_answer, slot, NULL, &err) != 0) {
        send_give_up(send, "HTTP", err.text);
    }
}

static void on_again(uv_timer_t *timer)
{
    struct slot *slot;
    MAGIC_CAST(slot, timer->data, SLOT_MAGIC);
    post(slot);
}

static void settle(struct slot *slot, const char *why)
{
    struct send *send = slot->send;
    slot->next_free = send->http->free;
    send->http->free = slot;
    send_settled(send, slot->number, slot->body.len, why);
    send_pump(send);
}

static bool is_passing(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

static void on_answer(void *user, const struct mr_http_answer *answer, const struct mr_error *error)
{
    struct slot *slot;
    char reason[REASON_BYTES];
    int64_t after_ms = SEND_AGAIN_MS;
    MAGIC_CAST(slot, user, SLOT_MAGIC);
    if (slot->send->ended) {
        return;
    }
    if (answer != NULL && answer->status >= 200 && answer->status < 300) {
        settle(slot, NULL);
        return;
    }
    if (answer != NULL) {
        read_reason(answer, reason);
        after_ms = answer->retry_after_ms >= 0 ? answer->retry_after_ms : after_ms;
    }
    if (answer != NULL ? !is_passing(answer->status) : !error->retriable) {
        settle(slot, answer != NULL ? reason : error->text);
        return;
    }
    send_trouble(slot->send, "", answer != NULL ? reason : error->text);
    (void)uv_timer_start(&slot->again, on_again, (uint64_t)after_ms, 0);
}

/* --- requests --- */

/* "a/b c" to "a/b%20c". */
static void add_path(struct mr_buf *url, const char *channel)
{
    while (*channel != '\0') {
        size_t len = strcspn(channel, "/");
        (void)percent_encode(mr_slice(channel, len), url);
        channel += len;
        if (*channel == '/') {
            (void)buf_add_char(url, '/');
            channel++;
        }
    }
}

static void add_parameter(struct mr_buf *url, char *separator, const char *name, const char *value)
{
    if (value != NULL) {
        (void)buf_addf(url, "%c%s=", *separator, name);
        (void)percent_encode(mr_slice_of(value), url);
        *separator = '&';
    }
}

static void write_url(struct mr_buf *url, const struct send_options *options)
{
    const char *base = options->url;
    size_t len = strlen(base);
    char separator = '?';
    (void)buf_add(url, base, len - (len > 0 && base[len - 1] == '/'));
    if (options->events) {
        (void)buf_add_str(url, "/events");
    } else {
        (void)buf_add_str(url, "/v1/");
        add_path(url, options->topic);
        add_parameter(url, &separator, "application", options->application);
        add_parameter(url, &separator, "device", options->device);
        add_parameter(url, &separator, "time", options->time);
    }
    (void)buf_add_char(url, '\0');
}

static void add_header(struct slot *slot, const char *name, const char *value)
{
    struct mr_buf *header = &slot->headers[slot->header_count++];
    buf_clear(header);
    (void)buf_addf(header, "%s: %s", name, value);
    (void)buf_add_char(header, '\0');
}

static int write_request(struct slot *slot, const struct send_message *message,
                         struct mr_error *err)
{
    int rc = 0;
    slot->header_count = 0;
    buf_clear(&slot->body);
    if (slot->url.len == 0) {
        write_url(&slot->url, slot->send->options);
    }
    if (message->event != NULL) {
        add_header(slot, "Content-Type", "application/cloudevents+json");
    } else {
        add_header(slot, "Content-Type", message->content_type);
        add_header(slot, "Idempotency-Key", message->id);
    }
    (void)buf_add_slice(&slot->body, message->data);
    for (size_t i = 0; i < slot->header_count && rc == 0; i++) {
        rc = buf_check(&slot->headers[i], err);
    }
    rc = rc != 0 ? rc : buf_check(&slot->url, err);
    return rc != 0 ? rc : buf_check(&slot->body, err);
}

static void give(struct send *send, const struct send_message *message)
{
    struct send_http *http = send->http;
    struct slot *slot = http->free;
    struct mr_error err;
    MAGIC_CHECK(slot, SLOT_MAGIC);
    http->free = slot->next_free;
    slot->number = message->number;
    if (write_request(slot, message, &err) != 0) {
        send_give_up(send, "HTTP", err.text);
        return;
    }
    post(slot);
}

/* --- open and close --- */

static bool is_ready(const struct send *send)
{
    return send->http->free != NULL;
}

static void init_slot(struct send *send, struct slot *slot)
{
    slot->magic = SLOT_MAGIC;
    slot->send = send;
    buf_init(&slot->url, URL_BYTES_MAX);
    buf_init(&slot->body, SEND_LINE_BYTES_MAX + 1);
    for (size_t i = 0; i < HEADERS_MAX; i++) {
        buf_init(&slot->headers[i], HEADER_BYTES_MAX);
    }
    (void)uv_timer_init(&send->loop, &slot->again);
    slot->again.data = slot;
    slot->next_free = send->http->free;
    send->http->free = slot;
    send->http->handles++;
}

static int open_http(struct send *send)
{
    size_t count = (size_t)send->options->window;
    struct send_http *http = mem_zalloc(sizeof *http + count * sizeof http->slots[0]);
    const struct mr_http_client_config config = {
        .connections_max = count < CONNECTIONS_MAX ? count : CONNECTIONS_MAX,
        .queued_max = count,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .user_agent = "millrace-send",
        .ca_file = send->options->tls_ca,
    };
    struct mr_error err;
    if (http == NULL) {
        fprintf(stderr, "millrace send: out of memory\n");
        return 1;
    }
    http->magic = HTTP_MAGIC;
    send->http = http;
    http->slot_count = count;
    for (size_t i = count; i > 0; i--) {
        init_slot(send, &http->slots[i - 1]);
    }
    if (mr_http_client_open(&send->loop, &config, &http->client, &err) != 0) {
        fprintf(stderr, "millrace send: HTTP: %s\n", err.text);
        return 1;
    }
    http->handles++;
    return 0;
}

static void on_part_closed(struct send_http *http)
{
    http->handles--;
    if (http->handles > 0) {
        return;
    }
    for (size_t i = 0; i < http->slot_count; i++) {
        struct slot *slot = &http->slots[i];
        slot->magic = 0;
        buf_done(&slot->url);
        buf_done(&slot->body);
        for (size_t k = 0; k < HEADERS_MAX; k++) {
            buf_done(&slot->headers[k]);
        }
    }
    http->magic = 0;
    mem_free(http);
}

static void on_slot_closed(uv_handle_t *handle)
{
    struct slot *slot;
    MAGIC_CAST(slot, handle->data, SLOT_MAGIC);
    on_part_closed(slot->send->http);
}

static void on_client_closed(void *user)
{
    struct send_http *http;
    MAGIC_CAST(http, user, HTTP_MAGIC);
    on_part_closed(http);
}

static void close_http(struct send *send)
{
    struct send_http *http = send->http;
    if (http == NULL) {
        return;
    }
    if (http->client != NULL) {
        mr_http_client_close(http->client, on_client_closed, http);
    }
    for (size_t i = 0; i < http->slot_count; i++) {
        uv_close((uv_handle_t *)&http->slots[i].again, on_slot_closed);
    }
}

const struct send_way send_over_http = {
    .open = open_http, .is_ready = is_ready, .give = give, .close = close_http};
