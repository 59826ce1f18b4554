// SPDX-License-Identifier: Apache-2.0
/* Happy path: a section -> a route, line by line -> what only the whole shows -> the ready-made
 * routes -> the filters and Kafka topics of all. Whatever is wrong is said with its place, and
 * nothing stops the rest. */
#include "bridge/mqtt/routes.h"

#include <string.h>

#include "base/options.h"
#include "bridge/mqtt/routes_internal.h"
#include "event/check.h"
#include "event/content_mode.h"
#include "kafka/kafka_topics.h"
#include "kit/mem.h"

enum { SHOWN_BYTES = 100 };

const struct mr_option route_keys[] = {
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .text = "The topics, as an MQTT filter whose wildcards may have names: "
             "sensors/{device}/{channel}, {application}/+/{suffix...}. Needed in each section."},
    {.key = "kafka.topic",
     .type = MR_OPTION_STRING,
     .text = "The Kafka topic of these messages. Without it, it is the option topic."},
    {.key = "application",
     .type = MR_OPTION_STRING,
     .text = "The application, if the pattern has no {application}. Without both, it is the user "
             "property application, else `default`."},
    {.key = "device",
     .type = MR_OPTION_STRING,
     .text = "The device, if the pattern has no {device}. Without both, it is the user property "
             "device; without that the message goes to the dead-letter topic."},
    {.key = "channel",
     .type = MR_OPTION_STRING,
     .text = "The channel, if the pattern has no {channel}. Without both and without {suffix...}, "
             "it is the levels of the topic that have no name."},
    {.key = "content",
     .type = MR_OPTION_STRING,
     .text = "The content type of messages that bring none. application/cloudevents+json or +avro "
             "makes them CloudEvents in structured mode."},
    {.key = "type",
     .type = MR_OPTION_STRING,
     .text = "The event's type. Without it, it is io.millrace.event.v1."},
    {.key = "dataschema",
     .type = MR_OPTION_STRING,
     .text = "The event's dataschema: an absolute URI."},
    {.key = "id",
     .type = MR_OPTION_STRING,
     .text = "Where a JSON payload has the event's id, a string or number: a path such as $.id. "
             "The user property id comes first."},
    MR_OPTION_END,
};

struct ready_route {
    enum routes_ready of;
    const char *topic;
};

static const struct ready_route ready_routes[] = {
    {ROUTES_DROGUE, "{channel}"},
    {ROUTES_DROGUE, "{channel}/{device}"},
    {ROUTES_TELEMETRY, "telemetry/{device}/{channel...}"},
    {ROUTES_TELEMETRY, "sensors/{device}/{channel...}"},
    {ROUTES_TELEMETRY, "tele/{device}/{channel...}"}, /* Tasmota */
    {ROUTES_TELEMETRY, "zigbee2mqtt/{device}"},
    {ROUTES_TELEMETRY, "{application}/{device}/telemetry"},
};

_Static_assert(MR_COUNT_OF(ready_routes) + MR_SECTIONS_MAX <= ROUTES_MAX, "ROUTES_MAX is short");

struct routes {
    struct route at[ROUTES_MAX];
    size_t count;
    const char *filters[ROUTES_MAX];
    size_t filter_count;
    const char *kafka_topics[ROUTES_KAFKA_TOPICS_MAX];
    size_t kafka_topic_count;
};

struct builder {
    struct routes *routes;
    struct route *route; /* the one at work */
    const struct mr_section *section;
    const char *place; /* of the line at work */
    struct mr_check *check;
    bool is_out_of_memory;
};

static void problem(struct builder *builder, const struct mr_error *err)
{
    if (err->code == MR_ENOMEM) {
        builder->is_out_of_memory = true;
    } else {
        mr_check_problem_at(builder->check, builder->place, "%s", err->text);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void take_topic(struct builder *builder, struct mr_slice value)
{
    struct mr_error err;
    if (topic_pattern_new(value, &builder->route->pattern, &err) != 0) {
        problem(builder, &err);
    }
}

static void take_kafka_topic(struct builder *builder, struct mr_slice value)
{
    struct routes *routes = builder->routes;
    struct mr_error err;
    size_t i = 0;
    if (topics_check_name(value, &err) != 0) {
        problem(builder, &err);
        return;
    }
    builder->route->kafka_topic = value.ptr;
    while (i < routes->kafka_topic_count && strcmp(routes->kafka_topics[i], value.ptr) != 0) {
        i++;
    }
    if (i == ROUTES_KAFKA_TOPICS_MAX) {
        mr_check_problem_at(builder->check, builder->place,
                            "more than %d different Kafka topics, the default one among them",
                            ROUTES_KAFKA_TOPICS_MAX);
    } else if (i == routes->kafka_topic_count) {
        routes->kafka_topics[routes->kafka_topic_count++] = value.ptr;
    }
}

static void take_text(struct builder *builder, struct mr_slice value, struct mr_slice *ret_text)
{
    if (value.len == 0 || value.len > ROUTES_NAME_BYTES_MAX || !check_string(value)) {
        mr_check_problem_at(builder->check, builder->place,
                            "expected 1 to %d bytes of UTF-8 without control characters",
                            ROUTES_NAME_BYTES_MAX);
        return;
    }
    *ret_text = value;
}

static void take_application(struct builder *builder, struct mr_slice value)
{
    take_text(builder, value, &builder->route->application);
}

static void take_device(struct builder *builder, struct mr_slice value)
{
    take_text(builder, value, &builder->route->device);
}

static void take_channel(struct builder *builder, struct mr_slice value)
{
    take_text(builder, value, &builder->route->channel);
}

static void take_type(struct builder *builder, struct mr_slice value)
{
    take_text(builder, value, &builder->route->type);
}

static void take_content(struct builder *builder, struct mr_slice value)
{
    enum content_mode mode = content_mode_of(value);
    if (!check_media_type(value) || mode == CONTENT_BATCH || mode == CONTENT_UNKNOWN) {
        mr_check_problem_at(builder->check, builder->place,
                            "expected a media type such as text/csv, or "
                            "application/cloudevents+json or +avro; got '%.*s'",
                            SHOWN_BYTES, value.ptr);
        return;
    }
    builder->route->content = value;
}

static void take_dataschema(struct builder *builder, struct mr_slice value)
{
    if (!check_absolute_uri(value)) {
        mr_check_problem_at(builder->check, builder->place,
                            "expected an absolute URI such as urn:example:reading; got '%.*s'",
                            SHOWN_BYTES, value.ptr);
        return;
    }
    builder->route->dataschema = value;
}

static void take_id(struct builder *builder, struct mr_slice value)
{
    struct route *route = builder->route;
    struct json_path path;
    struct mr_error err;
    int rc = json_path_parse(value, false, &path, &err);
    if (rc == 0 && (path.is_element || path.text.len != value.len)) {
        rc = mr_error_set(&err, MR_ECONFIG, "expected one path that begins with '$'");
    }
    if (rc == 0 && json_select_init(&route->id) != 0) {
        rc = mr_error_set(&err, MR_ENOMEM, "out of memory");
    }
    if (rc == 0) {
        route->id_path = value;
        rc = json_select_add(&route->id, &path, &route->id_slot, &err);
    }
    if (rc != 0) {
        problem(builder, &err);
    }
}

static void take_setting(struct builder *builder, const struct mr_setting *setting)
{
    static const struct {
        const char *key;
        void (*take)(struct builder *builder, struct mr_slice value);
    } keys[] = {
        {"topic", take_topic},     {"kafka.topic", take_kafka_topic},
        {"device", take_device},   {"application", take_application},
        {"channel", take_channel}, {"dataschema", take_dataschema},
        {"content", take_content}, {"type", take_type},
        {"id", take_id},
    };
    builder->place = setting->place;
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        if (strcmp(keys[i].key, setting->key) == 0) {
            keys[i].take(builder, mr_slice_of(setting->value));
        }
    }
}

/* ---- the whole route ------------------------------------------------------------------------- */

static const struct mr_setting *find_setting(const struct mr_section *section, const char *key)
{
    for (size_t i = 0; section != NULL && i < section->count; i++) {
        if (strcmp(section->settings[i].key, key) == 0) {
            return &section->settings[i];
        }
    }
    return NULL;
}

/* What CloudEvents or the bridge itself gives a meaning. */
static bool is_reserved(struct mr_slice name)
{
    static const struct mr_slice reserved[] = {
        MR_SLICE_INIT("id"),         MR_SLICE_INIT("source"),  MR_SLICE_INIT("specversion"),
        MR_SLICE_INIT("type"),       MR_SLICE_INIT("subject"), MR_SLICE_INIT("datacontenttype"),
        MR_SLICE_INIT("dataschema"), MR_SLICE_INIT("time"),
    };
    for (size_t i = 0; i < MR_COUNT_OF(reserved); i++) {
        if (mr_slice_is(name, reserved[i])) {
            return true;
        }
    }
    return name.len >= 4 && memcmp(name.ptr, "mqtt", 4) == 0;
}

static enum route_part part_of(struct mr_slice name)
{
    static const struct {
        struct mr_slice name;
        enum route_part part;
    } known[] = {
        {MR_SLICE_INIT("application"), ROUTE_PART_APPLICATION},
        {MR_SLICE_INIT("device"), ROUTE_PART_DEVICE},
        {MR_SLICE_INIT("channel"), ROUTE_PART_CHANNEL},
        {MR_SLICE_INIT("suffix"), ROUTE_PART_SUFFIX},
    };
    for (size_t i = 0; i < MR_COUNT_OF(known); i++) {
        if (mr_slice_is(name, known[i].name)) {
            return known[i].part;
        }
    }
    return ROUTE_PART_EXTENSION;
}

/* A constant for what the topic says already. */
static void check_constants(struct builder *builder)
{
    static const char *const keys[] = {"application", "device", "channel"};
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        const struct mr_setting *setting = find_setting(builder->section, keys[i]);
        const struct topic_pattern *pattern = builder->route->pattern;
        for (size_t j = 0; setting != NULL && j < topic_pattern_names(pattern); j++) {
            if (mr_slice_is(topic_pattern_name(pattern, j), mr_slice_of(keys[i]))) {
                mr_check_problem_at(builder->check, setting->place,
                                    "the pattern has {%s} already; expected one of them", keys[i]);
            }
        }
    }
}

static void name_parts(struct builder *builder)
{
    struct route *route = builder->route;
    bool has_channel =
        route->channel.ptr != NULL || find_setting(builder->section, "channel") != NULL;
    for (size_t i = 0; i < topic_pattern_names(route->pattern); i++) {
        struct mr_slice name = topic_pattern_name(route->pattern, i);
        route->parts[i] = part_of(name);
        has_channel |=
            route->parts[i] == ROUTE_PART_CHANNEL || route->parts[i] == ROUTE_PART_SUFFIX;
        if (is_reserved(name)) {
            mr_check_problem_at(builder->check, builder->place,
                                "{%.*s}: a name with a meaning of its own; expected {application}, "
                                "{device}, {channel}, {suffix...} or the name of an extension",
                                MR_SLICE_ARG(name));
        }
    }
    if (!has_channel && !topic_pattern_has_unnamed(route->pattern)) {
        mr_check_problem_at(builder->check, builder->place,
                            "nothing says the channel; expected {channel}, {suffix...}, a level "
                            "without a name, or the key channel");
    }
}

/* An earlier section takes all of it. */
static void check_is_reached(struct builder *builder, const struct mr_sections *sections)
{
    const struct routes *routes = builder->routes;
    for (size_t i = 0; i + 1 < routes->count; i++) {
        if (routes->at[i].pattern != NULL &&
            topic_filter_covers(topic_pattern_filter(routes->at[i].pattern),
                                topic_pattern_filter(builder->route->pattern))) {
            mr_check_problem_at(builder->check, builder->place,
                                "no message comes here: [route %s] takes all these topics",
                                sections->at[i].name);
            return;
        }
    }
}

static void add_section(struct builder *builder, const struct mr_sections *sections, size_t index)
{
    const struct mr_section *section = &sections->at[index];
    const struct mr_setting *topic = find_setting(section, "topic");
    builder->section = section;
    builder->route = &builder->routes->at[builder->routes->count++];
    builder->route->kafka_topic = builder->routes->kafka_topics[0];
    for (size_t i = 0; i < section->count; i++) {
        take_setting(builder, &section->settings[i]);
    }
    if (topic == NULL) {
        mr_check_problem_at(builder->check, section->place,
                            "expected topic = PATTERN, such as sensors/{device}/{channel}");
    } else if (builder->route->pattern != NULL) {
        builder->place = topic->place;
        name_parts(builder);
        check_constants(builder);
        check_is_reached(builder, sections);
    }
}

static void add_ready(struct builder *builder, const char *pattern)
{
    builder->section = NULL;
    builder->place = pattern;
    builder->route = &builder->routes->at[builder->routes->count++];
    builder->route->kafka_topic = builder->routes->kafka_topics[0];
    take_topic(builder, mr_slice_of(pattern));
    if (builder->route->pattern != NULL) {
        name_parts(builder);
    }
}

/* ---- all routes ------------------------------------------------------------------------------ */

static bool is_covered(const struct routes *routes, size_t index)
{
    const char *filter = topic_pattern_filter(routes->at[index].pattern);
    for (size_t i = 0; i < routes->count; i++) {
        const char *other = topic_pattern_filter(routes->at[i].pattern);
        /* Of two that cover each other the first one stays. */
        if (i != index && topic_filter_covers(other, filter) &&
            (i < index || !topic_filter_covers(filter, other))) {
            return true;
        }
    }
    return false;
}

static void find_filters(struct routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        if (!is_covered(routes, i)) {
            routes->filters[routes->filter_count++] = topic_pattern_filter(routes->at[i].pattern);
        }
    }
}

static void make(struct builder *builder, const struct routes_options *options)
{
    for (size_t i = 0; i < options->routes.count && i < MR_SECTIONS_MAX; i++) {
        add_section(builder, &options->routes, i);
    }
    for (size_t i = 0; i < MR_COUNT_OF(ready_routes); i++) {
        if ((int)ready_routes[i].of == options->ready) {
            add_ready(builder, ready_routes[i].topic);
        }
    }
    if (builder->routes->count == 0) {
        mr_check_problem(builder->check, NULL, "routes.ready",
                         "there is no route: expected a section [route NAME], or the ready-made "
                         "ones of drogue or telemetry");
    }
}

/* Errors: MR_ENOMEM, MR_ECONFIG (said in `check`). */
static int make_routes(const struct routes_options *options, const char *kafka_topic,
                       struct mr_check *check, struct routes **ret_routes)
{
    struct builder builder = {.check = check, .routes = mem_zalloc(sizeof(struct routes))};
    size_t problems = check->count;
    if (builder.routes == NULL) {
        return MR_ENOMEM;
    }
    builder.routes->kafka_topics[builder.routes->kafka_topic_count++] = kafka_topic;
    make(&builder, options);
    if (builder.is_out_of_memory || check->count > problems) {
        routes_free(builder.routes);
        return builder.is_out_of_memory ? MR_ENOMEM : MR_ECONFIG;
    }
    find_filters(builder.routes);
    *ret_routes = builder.routes;
    return 0;
}

int routes_new(const struct routes_options *options, const char *kafka_topic,
               struct routes **ret_routes, struct mr_error *err)
{
    struct mr_check check = {.first = err};
    int rc = make_routes(options, kafka_topic, &check, ret_routes);
    return rc == MR_ENOMEM ? mr_error_set(err, MR_ENOMEM, "out of memory") : rc;
}

void routes_check(const struct routes_options *options, const char *kafka_topic,
                  struct mr_check *check)
{
    struct routes *routes = NULL;
    const char *topic = kafka_topic == NULL ? "" : kafka_topic;
    if (make_routes(options, topic, check, &routes) == MR_ENOMEM) {
        mr_check_problem_at(check, "[route]", "out of memory");
    }
    routes_free(routes);
}

void routes_free(struct routes *routes)
{
    if (routes == NULL) {
        return;
    }
    for (size_t i = 0; i < routes->count; i++) {
        topic_pattern_free(routes->at[i].pattern);
        if (routes->at[i].id_path.ptr != NULL) {
            json_select_done(&routes->at[i].id);
        }
    }
    mem_free(routes);
}

/* ---- reading --------------------------------------------------------------------------------- */

bool routes_find(const struct routes *routes, struct mr_slice topic, struct route_match *ret_match)
{
    for (size_t i = 0; i < routes->count; i++) {
        if (topic_pattern_match(routes->at[i].pattern, topic, ret_match->values)) {
            ret_match->route = &routes->at[i];
            return true;
        }
    }
    return false;
}

size_t routes_filters(const struct routes *routes)
{
    return routes->filter_count;
}

const char *routes_filter(const struct routes *routes, size_t index)
{
    return routes->filters[index];
}

size_t routes_kafka_topics(const struct routes *routes)
{
    return routes->kafka_topic_count;
}

const char *routes_kafka_topic(const struct routes *routes, size_t index)
{
    return routes->kafka_topics[index];
}

const char *route_kafka_topic(const struct route *route)
{
    return route->kafka_topic;
}
