// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_MESSAGE_FIXTURE_H
#define TESTS_LIB_MESSAGE_FIXTURE_H

/* Routes, and what a message becomes by them. Only for programs that link the MQTT bridge. */

#include "bridge/mqtt/mqtt_event.h"
#include "lib/event_asserts.h"
#include "lib/routes_fixture.h"

enum { PAIRS_MAX = 8 };

/* One message; what isn't given is absent. */
struct publish {
    const char *topic;
    const char *payload;
    const char *content_type;
    const char *properties[2 * PAIRS_MAX]; /* name, value, name, ... */
    const char *response_topic;
    const char *correlation;
    bool retain;
    bool is_utf8; /* the payload format indicator */
    const char *id;
};

struct message_fixture {
    struct routes_fixture routes;
    struct mqtt_event_maker *maker;
    struct mr_event *event;
    struct mr_error err;
    struct mqtt_user_property properties[PAIRS_MAX];
};

static inline void message_begin(struct message_fixture *f, const char *conf)
{
    memset(f, 0, sizeof *f);
    routes_fixture_begin(&f->routes, conf);
    f->event = mr_event_new();
    assert_non_null(f->event);
    assert_int_equal(mqtt_event_maker_new(&f->maker, &f->err), 0);
}

static inline void message_end(struct message_fixture *f)
{
    mqtt_event_maker_free(f->maker);
    mr_event_free(f->event);
    routes_fixture_end(&f->routes);
}

static inline struct mqtt_message message_of(struct message_fixture *f,
                                             const struct publish *publish)
{
    struct mqtt_message message = {
        .topic = mr_slice_of(publish->topic),
        .payload = publish->payload == NULL ? MR_SLICE("{}") : mr_slice_of(publish->payload),
        .packet_id = 1,
        .qos = 1,
        .retain = publish->retain,
        .content_type = mr_slice_of(publish->content_type),
        .response_topic = mr_slice_of(publish->response_topic),
        .correlation = mr_slice_of(publish->correlation),
        .payload_format = publish->is_utf8 ? 1 : -1,
        .expiry_seconds = -1,
        .properties = f->properties,
    };
    for (size_t i = 0; i < PAIRS_MAX && publish->properties[2 * i] != NULL; i++) {
        f->properties[i].name = mr_slice_of(publish->properties[2 * i]);
        f->properties[i].value = mr_slice_of(publish->properties[2 * i + 1]);
        message.property_count++;
    }
    return message;
}

static inline int message_make_of(struct message_fixture *f, const struct mqtt_message *message,
                                  struct mr_slice id)
{
    struct route_match match;
    if (!routes_find(f->routes.routes, message->topic, &match)) {
        fail_msg("no route for %.*s", MR_SLICE_ARG(message->topic));
    }
    f->err = (struct mr_error){0};
    return mqtt_event_make(f->maker, message, &match, id, f->event, &f->err);
}

static inline int message_make(struct message_fixture *f, const struct publish *publish)
{
    struct mqtt_message message = message_of(f, publish);
    return message_make_of(f, &message, mr_slice_of(publish->id));
}

static inline int by_name(const void *a, const void *b)
{
    const struct mr_attribute *const *one = a;
    const struct mr_attribute *const *other = b;
    size_t len = (*one)->name.len < (*other)->name.len ? (*one)->name.len : (*other)->name.len;
    int order = memcmp((*one)->name.ptr, (*other)->name.ptr, len);
    return order != 0 ? order : (int)(*one)->name.len - (int)(*other)->name.len;
}

/* "name=value" each, by name, with blanks between them; without the names in `without`. */
static inline const char *message_shown(struct mr_event *event, const char *without)
{
    static char text[8192];
    const struct mr_attribute *sorted[MR_EVENT_ATTRIBUTES_MAX];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < mr_event_count(event); i++) {
        sorted[i] = mr_event_at(event, i);
    }
    qsort(sorted, mr_event_count(event), sizeof(sorted[0]), by_name);
    for (size_t i = 0; i < mr_event_count(event); i++) {
        char name[sizeof text]; /* the compiler doesn't know how short it is */
        struct mr_slice value;
        (void)snprintf(name, sizeof name, " %.*s ", MR_SLICE_ARG(sorted[i]->name));
        if (strstr(without, name) != NULL) {
            continue;
        }
        assert_int_equal(mr_event_canonical(event, sorted[i], &value, NULL), 0);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s=%.*s", len == 0 ? "" : " ",
                                MR_SLICE_ARG(sorted[i]->name), MR_SLICE_ARG(value));
        assert_true(len < sizeof text);
    }
    return text;
}

/* An event, whose attributes are `wanted` but for those in `without` (" a b "). */
static inline void message_expect(struct message_fixture *f, const struct publish *publish,
                                  const char *without, const char *wanted)
{
    const char *payload = publish->payload == NULL ? "{}" : publish->payload;
    if (message_make(f, publish) != 0) {
        fail_msg("%s: %s", publish->topic, f->err.text);
    }
    assert_int_equal(mr_event_check(f->event, NULL), 0);
    assert_string_equal(message_shown(f->event, without), wanted);
    assert_slice(mr_event_data(f->event), payload);
}

/* Of a plain message: `time`, `type` and `specversion` by the caller if they matter. */
#define message_becomes(f, wanted, ...)                          \
    message_expect(f, &(struct publish){.id = "I", __VA_ARGS__}, \
                   " time type specversion source datacontenttype id ", wanted)

static inline void message_expect_refusal(struct message_fixture *f, const struct publish *publish,
                                          int rc, const char *reason, const char *text)
{
    assert_int_equal(message_make(f, publish), rc);
    assert_int_equal(f->err.code, rc);
    assert_string_equal(f->err.text, text);
    assert_string_equal(mqtt_event_reason(f->maker), reason);
}

#define message_refused(f, rc, reason, text, ...) \
    message_expect_refusal(f, &(struct publish){.id = "I", __VA_ARGS__}, rc, reason, text)

#endif
