// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_OPTIONS_H
#define INFLUX_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/options.h>

#include "consumers/influx/mapping_options.h"

enum influx_late { INFLUX_LATE_DEAD, INFLUX_LATE_DROP };
enum influx_over { INFLUX_OVER_DEAD, INFLUX_OVER_DROP_TAG };
enum influx_proxy { INFLUX_PROXY_NONE, INFLUX_PROXY_ENVIRONMENT };
enum influx_gzip { INFLUX_GZIP_AUTO, INFLUX_GZIP_ON, INFLUX_GZIP_OFF };

struct influx_options {
    char *uri;
    char *database; /* 1.x: with it, org, bucket and token are NULL */
    char *username;
    char *password;
    char *password_file; /* NULL: the password was given as such */
    char *org;           /* 2.x: the three together */
    char *bucket;
    char *token;
    char *token_file; /* as password_file */
    char *tls_ca;
    int proxy; /* enum influx_proxy */
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
    int64_t requests_max;
    int64_t request_bytes_max;
    int gzip; /* enum influx_gzip */
    int64_t wait_min_ms;
    int64_t wait_max_ms;
    struct mapping_options mapping;
    int late; /* enum influx_late */
    int64_t future_max_ms;
    int64_t tag_limit;
    int64_t name_limit;
    int over_limit; /* enum influx_over */
};

extern const struct mr_option influx_options_table[];

/* What the table can't say; no password is ever shown. */
void influx_options_check(const void *options, struct mr_check *check);

/* "http://127.0.0.1:8086/write?db=a%20b&precision=ns", or with a bucket
 * "http://127.0.0.1:8086/api/v2/write?org=o&bucket=b&precision=ns"; to be freed with mem_free; also
 * with a path in the uri, and with '/' at its end. Errors: NULL when out of memory. */
char *influx_write_url(const struct influx_options *options);

/* Whether it can be a token: printable ASCII, so that it can stand in a header. */
bool influx_is_token(const char *text);

/* Whether writes are compressed: `gzip`, which by itself decides by the uri's host. */
bool influx_wants_gzip(const struct influx_options *options);

#endif
