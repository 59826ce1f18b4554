// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_CALL_H
#define NET_HTTP_CALL_H

/* One request of the HTTP client as a transfer of libcurl: the checks, the settings, the answer. */

#include <curl/curl.h>

#include <millrace/http_client.h>

#include "kit/buf.h"

struct call_list;

struct mr_http_call {
    unsigned magic;
    struct mr_http_client *client;
    struct call_list *list; /* that it is in */
    struct mr_http_call *next;
    struct mr_http_call *previous;
    mr_http_cb callback;
    void *user;
    CURL *easy;
    struct curl_slist *headers;
    char *shown; /* "POST http://host:8086/write": for messages, without the query */
    struct mr_buf body;
    bool body_is_cut;
    bool head_is_whole;    /* the empty line after the last status line has come */
    struct mr_error error; /* code MR_OK: there is an answer */
    char curl_text[CURL_ERROR_SIZE];
};

/* A transfer ready to be added to a multi handle. Errors: MR_EINVAL, MR_ENOMEM. */
int http_call_new(const struct mr_http_client_config *config, const struct mr_http_request *request,
                  struct mr_http_call **ret_call, struct mr_error *err);
void http_call_free(struct mr_http_call *call);

void http_call_check(const struct mr_http_call *call);
struct mr_http_call *http_call_of(CURL *easy);

/* The transfer is over: sets call->error from libcurl's code. */
void http_call_take_code(struct mr_http_call *call, CURLcode code);

/* The answer of a call without error. */
void http_call_answer(const struct mr_http_call *call, struct mr_http_answer *ret_answer);

#endif
