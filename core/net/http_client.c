// SPDX-License-Identifier: Apache-2.0
/* Happy path: send -> a transfer of libcurl, or the line -> the answer -> the callback -> the next
 * in line. What can go wrong: the line is full (MR_EBUSY at once); no answer (the callback says
 * why); cancelled, closed, or libcurl can't begin a transfer: the call is `finished`, and its
 * callback follows from an idle handle, so that none runs inside a call of ours. */
#include <millrace/http_client.h>

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"
#include "net/curl_loop.h"
#include "net/http_call.h"

enum {
    HTTP_CLIENT_MAGIC = 0x4854434c,
    CONNECTIONS_DEFAULT = 4,
    QUEUED_DEFAULT = 1024,
    ANSWER_BYTES_DEFAULT = 4096,
    CONNECT_TIMEOUT_MS_DEFAULT = 3000,
};

struct call_list {
    struct mr_http_call *first;
    struct mr_http_call *last;
    size_t count;
};

struct mr_http_client {
    unsigned magic;
    struct mr_http_client_config config;
    char *user_agent;
    char *ca_file;
    struct curl_loop io;
    uv_idle_t deferred; /* runs while `finished` is not empty, and to close */
    struct call_list queued;
    struct call_list active;
    struct call_list finished; /* their callbacks are still to come */
    bool closing;
    unsigned parts_open; /* io, deferred */
    void (*closed)(void *user);
    void *closed_user;
};

static void list_add(struct call_list *list, struct mr_http_call *call)
{
    call->list = list;
    call->next = NULL;
    call->previous = list->last;
    if (list->last != NULL) {
        list->last->next = call;
    } else {
        list->first = call;
    }
    list->last = call;
    list->count++;
}

static void list_remove(struct mr_http_call *call)
{
    struct call_list *list = call->list;
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        list->first = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    } else {
        list->last = call->previous;
    }
    list->count--;
    call->list = NULL;
}

/* Not in any list any more: tell, and free. */
static void deliver(struct mr_http_call *call)
{
    if (call->error.code != MR_OK) {
        call->callback(call->user, NULL, &call->error);
    } else {
        struct mr_http_answer answer;
        http_call_answer(call, &answer);
        call->callback(call->user, &answer, NULL);
    }
    http_call_free(call);
}

static void on_part_closed(struct mr_http_client *client)
{
    void (*closed)(void *user) = client->closed;
    void *user = client->closed_user;
    client->parts_open--;
    if (client->parts_open > 0) {
        return;
    }
    client->magic = 0;
    mem_free(client->user_agent);
    mem_free(client->ca_file);
    mem_free(client);
    if (closed != NULL) {
        closed(user);
    }
}

static void on_io_closed(void *user)
{
    struct mr_http_client *client;
    MAGIC_CAST(client, user, HTTP_CLIENT_MAGIC);
    on_part_closed(client);
}

static void on_deferred_closed(uv_handle_t *handle)
{
    on_io_closed(handle->data);
}

static void on_deferred(uv_idle_t *idle)
{
    struct mr_http_client *client;
    MAGIC_CAST(client, idle->data, HTTP_CLIENT_MAGIC);
    for (size_t left = client->finished.count; left > 0; left--) {
        struct mr_http_call *call = client->finished.first;
        list_remove(call);
        deliver(call);
    }
    if (client->finished.count > 0) {
        return;
    }
    (void)uv_idle_stop(idle);
    if (client->closing) {
        uv_close((uv_handle_t *)idle, on_deferred_closed);
        curl_loop_close(&client->io, on_io_closed);
    }
}

/* The call ends without libcurl; call->error says why. */
static void finish_later(struct mr_http_client *client, struct mr_http_call *call)
{
    list_add(&client->finished, call);
    (void)uv_idle_start(&client->deferred, on_deferred);
}

static void begin_next(struct mr_http_client *client)
{
    while (client->queued.count > 0 && client->active.count < client->config.connections_max) {
        struct mr_http_call *call = client->queued.first;
        list_remove(call);
        if (curl_multi_add_handle(client->io.multi, call->easy) == CURLM_OK) {
            list_add(&client->active, call);
        } else {
            (void)mr_error_set(&call->error, MR_ENOMEM, "%s: out of memory", call->shown);
            finish_later(client, call);
        }
    }
}

static void on_done(CURL *easy, CURLcode code, void *user)
{
    struct mr_http_client *client;
    struct mr_http_call *call = http_call_of(easy);
    MAGIC_CAST(client, user, HTTP_CLIENT_MAGIC);
    (void)curl_multi_remove_handle(client->io.multi, easy);
    list_remove(call);
    http_call_take_code(call, code);
    begin_next(client);
    deliver(call);
}

static int copy_config(struct mr_http_client *client, const struct mr_http_client_config *config)
{
    struct mr_http_client_config *own = &client->config;
    *own = *config;
    own->connections_max = own->connections_max ? own->connections_max : CONNECTIONS_DEFAULT;
    own->queued_max = own->queued_max ? own->queued_max : QUEUED_DEFAULT;
    own->answer_bytes_max = own->answer_bytes_max ? own->answer_bytes_max : ANSWER_BYTES_DEFAULT;
    own->connect_timeout_ms =
        own->connect_timeout_ms ? own->connect_timeout_ms : CONNECT_TIMEOUT_MS_DEFAULT;
    client->user_agent = mem_strdup(config->user_agent ? config->user_agent : "millrace");
    client->ca_file = config->ca_file ? mem_strdup(config->ca_file) : NULL;
    own->user_agent = client->user_agent;
    own->ca_file = client->ca_file;
    return client->user_agent == NULL || (config->ca_file != NULL && client->ca_file == NULL)
               ? MR_ENOMEM
               : 0;
}

int mr_http_client_open(uv_loop_t *loop, const struct mr_http_client_config *config,
                        struct mr_http_client **ret_client, struct mr_error *err)
{
    struct mr_http_client *client = mem_zalloc(sizeof *client);
    int rc = MR_ENOMEM;
    if (client == NULL || copy_config(client, config) != 0) {
        (void)mr_error_set(err, MR_ENOMEM, "out of memory");
        goto fail;
    }
    rc = curl_loop_init(&client->io, loop, on_done, client, err);
    if (rc != 0) {
        goto fail;
    }
    (void)curl_multi_setopt(client->io.multi, CURLMOPT_MAXCONNECTS,
                            (long)client->config.connections_max);
    (void)uv_idle_init(loop, &client->deferred);
    client->deferred.data = client;
    client->parts_open = 2;
    client->magic = HTTP_CLIENT_MAGIC;
    *ret_client = client;
    return 0;

fail:
    if (client != NULL) {
        mem_free(client->user_agent);
        mem_free(client->ca_file);
    }
    mem_free(client);
    return rc;
}

int mr_http_client_send(struct mr_http_client *client, const struct mr_http_request *request,
                        mr_http_cb callback, void *user, struct mr_http_call **ret_call,
                        struct mr_error *err)
{
    struct mr_http_call *call;
    int rc;
    MAGIC_CHECK(client, HTTP_CLIENT_MAGIC);
    if (client->closing) {
        return mr_error_set(err, MR_ECLOSED, "the HTTP client is closed");
    }
    if (client->active.count >= client->config.connections_max &&
        client->queued.count >= client->config.queued_max) {
        (void)mr_error_set(err, MR_EBUSY, "%zu requests in line already", client->queued.count);
        (void)mr_error_retriable(err);
        return MR_EBUSY;
    }
    rc = http_call_new(&client->config, request, &call, err);
    if (rc != 0) {
        return rc;
    }
    call->client = client;
    call->callback = callback;
    call->user = user;
    list_add(&client->queued, call);
    begin_next(client);
    if (ret_call != NULL) {
        *ret_call = call;
    }
    return 0;
}

void mr_http_call_cancel(struct mr_http_call *call)
{
    struct mr_http_client *client;
    http_call_check(call);
    client = call->client;
    if (call->list == NULL || call->list == &client->finished) {
        return; /* its callback runs, or is on its way */
    }
    if (call->list == &client->active) {
        (void)curl_multi_remove_handle(client->io.multi, call->easy);
    }
    list_remove(call);
    (void)mr_error_set(&call->error, MR_ECLOSED, "%s: cancelled", call->shown);
    finish_later(client, call);
    begin_next(client);
}

size_t mr_http_client_in_flight(const struct mr_http_client *client)
{
    MAGIC_CHECK(client, HTTP_CLIENT_MAGIC);
    return client->queued.count + client->active.count + client->finished.count;
}

void mr_http_client_close(struct mr_http_client *client, void (*closed)(void *user), void *user)
{
    if (client == NULL) {
        return;
    }
    MAGIC_CHECK(client, HTTP_CLIENT_MAGIC);
    if (client->closing) {
        return;
    }
    client->closing = true;
    client->closed = closed;
    client->closed_user = user;
    while (client->queued.count > 0) { /* first, or they would move up */
        mr_http_call_cancel(client->queued.last);
    }
    while (client->active.count > 0) {
        mr_http_call_cancel(client->active.first);
    }
    (void)uv_idle_start(&client->deferred, on_deferred);
}
