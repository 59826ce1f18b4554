// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/influx_options.h"

#include <stddef.h>
#include <string.h>

#include <millrace/http_client.h>

#include "event/percent.h"
#include "kit/buf.h"

#define FIELD(name) .offset = offsetof(struct influx_options, name)

enum { URL_TAIL_BYTES = 64 }; /* "/write?db=&precision=ns" */

const struct mr_option influx_options_table[] = {
    {.key = "uri",
     .type = MR_OPTION_STRING,
     .initial = "http://127.0.0.1:8086",
     .text = "Where InfluxDB 1.x answers, http or https; a path in front of /write is kept.",
     .env = "INFLUXDB_URI",
     .flags = MR_OPTION_REQUIRED,
     FIELD(uri)},
    {.key = "database",
     .type = MR_OPTION_STRING,
     .text = "The database to write to. It must exist.",
     .env = "INFLUXDB_DATABASE",
     .flags = MR_OPTION_REQUIRED,
     FIELD(database)},
    {.key = "username",
     .type = MR_OPTION_STRING,
     .text = "User for InfluxDB's authentication; without it none is sent.",
     .env = "INFLUXDB_USERNAME",
     FIELD(username)},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .text = "The user's password.",
     .env = "INFLUXDB_PASSWORD",
     .flags = MR_OPTION_SECRET,
     FIELD(password)},
    {.key = "tls.ca",
     .type = MR_OPTION_STRING,
     .text = "PEM file of the authorities that https trusts; the system's if not given.",
     FIELD(tls_ca)},
    {.key = "proxy",
     .type = MR_OPTION_ENUM,
     .initial = "none",
     .choices = "none|environment",
     .text = "Whether http_proxy, https_proxy and no_proxy are obeyed.",
     FIELD(proxy)},
    {.key = "timeout",
     .type = MR_OPTION_DURATION,
     .initial = "10s",
     .min = 10,
     .max = 10 * 60 * 1000,
     .text = "Of one write, from connecting to the end of the answer.",
     FIELD(timeout_ms)},
    {.key = "connect.timeout",
     .type = MR_OPTION_DURATION,
     .initial = "3s",
     .min = 10,
     .max = 60 * 1000,
     .text = "Of connecting: name, TCP and TLS.",
     FIELD(connect_timeout_ms)},
    {.key = "requests",
     .type = MR_OPTION_INTEGER,
     .initial = "4",
     .min = 1,
     .max = 256,
     .unit = "requests",
     .text = "Writes at work at once; at most one a partition.",
     FIELD(requests_max)},
    {.key = "request.bytes",
     .type = MR_OPTION_SIZE,
     .initial = "4MiB",
     .min = 1024,
     .max = 24 * 1024 * 1024,
     .text = "Of one write, before compression; a larger batch is written in parts. InfluxDB "
             "refuses more than its max-body-size (25 MB).",
     FIELD(request_bytes_max)},
    {.key = "wait.min",
     .type = MR_OPTION_DURATION,
     .initial = "1s",
     .min = 10,
     .max = 60 * 1000,
     .text = "Before the first attempt after a failure; doubles up to wait.max, less a random "
             "part of up to a half.",
     FIELD(wait_min_ms)},
    {.key = "wait.max",
     .type = MR_OPTION_DURATION,
     .initial = "30s",
     .min = 10,
     .max = 10 * 60 * 1000,
     .text = "The longest wait between attempts; InfluxDB's Retry-After may ask for more, up to "
             "five minutes.",
     FIELD(wait_max_ms)},
    MR_OPTION_END,
};

void influx_options_check(const void *options, struct mr_check *check)
{
    const struct influx_options *influx = options;
    struct mr_error err;
    if (influx->uri != NULL && mr_http_base_url_check(influx->uri, &err) != 0) {
        mr_check_problem(check, NULL, "uri", "%s", err.text);
    }
    (void)mr_check_file_name(check, NULL, "tls.ca", influx->tls_ca);
    if (influx->username == NULL && influx->password != NULL &&
        mr_check_is_right(check, NULL, "username")) {
        mr_check_problem(check, NULL, "password", "given without username");
    }
    if (influx->wait_min_ms > influx->wait_max_ms && mr_check_is_right(check, NULL, "wait.max")) {
        mr_check_problem(check, NULL, "wait.min", "%lld ms is more than wait.max, %lld ms",
                         (long long)influx->wait_min_ms, (long long)influx->wait_max_ms);
    }
}

char *influx_write_url(const struct influx_options *options)
{
    struct mr_slice uri = mr_slice_of(options->uri);
    struct mr_buf url;
    size_t len;
    while (uri.len > 0 && uri.ptr[uri.len - 1] == '/') {
        uri.len--;
    }
    buf_init(&url, uri.len + 3 * strlen(options->database) + URL_TAIL_BYTES);
    (void)buf_add_slice(&url, uri);
    (void)buf_add_str(&url, "/write?db=");
    (void)percent_encode(mr_slice_of(options->database), &url);
    (void)buf_add_str(&url, "&precision=ns");
    if (buf_add_char(&url, '\0') != 0) {
        buf_done(&url);
        return NULL;
    }
    return buf_take(&url, &len);
}
