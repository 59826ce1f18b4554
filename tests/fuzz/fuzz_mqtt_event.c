// SPDX-License-Identifier: Apache-2.0
/* A message becomes an event that survives Kafka and has lost none of its properties, or is refused
 * with a reason. The input: a byte of flags, one that counts properties, then topic, content type,
 * response topic, correlation data, id, and name and value of each property, with a NUL behind
 * each; the payload is the rest. */
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "base/options_internal.h"
#include "bridge/mqtt/mqtt_event.h"
#include "event/check.h"
#include "event/kafka_binding.h"
#include "kit/ascii.h"
#include "tests/fuzz/event_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum flag {
    HAS_CONTENT_TYPE = 1,
    HAS_RESPONSE_TOPIC = 2,
    HAS_CORRELATION = 4,
    HAS_ID = 8,
    IS_RETAINED = 16,
    IS_UTF8 = 32,
    MANY = 64, /* each property three times */
};

static const char conf[] =
    "[route json]\ntopic = ce/{device}/#\ncontent = application/cloudevents+json\n"
    "[route avro]\ntopic = avro/{application}/{device}\ncontent = application/cloudevents+avro\n"
    "[route id]\ntopic = id/{device}/{suffix...}\nid = $.id\nchannel = c\n"
    "[route fixed]\ntopic = fixed/+\napplication = a\ndevice = d\nchannel = c\ntype = t\n"
    "content = text/csv\ndataschema = urn:x\n"
    "[route names]\ntopic = {application}/{device}/{site}/{x1}/{rest...}\nchannel = n\n"
    "[route all]\ntopic = {channel...}\n";

struct target {
    struct routes_options routes;
};

static const struct routes *get_routes(void)
{
    static const struct mr_option table[] = {ROUTES_OPTIONS(struct target, routes), MR_OPTION_END};
    static const struct mr_option_group groups[] = {{table, 0}};
    static const struct options_spec spec = {
        .program = "fuzz", .section = "mqtt", .groups = groups, .group_count = 1};
    static struct target target;
    static struct options *options;
    static struct routes *routes;
    if (routes == NULL) {
        options = options_new(&spec, &target);
        MUST(options != NULL);
        options_read_bytes(options, "t.conf", mr_slice_of(conf));
        MUST(options_problem_count(options) == 0);
        MUST(routes_new(&target.routes, "events", &routes, NULL) == 0);
    }
    return routes;
}

static struct mr_slice next(struct mr_slice *left)
{
    const char *end = left->len == 0 ? NULL : memchr(left->ptr, '\0', left->len);
    struct mr_slice part = *left;
    if (end == NULL) {
        *left = mr_slice("", 0);
        return part;
    }
    part.len = (size_t)(end - left->ptr);
    *left = mr_slice(end + 1, left->len - part.len - 1);
    return part;
}

static struct mr_slice next_if(struct mr_slice *left, bool is_there)
{
    struct mr_slice part = next(left);
    return is_there ? part : mr_slice(NULL, 0);
}

static bool is_kept(json_t *kept, const struct mqtt_user_property *property)
{
    for (size_t i = 0; i < json_array_size(kept); i++) {
        json_t *pair = json_array_get(kept, i);
        json_t *name = json_array_get(pair, 0);
        json_t *value = json_array_get(pair, 1);
        MUST(json_array_size(pair) == 2 && json_is_string(name) && json_is_string(value));
        if (mr_slice_is(mr_slice(json_string_value(name), json_string_length(name)),
                        property->name) &&
            mr_slice_is(mr_slice(json_string_value(value), json_string_length(value)),
                        property->value)) {
            return true;
        }
    }
    return false;
}

static bool begins_with(struct mr_slice text, const char *start)
{
    return ascii_begins_with(text, mr_slice_of(start));
}

/* No CloudEvent, by MQTT binding 3 and the routes above. */
static bool is_plain(const struct mqtt_message *message)
{
    for (size_t i = 0; i < message->property_count; i++) {
        if (mr_slice_is(message->properties[i].name, MR_SLICE("specversion"))) {
            return false;
        }
    }
    return message->content_type.len > 0
               ? !begins_with(message->content_type, "application/cloudevents")
               : !begins_with(message->topic, "ce/") && !begins_with(message->topic, "avro/");
}

/* Each is an attribute, or stands in mqttproperties. */
static void must_hold_properties(const struct mqtt_message *message, const struct mr_event *event)
{
    struct mr_slice text = mr_event_string(event, "mqttproperties");
    bool plain = is_plain(message);
    json_t *kept = text.ptr == NULL ? NULL : json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    MUST(!plain || text.ptr == NULL || json_array_size(kept) > 0);
    for (size_t i = 0; i < message->property_count; i++) {
        const struct mqtt_user_property *property = &message->properties[i];
        struct mr_slice name = property->name;
        const struct mr_attribute *attribute = mr_event_find(event, name);
        if (plain) {
            MUST((attribute != NULL && attribute->type == MR_VALUE_STRING &&
                  mr_slice_is(attribute->bytes, property->value)) ||
                 is_kept(kept, property));
        } else {
            MUST(attribute != NULL || mr_event_find(event, MR_SLICE("mqttproperties")) != NULL);
        }
    }
    json_decref(kept);
}

static void must_survive_kafka(const struct mr_event *event)
{
    struct mr_event *again = mr_event_new();
    struct kafka_writer writer;
    struct kafka_record record;
    MUST(again != NULL);
    kafka_writer_init(&writer, 1 << 24);
    MUST(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL) == 0);
    MUST(record.key.len > 0);
    MUST(kafka_binding_read(&record, again, NULL) == 0);
    must_equal(event, again);
    kafka_writer_done(&writer);
    mr_event_free(again);
}

static void must_be_event(const struct mqtt_message *message, const struct mr_event *event)
{
    MUST(mr_event_check(event, NULL) == 0);
    MUST(mr_event_string(event, "time").ptr != NULL);
    MUST(mr_event_find(event, MR_SLICE("mqtttopic")) != NULL);
    MUST(!message->retain || mr_event_find(event, MR_SLICE("mqttretain")) != NULL);
    must_hold_properties(message, event);
    must_survive_kafka(event);
}

static void must_be_refusal(int rc, const char *reason, const struct mr_error *err)
{
    static const char *const reasons[] = {"no-device", "not-an-event", "bad-message", "limit"};
    bool is_known = false;
    for (size_t i = 0; i < MR_COUNT_OF(reasons); i++) {
        is_known |= strcmp(reason, reasons[i]) == 0;
    }
    MUST(is_known);
    MUST(rc == MR_ENOTEVENT || rc == MR_EFORMAT || rc == MR_ELIMIT);
    MUST((int)err->code == rc && err->text[0] != '\0' && check_utf8(mr_slice_of(err->text)));
}

static void run(const struct mqtt_message *message, struct mr_slice id)
{
    static struct mqtt_event_maker *maker; /* one for all, as in a bridge */
    struct mr_event *event = mr_event_new();
    struct mr_error err = {0};
    struct route_match match;
    int rc;
    MUST(event != NULL && (maker != NULL || mqtt_event_maker_new(&maker, NULL) == 0));
    if (routes_find(get_routes(), message->topic, &match)) {
        rc = mqtt_event_make(maker, message, &match, id, event, &err);
        if (rc == 0) {
            must_be_event(message, event);
        } else {
            must_be_refusal(rc, mqtt_event_reason(maker), &err);
        }
    } else {
        MUST(message->topic.len == 0 || message->topic.ptr[0] == '$');
    }
    mr_event_free(event);
}

static size_t add(struct mqtt_user_property *properties, size_t count,
                  struct mqtt_user_property property, unsigned times)
{
    while (times-- > 0 && count < MQTT_USER_PROPERTIES_MAX) {
        properties[count++] = property;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mqtt_user_property properties[MQTT_USER_PROPERTIES_MAX];
    struct mqtt_message message = {.packet_id = 1, .qos = 1, .expiry_seconds = -1};
    struct mr_slice left;
    struct mr_slice id;
    if (size < 2) {
        return 0;
    }
    left = mr_slice(bytes + 2, size - 2);
    message.topic = next(&left);
    message.content_type = next_if(&left, (bytes[0] & HAS_CONTENT_TYPE) != 0);
    message.response_topic = next_if(&left, (bytes[0] & HAS_RESPONSE_TOPIC) != 0);
    message.correlation = next_if(&left, (bytes[0] & HAS_CORRELATION) != 0);
    id = next_if(&left, (bytes[0] & HAS_ID) != 0);
    id = id.len == 0 || !check_string(id) ? mr_slice(NULL, 0) : id; /* it was an event's */
    message.retain = (bytes[0] & IS_RETAINED) != 0;
    message.payload_format = (bytes[0] & IS_UTF8) != 0 ? 1 : -1;
    for (unsigned i = 0; i < bytes[1] && left.len > 0; i++) {
        struct mqtt_user_property property = {.name = next(&left)};
        property.value = next(&left);
        message.property_count =
            add(properties, message.property_count, property, (bytes[0] & MANY) != 0 ? 3 : 1);
    }
    message.properties = properties;
    message.payload = left;
    run(&message, id);
    return 0;
}
