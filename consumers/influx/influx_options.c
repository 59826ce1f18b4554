// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/influx_options.h"

#include <stddef.h>
#include <string.h>

#include <millrace/http_client.h>

#include "consumers/influx/mapping_rules.h"
#include "event/percent.h"
#include "kit/buf.h"

#define FIELD(name) .offset = offsetof(struct influx_options, name)

enum { URL_TAIL_BYTES = 64 }; /* "/api/v2/write?org=&bucket=&precision=ns" */

const struct mr_option influx_options_table[] = {
    {.key = "uri",
     .type = MR_OPTION_STRING,
     .initial = "http://127.0.0.1:8086",
     .text = "Where InfluxDB answers, http or https; a path in front of /write is kept.",
     .env = "INFLUXDB_URI",
     .flags = MR_OPTION_REQUIRED,
     FIELD(uri)},
    {.key = "database",
     .type = MR_OPTION_STRING,
     .text =
         "InfluxDB 1.x: the database to write to. It must exist. Or org, bucket and token for 2.x.",
     .env = "INFLUXDB_DATABASE",
     FIELD(database)},
    {.key = "username",
     .type = MR_OPTION_STRING,
     .text = "User for InfluxDB's authentication; without it none is sent.",
     .env = "INFLUXDB_USERNAME",
     FIELD(username)},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .text = "The user's password. From a file it is read again when InfluxDB refuses it.",
     .env = "INFLUXDB_PASSWORD",
     .flags = MR_OPTION_SECRET,
     .file_offset = offsetof(struct influx_options, password_file),
     FIELD(password)},
    {.key = "org",
     .type = MR_OPTION_STRING,
     .text = "InfluxDB 2.x: the organisation, by name or id. Goes with bucket and token.",
     FIELD(org)},
    {.key = "bucket",
     .type = MR_OPTION_STRING,
     .text = "InfluxDB 2.x: the bucket to write to. It must exist.",
     FIELD(bucket)},
    {.key = "token",
     .type = MR_OPTION_STRING,
     .text =
         "InfluxDB 2.x: a token that may write to the bucket. From a file it is read again when "
         "InfluxDB refuses it.",
     .flags = MR_OPTION_SECRET,
     .file_offset = offsetof(struct influx_options, token_file),
     FIELD(token)},
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
     .text =
         "Writes at work at once. Each has a batch of one partition, or those that several have "
         "ready at one moment.",
     FIELD(requests_max)},
    {.key = "request.bytes",
     .type = MR_OPTION_SIZE,
     .initial = "4MiB",
     .min = 1024,
     .max = 24 * 1024 * 1024,
     .text = "Of one write, before compression; a larger batch is written in parts. InfluxDB "
             "refuses more than its max-body-size (25 MB).",
     FIELD(request_bytes_max)},
    {.key = "gzip",
     .type = MR_OPTION_ENUM,
     .initial = "auto",
     .choices = "auto|on|off",
     .text = "Whether writes are compressed. auto: unless uri is on this machine's loopback "
             "(localhost, 127.0.0.0/8, ::1), where it costs both sides more than it saves.",
     FIELD(gzip)},
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
    MAPPING_OPTIONS(struct influx_options, mapping),
    {.key = "late",
     .type = MR_OPTION_ENUM,
     .initial = "dead",
     .choices = "dead|drop",
     .text =
         "What becomes of an event whose time is beyond InfluxDB's retention: a dead letter, or "
         "nothing, but counted.",
     FIELD(late)},
    {.key = "future.max",
     .type = MR_OPTION_DURATION,
     .initial = "0s",
     .max = INT64_C(100) * 365 * 24 * 60 * 60 * 1000,
     .text = "An event whose time is further ahead of this machine's clock is a dead letter; 0: "
             "none is.",
     FIELD(future_max_ms)},
    {.key = "tag.limit",
     .type = MR_OPTION_INTEGER,
     .initial = "100000",
     .max = 1000 * 1000,
     .unit = "values",
     .text = "Distinct values of one tag in one measurement, since the start; 0: no limit.",
     FIELD(tag_limit)},
    {.key = "name.limit",
     .type = MR_OPTION_INTEGER,
     .initial = "10000",
     .max = 1000 * 1000,
     .unit = "names",
     .text =
         "Distinct measurements, and distinct fields of one measurement, since the start; 0: no "
         "limit.",
     FIELD(name_limit)},
    {.key = "over.limit",
     .type = MR_OPTION_ENUM,
     .initial = "dead",
     .choices = "dead|drop-tag",
     .text = "What becomes of an event that brings a tag value over tag.limit: a dead letter, or a "
             "point without that tag. Over name.limit it is a dead letter.",
     FIELD(over_limit)},
    MR_OPTION_END,
};

static void check_mapping(const struct mapping_options *mapping, struct mr_check *check)
{
    struct mapping_rules *rules = NULL;
    if (mapping_rules_new(mapping, check, &rules) == 0 && rules->count == 0 &&
        mapping->unmatched != UNMATCHED_DEFAULT) {
        mr_check_problem(check, "influx", "unmatched",
                         "given without a [measurement NAME]: no event would be written");
    }
    mapping_rules_free(rules);
}

/* A secret may hold what a header can't. */
bool influx_is_token(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_destination(const struct influx_options *influx, struct mr_check *check)
{
    bool has_two = influx->org != NULL || influx->bucket != NULL || influx->token != NULL;
    bool has_one = influx->username != NULL || influx->password != NULL;
    if (influx->database != NULL && has_two) {
        mr_check_problem(check, NULL, "database",
                         "given together with org, bucket or token; expected database (InfluxDB "
                         "1.x) or these three (2.x)");
    } else if (has_two &&
               (influx->org == NULL || influx->bucket == NULL || influx->token == NULL)) {
        const char *key = influx->org == NULL ? "org" : influx->bucket == NULL ? "bucket" : "token";
        mr_check_problem(check, NULL, key,
                         "missing; InfluxDB 2.x needs all of org, bucket and token");
    } else if (has_two && has_one) {
        mr_check_problem(check, NULL, "username",
                         "username and password are InfluxDB 1.x's; 2.x has token");
    } else if (influx->database == NULL && !has_two) {
        mr_check_problem(check, NULL, "database",
                         "missing; expected database (InfluxDB 1.x), or org, bucket and token "
                         "(2.x)");
    }
    if (influx->token != NULL && !influx_is_token(influx->token)) {
        mr_check_problem(check, NULL, "token", "holds other characters than printable ASCII");
    }
}

void influx_options_check(const void *options, struct mr_check *check)
{
    const struct influx_options *influx = options;
    struct mr_error err;
    if (influx->uri != NULL && mr_http_base_url_check(influx->uri, &err) != 0) {
        mr_check_problem(check, NULL, "uri", "%s", err.text);
    }
    check_destination(influx, check);
    (void)mr_check_file_name(check, NULL, "tls.ca", influx->tls_ca);
    if (influx->username == NULL && influx->password != NULL &&
        mr_check_is_right(check, NULL, "username")) {
        mr_check_problem(check, NULL, "password", "given without username");
    }
    check_mapping(&influx->mapping, check);
    if (influx->wait_min_ms > influx->wait_max_ms && mr_check_is_right(check, NULL, "wait.max")) {
        mr_check_problem(check, NULL, "wait.min", "%lld ms is more than wait.max, %lld ms",
                         (long long)influx->wait_min_ms, (long long)influx->wait_max_ms);
    }
}

static size_t text_len(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

char *influx_write_url(const struct influx_options *options)
{
    struct mr_slice uri = mr_slice_of(options->uri);
    struct mr_buf url;
    size_t len;
    while (uri.len > 0 && uri.ptr[uri.len - 1] == '/') {
        uri.len--;
    }
    buf_init(&url, uri.len +
                       3 * (text_len(options->database) + text_len(options->org) +
                            text_len(options->bucket)) +
                       URL_TAIL_BYTES);
    (void)buf_add_slice(&url, uri);
    if (options->bucket != NULL) {
        (void)buf_add_str(&url, "/api/v2/write?org=");
        (void)percent_encode(mr_slice_of(options->org), &url);
        (void)buf_add_str(&url, "&bucket=");
        (void)percent_encode(mr_slice_of(options->bucket), &url);
    } else {
        (void)buf_add_str(&url, "/write?db=");
        (void)percent_encode(mr_slice_of(options->database), &url);
    }
    (void)buf_add_str(&url, "&precision=ns");
    if (buf_add_char(&url, '\0') != 0) {
        buf_done(&url);
        return NULL;
    }
    return buf_take(&url, &len);
}

bool influx_wants_gzip(const struct influx_options *options)
{
    return options->gzip == INFLUX_GZIP_ON ||
           (options->gzip == INFLUX_GZIP_AUTO && !mr_http_base_url_is_loopback(options->uri));
}
