// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/mapping.h"

#include <assert.h>

#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping_event.h"
#include "consumers/influx/mapping_values.h"
#include "kit/mem.h"

enum { KEPT_BYTES_MAX = 256 * 1024 };

struct mapping *mapping_new(const struct mapping_rules *rules)
{
    struct mapping *mapping = mem_alloc(sizeof *mapping);
    if (mapping == NULL) {
        return NULL;
    }
    buf_init(&mapping->line, MAPPING_LINE_BYTES_MAX);
    buf_init(&mapping->path, LINE_NAME_BYTES_MAX + 1);
    buf_init(&mapping->text, MAPPING_LINE_BYTES_MAX);
    field_names_init(&mapping->names);
    mapping_points_init(&mapping->points);
    mapping->rules = rules;
    mapping->depth = 0;
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (mapping == NULL) {
        return;
    }
    buf_done(&mapping->line);
    buf_done(&mapping->path);
    buf_done(&mapping->text);
    field_names_done(&mapping->names);
    mapping_points_done(&mapping->points);
    mem_free(mapping);
}

static void begin(struct mapping *mapping)
{
    struct mr_buf *large[] = {&mapping->line, &mapping->text};
    for (size_t i = 0; i < MR_COUNT_OF(large); i++) {
        buf_clear(large[i]);
        if (large[i]->capacity > KEPT_BYTES_MAX) {
            buf_done(large[i]);
        }
    }
    buf_clear(&mapping->path);
    field_names_clear(&mapping->names);
    mapping->depth = 0;
}

static int write_measurement(struct mapping *mapping, const struct mr_event *event,
                             struct mr_error *err)
{
    struct mr_slice name = mr_event_string(event, "subject");
    if (name.ptr == NULL) {
        name = mr_event_string(event, "type");
    }
    if (name.len == 0) {
        return mr_error_set(err, MR_EFORMAT, "neither subject nor type names a measurement");
    }
    return mapping_write_name(LINE_MEASUREMENT, name, "measurement", &mapping->text, &mapping->line,
                              err);
}

/* `begin` is ",key=", as it stands in a line. */
static int write_tag(struct mapping *mapping, struct mr_event *event, struct mr_slice begin,
                     struct mr_error *err)
{
    const struct mr_attribute *attribute =
        mr_event_find(event, mr_slice(begin.ptr + 1, begin.len - 2));
    struct mr_slice value;
    int rc;
    if (attribute == NULL) {
        return 0;
    }
    rc = mr_event_canonical(event, attribute, &value, err);
    if (rc != 0 || value.len == 0) {
        return rc;
    }
    (void)buf_add_slice(&mapping->line, begin);
    return mapping_write_name(LINE_TAG_VALUE, value, "tag value", &mapping->text, &mapping->line,
                              err);
}

/* The text of the last JSON string or name, without a copy if it has no escapes. */
static int string_text(struct mapping *mapping, const struct json_scan *scan,
                       struct mr_slice *ret_text)
{
    int rc;
    if (!scan->raw_has_escapes) {
        *ret_text = scan->raw;
        return 0;
    }
    buf_clear(&mapping->text);
    rc = json_scan_unescape(scan, &mapping->text);
    *ret_text = buf_slice(&mapping->text);
    return rc;
}

static int path_check(const struct mapping *mapping, struct mr_error *err)
{
    if (mapping->path.failed == MR_ELIMIT) {
        return mr_error_set(err, MR_ELIMIT, "a field name of more than %d bytes",
                            LINE_NAME_BYTES_MAX);
    }
    return buf_check(&mapping->path, err);
}

/* The path of a member: that of its object, '_', its name. */
static int enter_name(struct mapping *mapping, const struct json_scan *scan, struct mr_error *err)
{
    struct mr_slice name;
    mapping->path.len = mapping->levels[mapping->depth].path_len;
    if (string_text(mapping, scan, &name) != 0) {
        return buf_check(&mapping->text, err);
    }
    if (mapping->depth > 0) {
        (void)buf_add_char(&mapping->path, '_');
    }
    (void)buf_add_slice(&mapping->path, name);
    return path_check(mapping, err);
}

/* A value begins; an element of an array has its number for a name. */
static int enter_value(struct mapping *mapping, struct mr_error *err)
{
    struct mapping_level *level = &mapping->levels[mapping->depth];
    if (!level->is_array) {
        return 0;
    }
    mapping->path.len = level->path_len;
    (void)buf_add_char(&mapping->path, '_');
    (void)line_write_integer(level->elements, &mapping->path);
    level->elements++;
    return path_check(mapping, err);
}

static void open_level(struct mapping *mapping, bool is_array)
{
    mapping->depth++;
    assert(mapping->depth <= JSON_DEPTH_MAX);
    mapping->levels[mapping->depth] = (struct mapping_level){mapping->path.len, 0, is_array};
}

static int write_string(struct mapping *mapping, const struct json_scan *scan, struct mr_error *err)
{
    struct mr_slice text;
    if (string_text(mapping, scan, &text) != 0) {
        return buf_check(&mapping->text, err);
    }
    if (text.len > LINE_STRING_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "the string %.*s has %zu bytes, over %d",
                            MR_SLICE_ARG(buf_slice(&mapping->path)), text.len,
                            LINE_STRING_BYTES_MAX);
    }
    (void)line_write_string(text, &mapping->line);
    return 0;
}

static int write_value(struct mapping *mapping, enum json_token token, const struct json_scan *scan,
                       struct mr_error *err)
{
    int rc;
    switch (token) {
        case JSON_SCAN_STRING:
            return write_string(mapping, scan, err);
        case JSON_SCAN_NUMBER:
            rc = line_check_number(scan->raw, err);
            if (rc != 0) {
                (void)mr_error_wrap(err, "%.*s", MR_SLICE_ARG(buf_slice(&mapping->path)));
                return rc;
            }
            (void)buf_add_slice(&mapping->line, scan->raw);
            return 0;
        default:
            assert(token == JSON_SCAN_TRUE || token == JSON_SCAN_FALSE);
            (void)buf_add_str(&mapping->line, token == JSON_SCAN_TRUE ? "true" : "false");
            return 0;
    }
}

static int write_field(struct mapping *mapping, enum json_token token, const struct json_scan *scan,
                       struct mr_error *err)
{
    struct mr_slice name;
    char before = mapping->names.count == 0 ? ' ' : ',';
    int rc = field_names_add(&mapping->names, buf_slice(&mapping->path), &name, err);
    if (rc != 0) {
        return rc;
    }
    (void)buf_add_char(&mapping->line, before);
    if (field_names_is_plain(&mapping->names)) {
        (void)buf_add_slice(&mapping->line, name);
    } else {
        (void)line_write_name(LINE_FIELD, name, &mapping->line);
    }
    (void)buf_add_char(&mapping->line, '=');
    return write_value(mapping, token, scan, err);
}

static int take_token(struct mapping *mapping, enum json_token token, const struct json_scan *scan,
                      struct mr_error *err)
{
    int rc;
    switch (token) {
        case JSON_SCAN_NAME:
            return enter_name(mapping, scan, err);
        case JSON_SCAN_OBJECT_END:
        case JSON_SCAN_ARRAY_END:
            assert(mapping->depth > 0 || token == JSON_SCAN_OBJECT_END);
            mapping->depth -= mapping->depth > 0;
            return 0;
        default:
            break;
    }
    rc = enter_value(mapping, err);
    if (rc != 0 || token == JSON_SCAN_NULL) {
        return rc;
    }
    if (token == JSON_SCAN_OBJECT_BEGIN || token == JSON_SCAN_ARRAY_BEGIN) {
        open_level(mapping, token == JSON_SCAN_ARRAY_BEGIN);
        return 0;
    }
    return write_field(mapping, token, scan, err);
}

static int scan_error(const struct json_scan *scan, struct mr_error *err)
{
    (void)json_scan_error(scan, err);
    (void)mr_error_wrap(err, "the data is not valid JSON");
    return MR_EFORMAT;
}

static int write_fields(struct mapping *mapping, struct mr_slice data, struct mr_error *err)
{
    struct json_scan scan;
    enum json_token token;
    json_scan_init(&scan, data);
    token = json_scan_next(&scan);
    if (token == JSON_SCAN_ERROR) {
        return scan_error(&scan, err);
    }
    if (token != JSON_SCAN_OBJECT_BEGIN) {
        return mr_error_set(err, MR_EFORMAT, "the data is %s, expected a JSON object",
                            mapping_value_kind(token));
    }
    mapping->levels[0] = (struct mapping_level){0, 0, false};
    while ((token = json_scan_next(&scan)) != JSON_SCAN_END) {
        int rc = token == JSON_SCAN_ERROR ? scan_error(&scan, err)
                                          : take_token(mapping, token, &scan, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (mapping->names.count == 0) {
        return mr_error_set(err, MR_EFORMAT,
                            "the data has no number, boolean or string, expected at least one");
    }
    return 0;
}

static int default_line(struct mapping *mapping, struct mr_event *event, int64_t record_ms,
                        struct mr_error *err)
{
    int64_t ns = 0;
    int rc;
    if ((rc = mapping_event_check_data(event, err)) != 0 ||
        (rc = mapping_event_time(event, record_ms, &ns, err)) != 0 ||
        (rc = write_measurement(mapping, event, err)) != 0 ||
        (rc = write_tag(mapping, event, MR_SLICE(",application="), err)) != 0 ||
        (rc = write_tag(mapping, event, MR_SLICE(",device="), err)) != 0 ||
        (rc = write_fields(mapping, mr_event_data(event), err)) != 0) {
        return rc;
    }
    (void)buf_add_char(&mapping->line, ' ');
    (void)line_write_integer(ns, &mapping->line);
    rc = buf_check(&mapping->line, err);
    if (rc != 0) {
        (void)mr_error_wrap(err, "the line");
    }
    return rc;
}

static int unmatched_lines(struct mapping *mapping, struct mr_event *event, int64_t record_ms,
                           size_t *ret_count, struct mr_error *err)
{
    enum mapping_unmatched unmatched =
        mapping->rules == NULL ? UNMATCHED_DEFAULT : mapping->rules->unmatched;
    if (unmatched == UNMATCHED_DEAD) {
        return mr_error_set(err, MR_EFORMAT, "no [measurement] matches the event");
    }
    *ret_count = unmatched == UNMATCHED_DEFAULT;
    return unmatched == UNMATCHED_DEFAULT ? default_line(mapping, event, record_ms, err) : 0;
}

int mapping_lines(struct mapping *mapping, struct mr_event *event, int64_t record_ms,
                  struct mr_slice *ret_lines, size_t *ret_count, struct mr_error *err)
{
    const struct rule *rule = NULL;
    size_t count = 0;
    int rc = 0;
    begin(mapping);
    if (mapping->rules != NULL) {
        rc = mapping_rules_match(mapping->rules, event, &rule, err);
    }
    if (rc == 0 && rule == NULL) {
        rc = unmatched_lines(mapping, event, record_ms, &count, err);
    } else if (rc == 0) {
        rc = mapping_points_write(&mapping->points, rule, event, record_ms, &mapping->line, &count,
                                  err);
    }
    if (rc != 0) {
        return rc;
    }
    *ret_lines = mr_slice(buf_slice(&mapping->line).ptr, count == 0 ? 0 : mapping->line.len);
    *ret_count = count;
    return 0;
}
