// SPDX-License-Identifier: Apache-2.0
#ifndef NET_CURL_LOOP_H
#define NET_CURL_LOOP_H

/* libcurl's multi interface on a libuv loop: its sockets are watched by uv_poll, its one timeout by
 * a uv_timer. libcurl calls back only from the loop, or from curl_multi_add_handle and _remove_. */

#include <curl/curl.h>
#include <uv.h>

#include <millrace/error.h>

struct curl_loop {
    unsigned magic;
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    size_t handles; /* of libuv, not closed yet: the timer and a uv_poll a socket */
    /* A transfer is over; `easy` is still in the multi handle: take it out. On the loop, never from
     * inside a call of libcurl. */
    void (*on_done)(CURL *easy, CURLcode code, void *user);
    void (*on_closed)(void *user);
    void *user;
};

/* Errors: MR_ENOMEM, MR_ENET; nothing is held then. */
int curl_loop_init(struct curl_loop *io, uv_loop_t *loop,
                   void (*on_done)(CURL *easy, CURLcode code, void *user), void *user,
                   struct mr_error *err);

/* With no transfer left in it: close all connections; `on_closed` follows on the loop. Not from
 * inside on_done. */
void curl_loop_close(struct curl_loop *io, void (*on_closed)(void *user));

#endif
