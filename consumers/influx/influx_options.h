// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_OPTIONS_H
#define INFLUX_OPTIONS_H

#include <stdint.h>

#include <millrace/error.h>
#include <millrace/options.h>

enum influx_proxy { INFLUX_PROXY_NONE, INFLUX_PROXY_ENVIRONMENT };

struct influx_options {
    char *uri;
    char *database;
    char *username;
    char *password;
    char *tls_ca;
    int proxy; /* enum influx_proxy */
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
    int64_t requests_max;
    int64_t request_bytes_max;
    int64_t wait_min_ms;
    int64_t wait_max_ms;
};

extern const struct mr_option influx_options_table[];

/* What the table can't say; no password is ever shown. */
void influx_options_check(const void *options, struct mr_check *check);

/* "http://127.0.0.1:8086/write?db=a%20b&precision=ns", to be freed with mem_free; also with a path
 * in the uri, and with '/' at its end. Errors: NULL when out of memory. */
char *influx_write_url(const struct influx_options *options);

#endif
