// SPDX-License-Identifier: Apache-2.0
/* `millrace send`: its options, and what fits together. */
#include "cli/send.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <millrace/http_client.h>

#include "base/options.h"
#include "cli/commands.h"
#include "event/percent.h"
#include "event/timestamp.h"

#define FIELD(name) .offset = offsetof(struct send_options, name)

static const struct mr_option options[] = {
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .text = "Where to: the MQTT topic; over HTTP the channel, and a suffix behind a slash.",
     FIELD(topic)},
    {.key = "data", .type = MR_OPTION_STRING, .text = "The data of one event.", FIELD(data)},
    {.key = "input",
     .type = MR_OPTION_STRING,
     .text =
         "A file that is the data of one event, or has the lines of `lines` and `events`. `-` is "
         "standard input, which they read unless told otherwise.",
     FIELD(file)},
    {.key = "lines",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Each line is the data of an event (-l).",
     FIELD(lines)},
    {.key = "events",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Each line is a CloudEvent as JSON, as `millrace tail` prints them (-e).",
     FIELD(events)},
    {.key = "http",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Send over HTTP, as it does unless told otherwise.",
     FIELD(http)},
    {.key = "mqtt",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Send over MQTT, QoS 1.",
     FIELD(mqtt)},
    {.key = "url",
     .type = MR_OPTION_STRING,
     .initial = "http://127.0.0.1:8080",
     .text = "Where `millrace-http` is.",
     FIELD(url)},
    {.key = "broker",
     .type = MR_OPTION_ADDRESS,
     .initial = "127.0.0.1:1883",
     .text = "Where the MQTT broker is.",
     FIELD(broker)},
    {.key = "protocol",
     .type = MR_OPTION_ENUM,
     .initial = "5",
     .choices = "5|3.1.1",
     .text = "The version of MQTT.",
     FIELD(protocol)},
    {.key = "client.id",
     .type = MR_OPTION_STRING,
     .text = "MQTT's client identifier; made of the process's number unless given.",
     FIELD(client_id)},
    {.key = "user",
     .type = MR_OPTION_STRING,
     .text = "Who sends, for the server or the broker.",
     FIELD(user)},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_SECRET,
     .text = "The user's password.",
     FIELD(password)},
    {.key = "tls",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "TLS to the broker. Over HTTP the URL says it: https.",
     FIELD(tls)},
    {.key = "tls.ca",
     .type = MR_OPTION_STRING,
     .text = "A PEM file with the authorities to trust; the system's unless given.",
     FIELD(tls_ca)},
    {.key = "tls.certificate",
     .type = MR_OPTION_STRING,
     .text = "A PEM file with our certificate for the broker.",
     FIELD(tls_certificate)},
    {.key = "tls.key",
     .type = MR_OPTION_STRING,
     .text = "A PEM file with its key.",
     FIELD(tls_key)},
    {.key = "tls.verify.name",
     .type = MR_OPTION_BOOLEAN,
     .initial = "true",
     .text = "The broker's certificate must have the name in `broker`.",
     FIELD(tls_verify_name)},
    {.key = "application",
     .type = MR_OPTION_STRING,
     .text = "The event's application.",
     FIELD(application)},
    {.key = "device", .type = MR_OPTION_STRING, .text = "The event's device.", FIELD(device)},
    {.key = "id",
     .type = MR_OPTION_STRING,
     .text = "The id of the one event; a new one unless given, which every try keeps.",
     FIELD(id)},
    {.key = "time",
     .type = MR_OPTION_STRING,
     .text = "The event's time (RFC 3339); that of its arrival unless given.",
     FIELD(time)},
    {.key = "content.type",
     .type = MR_OPTION_STRING,
     .text = "The data's media type. Unless given it is `application/json` if the data is that, "
             "`text/plain` if it is other text, else `application/octet-stream`.",
     FIELD(content_type)},
    {.key = "properties",
     .type = MR_OPTION_STRING,
     .text =
         "More user properties, MQTT 5: `NAME=VALUE,NAME=VALUE`. In them `%2C` is a comma, `%3D` "
         "an equals sign, `%25` a per cent sign.",
     FIELD(properties)},
    {.key = "window",
     .type = MR_OPTION_INTEGER,
     .initial = "64",
     .min = 1,
     .max = SEND_WINDOW_MAX,
     .unit = "events",
     .text = "So many are on their way at a time.",
     FIELD(window)},
    {.key = "timeout",
     .type = MR_OPTION_DURATION,
     .initial = "30s",
     .min = 100,
     .max = 24 * 60 * 60 * 1000,
     .text = "Give up when nothing has been acknowledged for so long.",
     FIELD(timeout_ms)},
    MR_OPTION_END,
};

/* --- properties --- */

static bool decode(struct mr_slice text, struct mr_buf *out, struct mr_error *err)
{
    buf_clear(out);
    if (percent_decode(text, false, out, err) != 0) {
        return false;
    }
    if (memchr(out->ptr == NULL ? "" : out->ptr, '\0', out->len) != NULL) {
        (void)mr_error_set(err, MR_EFORMAT, "%%00 is not allowed in MQTT");
        return false;
    }
    return buf_add_char(out, '\0') == 0 || buf_check(out, err) == 0;
}

bool send_property_next(const char **rest, struct mr_buf *ret_name, struct mr_buf *ret_value,
                        struct mr_error *err)
{
    size_t len = *rest == NULL ? 0 : strcspn(*rest, ",");
    const char *equals = len == 0 ? NULL : memchr(*rest, '=', len);
    struct mr_slice text = mr_slice(*rest, len);
    err->code = MR_OK;
    if (*rest == NULL || **rest == '\0') {
        return false;
    }
    if (equals == NULL || equals == text.ptr) {
        (void)mr_error_set(err, MR_EFORMAT, "expected NAME=VALUE,NAME=VALUE");
        return false;
    }
    *rest += len + ((*rest)[len] == ',');
    return decode(mr_slice(text.ptr, (size_t)(equals - text.ptr)), ret_name, err) &&
           decode(mr_slice(equals + 1, len - (size_t)(equals + 1 - text.ptr)), ret_value, err);
}

/* --- what fits together --- */

static void check_input(const struct send_options *wanted, struct mr_check *check)
{
    bool by_line = wanted->lines || wanted->events;
    if (wanted->lines && wanted->events) {
        mr_check_problem(check, NULL, "lines", "not together with --events");
    }
    if (wanted->data != NULL && (by_line || wanted->file != NULL)) {
        mr_check_problem(check, NULL, "data", "not together with --input, --lines or --events");
    }
    if (wanted->data == NULL && wanted->file == NULL && !by_line) {
        mr_check_problem(check, NULL, NULL,
                         "nothing to send: expected DATA, --input=FILE, --lines or --events");
    }
    if (wanted->lines && wanted->id != NULL) {
        mr_check_problem(check, NULL, "id", "not with --lines: each event has its own");
    }
}

/* An event says these itself. */
static void check_event_options(const struct send_options *wanted, struct mr_check *check)
{
    const struct {
        const char *key;
        const char *value;
    } own[] = {{"application", wanted->application},
               {"device", wanted->device},
               {"id", wanted->id},
               {"time", wanted->time},
               {"content.type", wanted->content_type}};
    const char *why =
        wanted->events ? "not with --events: each event says it itself"
        : wanted->mqtt && wanted->protocol == SEND_MQTT_3_1_1
            ? "not with --protocol=3.1.1, which has no place for it; the topic may say "
              "who sends, or --events all of it"
            : NULL;
    for (size_t i = 0; i < MR_COUNT_OF(own); i++) {
        if (why != NULL && own[i].value != NULL) {
            mr_check_problem(check, NULL, own[i].key, "%s", why);
        }
    }
    if (wanted->time != NULL && !timestamp_is_valid(mr_slice_of(wanted->time))) {
        mr_check_problem(check, NULL, "time", "expected RFC 3339, such as 2010-01-01T00:00:00Z");
    }
}

static void check_properties(const struct send_options *wanted, struct mr_check *check)
{
    const char *rest = wanted->properties;
    struct mr_error err = {0};
    struct mr_buf name, value;
    if (rest == NULL) {
        return;
    }
    if (!wanted->mqtt || wanted->protocol != SEND_MQTT_5) {
        mr_check_problem(check, NULL, "properties", "only with --mqtt and --protocol=5");
    }
    buf_init(&name, SEND_PROPERTY_BYTES_MAX);
    buf_init(&value, SEND_PROPERTY_BYTES_MAX);
    while (send_property_next(&rest, &name, &value, &err)) {
    }
    if (err.code != MR_OK) {
        mr_check_problem(check, NULL, "properties", "%s", err.text);
    }
    buf_done(&name);
    buf_done(&value);
}

static void check_mqtt(const struct send_options *wanted, struct mr_check *check)
{
    bool has_certificate = wanted->tls_certificate != NULL;
    if (wanted->topic == NULL) {
        mr_check_problem(check, NULL, NULL, "--mqtt: a topic is expected");
    } else if (mosquitto_pub_topic_check(wanted->topic) != MOSQ_ERR_SUCCESS ||
               wanted->topic[0] == '\0') {
        mr_check_problem(check, NULL, "topic",
                         "expected a topic to publish to, without '+' and '#'");
    }
    if (has_certificate != (wanted->tls_key != NULL)) {
        mr_check_problem(check, NULL, has_certificate ? "tls.certificate" : "tls.key",
                         "expected together with tls.%s", has_certificate ? "key" : "certificate");
    }
    if (!wanted->tls && (wanted->tls_ca != NULL || has_certificate)) {
        mr_check_problem(check, NULL, wanted->tls_ca != NULL ? "tls.ca" : "tls.certificate",
                         "only with --tls");
    }
    if (wanted->protocol == SEND_MQTT_3_1_1 && wanted->password != NULL && wanted->user == NULL) {
        mr_check_problem(check, NULL, "password", "MQTT 3.1.1 has none without a user");
    }
}

static void check_http(const struct send_options *wanted, struct mr_check *check)
{
    struct mr_error err;
    if (wanted->url == NULL || mr_http_base_url_check(wanted->url, &err) != 0) {
        mr_check_problem(check, NULL, "url", "%s",
                         wanted->url == NULL ? "expected a URL" : err.text);
    }
    if (!wanted->events && (wanted->topic == NULL || wanted->topic[0] == '\0')) {
        mr_check_problem(check, NULL, NULL, "a channel is expected, such as \"temperature\"");
    }
    if (!wanted->events && wanted->device == NULL && wanted->user == NULL) {
        mr_check_problem(check, NULL, NULL,
                         "who sends? Expected --device=NAME, or --user and --password");
    }
    if (wanted->tls || wanted->tls_certificate != NULL || wanted->tls_key != NULL) {
        mr_check_problem(check, NULL, wanted->tls ? "tls" : "tls.certificate",
                         "only with --mqtt; over HTTP an https URL says it, and there is no client "
                         "certificate");
    }
}

static void check_file(struct mr_check *check, const char *key, const char *name)
{
    if (mr_check_file_name(check, NULL, key, name) && name != NULL && access(name, R_OK) != 0) {
        mr_check_problem(check, NULL, key, "can't be read: %s", strerror(errno));
    }
}

static void check_options(const void *data, struct mr_check *check)
{
    const struct send_options *wanted = data;
    if (wanted->mqtt && wanted->http) {
        mr_check_problem(check, NULL, "http", "not together with --mqtt");
    }
    check_input(wanted, check);
    check_event_options(wanted, check);
    check_properties(wanted, check);
    check_file(check, "tls.ca", wanted->tls_ca);
    check_file(check, "tls.certificate", wanted->tls_certificate);
    check_file(check, "tls.key", wanted->tls_key);
    if (wanted->mqtt) {
        check_mqtt(wanted, check);
    } else {
        check_http(wanted, check);
    }
}

static int run(const void *data, const struct kafka_conf *kafka)
{
    struct send_options wanted = *(const struct send_options *)data;
    (void)kafka;
    if (wanted.data == NULL && wanted.file == NULL) {
        wanted.file = (char *)"-";
    }
    return send_run(&wanted);
}

const struct command command_send = {
    .name = "send",
    .usage = "[--http | --mqtt] [TOPIC] [DATA | --input=FILE | -l | -e]",
    .summary = "send events as a device does, over HTTP or MQTT",
    .text =
        "    millrace send temperature '{\"celsius\":21.5}' --device=kitchen\n"
        "    millrace send --mqtt temperature '{\"celsius\":21.5}' --device=kitchen\n"
        "    millrace send --mqtt --protocol=3.1.1 temperature/kitchen '{\"celsius\":21.5}'\n"
        "    millrace send --mqtt temperature --device=kitchen --lines < readings.jsonl\n"
        "    millrace tail | millrace send --events --url=http://elsewhere:8080\n\n"
        "The last line says how many were acknowledged: by millrace-http that is Kafka's word, "
        "over "
        "MQTT the broker's.\nStatus 0 only if all were.\n",
    .options = options,
    .options_size = sizeof(struct send_options),
    .positional = "topic,data",
    .short_flags = "l=lines,e=events",
    .check = check_options,
    .run = run,
};
