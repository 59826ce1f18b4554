// SPDX-License-Identifier: Apache-2.0
/* Happy path: the attributes and, in one pass over the payload, all values that the rule takes ->
 * a line for the event, or for each element -> no two of them are the same point. What can go wrong
 * with one element goes wrong with the event: it is written whole or not at all. */
#include "consumers/influx/mapping_points.h"

#include <assert.h>

#include "consumers/influx/line_protocol.h"
#include "consumers/influx/line_scan.h"
#include "consumers/influx/mapping_event.h"
#include "consumers/influx/mapping_values.h"
#include "kit/mem.h"

enum { TEXT_BYTES_MAX = 4 * 1024 * 1024, KEPT_TEXT_BYTES = 256 * 1024, KEPT_POINTS = 1024 };

/* A point on its way. */
struct maker {
    struct mapping_points *points;
    const struct rule *rule;
    struct mr_event *event;
    int64_t record_ms;
    struct mr_buf *lines;
    size_t element;
    struct mr_error *err;
};

void mapping_points_init(struct mapping_points *points)
{
    *points = (struct mapping_points){.key = siphash_key_random()};
    json_selection_init(&points->selection);
    buf_init(&points->text, TEXT_BYTES_MAX);
    buf_init(&points->clean, LINE_NAME_BYTES_MAX + 1);
}

void mapping_points_done(struct mapping_points *points)
{
    json_selection_done(&points->selection);
    buf_done(&points->text);
    buf_done(&points->clean);
    mem_free(points->points);
    mem_free(points->slots);
}

/* ---- what the rule takes ---- */

static int value_of_attribute(struct mr_event *event, struct mr_slice name,
                              struct json_value *ret_value, struct mr_error *err)
{
    const struct mr_attribute *attribute = mr_event_find(event, name);
    *ret_value = (struct json_value){.token = JSON_SCAN_END};
    if (attribute == NULL) {
        return 0;
    }
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            ret_value->token = attribute->boolean ? JSON_SCAN_TRUE : JSON_SCAN_FALSE;
            break;
        case MR_VALUE_INTEGER:
            ret_value->token = JSON_SCAN_NUMBER;
            break;
        case MR_VALUE_STRING:
        case MR_VALUE_BINARY:
            ret_value->token = JSON_SCAN_STRING;
            break;
    }
    return mr_event_canonical(event, attribute, &ret_value->raw, err);
}

static int take_values(struct maker *maker)
{
    const struct rule *rule = maker->rule;
    int rc = 0;
    for (size_t i = 0; i < rule->attribute_count && rc == 0; i++) {
        rc = value_of_attribute(maker->event, rule->attributes[i], &maker->points->attributes[i],
                                maker->err);
    }
    if (rc != 0 || !rule->reads_data) {
        return rc;
    }
    rc = mapping_event_check_data(maker->event, maker->err);
    return rc != 0 ? rc
                   : json_select_run(&rule->select, mr_event_data(maker->event),
                                     &maker->points->selection, maker->err);
}

static const struct json_value *value_of(const struct maker *maker,
                                         const struct rule_source *source)
{
    const struct json_selection *selection = &maker->points->selection;
    switch (source->from) {
        case RULE_FROM_PAYLOAD:
            return &selection->values[source->slot];
        case RULE_FROM_ELEMENT:
            return &selection->element_values[maker->element * maker->rule->select.element_slots +
                                              source->slot];
        case RULE_FROM_ATTRIBUTE:
            return &maker->points->attributes[source->slot];
        case RULE_FROM_NOTHING:
            break;
    }
    assert(false);
    return NULL;
}

/* ---- what is wrong ---- */

/* "[measurement climate] field temp: $.t: a string, expected a number". */
static void wrong(struct maker *maker, const char *what, struct mr_slice name,
                  const struct rule_source *source)
{
    (void)mr_error_wrap(maker->err, "%s%s%.*s: %.*s", what, name.len == 0 ? "" : " ",
                        MR_SLICE_ARG(name), MR_SLICE_ARG(source->text));
}

static int missing(struct maker *maker, const struct json_value *value)
{
    return mr_error_set(maker->err, MR_EFORMAT, "%s, but required",
                        mapping_value_kind(value->token));
}

/* ---- the parts of a line ---- */

static int write_measurement(struct maker *maker)
{
    const struct rule *rule = maker->rule;
    const struct json_value *value;
    struct mr_slice text = {0};
    int rc;
    if (rule->measurement != NULL) {
        (void)buf_add_str(maker->lines, rule->measurement);
        return 0;
    }
    value = value_of(maker, &rule->measurement_source);
    rc = mapping_value_is_missing(value)
             ? missing(maker, value)
             : mapping_value_text(value, &maker->points->text, &text, maker->err);
    if (rc == 0 && text.len == 0) {
        rc = mr_error_set(maker->err, MR_EFORMAT, "an empty name");
    }
    if (rc == 0) {
        rc = mapping_write_name(LINE_MEASUREMENT, text, "measurement", &maker->points->clean,
                                maker->lines, maker->err);
    }
    if (rc != 0) {
        wrong(maker, "name", MR_SLICE(""), &rule->measurement_source);
    }
    return rc;
}

static int write_tag(struct maker *maker, const struct rule_value *tag)
{
    const struct json_value *value = value_of(maker, &tag->source);
    struct mr_slice text = {0};
    int rc = mapping_value_is_missing(value)
                 ? 0
                 : mapping_value_text(value, &maker->points->text, &text, maker->err);
    if (rc == 0 && text.len == 0) {
        if (!tag->is_required) {
            return 0;
        }
        rc = mapping_value_is_missing(value)
                 ? missing(maker, value)
                 : mr_error_set(maker->err, MR_EFORMAT, "empty, but required");
    }
    if (rc == 0) {
        (void)buf_add_char(maker->lines, ',');
        (void)buf_add_str(maker->lines, tag->name);
        (void)buf_add_char(maker->lines, '=');
        rc = mapping_write_name(LINE_TAG_VALUE, text, "tag value", &maker->points->clean,
                                maker->lines, maker->err);
    }
    if (rc != 0) {
        wrong(maker, "tag", tag->label, &tag->source);
    }
    return rc;
}

static int write_field(struct maker *maker, const struct rule_value *field, bool *has_fields)
{
    const struct json_value *value = value_of(maker, &field->source);
    int rc;
    if (mapping_value_is_missing(value) && !field->is_required) {
        return 0;
    }
    if (mapping_value_is_missing(value)) {
        rc = missing(maker, value);
    } else {
        (void)buf_add_char(maker->lines, *has_fields ? ',' : ' ');
        (void)buf_add_str(maker->lines, field->name);
        (void)buf_add_char(maker->lines, '=');
        rc = mapping_write_field_value(value, field->type, maker->rule->takes_strings,
                                       &maker->points->text, maker->lines, maker->err);
        *has_fields = true;
    }
    if (rc != 0) {
        wrong(maker, "field", field->label, &field->source);
    }
    return rc;
}

static int time_of(struct maker *maker, int64_t *ret_ns)
{
    const struct rule *rule = maker->rule;
    const struct json_value *value;
    int rc;
    if (rule->time.from == RULE_FROM_NOTHING) {
        return mapping_event_time(maker->event, maker->record_ms, ret_ns, maker->err);
    }
    value = value_of(maker, &rule->time);
    if (mapping_value_is_missing(value) && rule->time_is_optional) {
        return mapping_event_time(maker->event, maker->record_ms, ret_ns, maker->err);
    }
    rc = mapping_value_is_missing(value)
             ? missing(maker, value)
             : mapping_value_time(value, rule->unit, &maker->points->text, ret_ns, maker->err);
    if (rc != 0) {
        wrong(maker, "time", MR_SLICE(""), &rule->time);
    }
    return rc;
}

/* One line, without a line feed. `ret_has_fields`: false, and what was written is no line. */
static int write_line(struct maker *maker, struct mapping_point *ret_point, bool *ret_has_fields)
{
    const struct rule *rule = maker->rule;
    size_t begin = maker->lines->len;
    int rc = write_measurement(maker);
    *ret_has_fields = false;
    for (size_t i = 0; i < rule->tags.count && rc == 0; i++) {
        rc = write_tag(maker, &rule->tags.at[i]);
    }
    ret_point->series_at = (uint32_t)begin;
    ret_point->series_len = (uint32_t)(maker->lines->len - begin);
    for (size_t i = 0; i < rule->fields.count && rc == 0; i++) {
        rc = write_field(maker, &rule->fields.at[i], ret_has_fields);
    }
    rc = rc == 0 ? time_of(maker, &ret_point->ns) : rc;
    if (rc == 0) {
        (void)buf_add_char(maker->lines, ' ');
        (void)line_write_integer(ret_point->ns, maker->lines);
    }
    return rc;
}

/* ---- several points ---- */

static int reserve_points(struct mapping_points *points, size_t count, struct mr_error *err)
{
    size_t slots = 16;
    void *more;
    while (slots < 2 * count) {
        slots *= 2;
    }
    if (count > points->point_capacity) {
        more = mem_realloc(points->points, count * sizeof *points->points);
        if (more == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
        points->points = more;
        points->point_capacity = count;
    }
    if (slots > points->slot_capacity) {
        more = mem_realloc(points->slots, slots * sizeof *points->slots);
        if (more == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
        points->slots = more;
        points->slot_capacity = slots;
    }
    memset(points->slots, 0, points->slot_capacity * sizeof *points->slots);
    return 0;
}

static struct mr_slice series_of(const struct mapping_point *point, const struct mr_buf *lines)
{
    return mr_slice(lines->ptr + point->series_at, point->series_len);
}

/* Two points of one series and time would be one to InfluxDB, and it is not said which wins. */
static int note_point(struct maker *maker, size_t index)
{
    struct mapping_points *points = maker->points;
    struct mapping_point *point = &points->points[index];
    size_t mask = points->slot_capacity - 1;
    size_t slot;
    point->hash = line_hash(points->key, (uint64_t)point->ns, series_of(point, maker->lines));
    for (slot = point->hash & mask; points->slots[slot] != 0; slot = (slot + 1) & mask) {
        const struct mapping_point *other = &points->points[points->slots[slot] - 1];
        if (other->hash == point->hash && other->ns == point->ns &&
            mr_slice_is(series_of(other, maker->lines), series_of(point, maker->lines))) {
            return mr_error_set(maker->err, MR_EFORMAT,
                                "elements %u and %zu are the same point: one series, one time",
                                points->slots[slot] - 1, index);
        }
    }
    points->slots[slot] = (uint32_t)index + 1;
    return 0;
}

static int write_element(struct maker *maker)
{
    bool has_fields;
    int rc;
    if (maker->element > 0) {
        (void)buf_add_char(maker->lines, '\n');
    }
    rc = write_line(maker, &maker->points->points[maker->element], &has_fields);
    if (rc == 0 && maker->lines->failed != 0) {
        rc = buf_check(maker->lines, maker->err);
        (void)mr_error_wrap(maker->err, "the lines");
    } else if (rc == 0 && !has_fields) {
        rc = mr_error_set(maker->err, MR_EFORMAT, "none of the fields is there");
    }
    if (rc != 0) {
        (void)mr_error_wrap(maker->err, "element %zu", maker->element);
        return rc;
    }
    return note_point(maker, maker->element);
}

static int write_elements(struct maker *maker, size_t *ret_count)
{
    const struct rule *rule = maker->rule;
    const struct json_selection *selection = &maker->points->selection;
    int rc;
    if (!selection->each_is_array || selection->elements == 0) {
        return mr_error_set(
            maker->err, MR_EFORMAT, "%.*s: %s", MR_SLICE_ARG(rule->each),
            selection->each_is_array ? "an empty array, expected elements" : "expected an array");
    }
    rc = reserve_points(maker->points, selection->elements, maker->err);
    for (; rc == 0 && maker->element < selection->elements; maker->element++) {
        rc = write_element(maker);
    }
    *ret_count = selection->elements;
    return rc;
}

static int write_only(struct maker *maker, size_t *ret_count)
{
    struct mapping_point point;
    bool has_fields;
    int rc = write_line(maker, &point, &has_fields);
    if (rc != 0) {
        return rc;
    }
    *ret_count = has_fields;
    if (!has_fields && !maker->rule->skips_no_field) {
        return mr_error_set(maker->err, MR_EFORMAT, "none of the fields is there");
    }
    rc = buf_check(maker->lines, maker->err);
    if (rc != 0) {
        (void)mr_error_wrap(maker->err, "the line");
    }
    return rc;
}

static void give_back(struct mapping_points *points)
{
    buf_clear(&points->text);
    if (points->text.capacity > KEPT_TEXT_BYTES) {
        buf_done(&points->text);
    }
    if (points->point_capacity > KEPT_POINTS) {
        mem_free(points->points);
        mem_free(points->slots);
        points->points = NULL;
        points->slots = NULL;
        points->point_capacity = 0;
        points->slot_capacity = 0;
    }
}

int mapping_points_write(struct mapping_points *points, const struct rule *rule,
                         struct mr_event *event, int64_t record_ms, struct mr_buf *lines,
                         size_t *ret_count, struct mr_error *err)
{
    struct mr_error own;
    struct maker maker = {points, rule, event, record_ms, lines, 0, err == NULL ? &own : err};
    int rc;
    give_back(points);
    rc = take_values(&maker);
    if (rc == 0) {
        rc = rule->each.len > 0 ? write_elements(&maker, ret_count) : write_only(&maker, ret_count);
    }
    if (rc != 0) {
        (void)mr_error_wrap(maker.err, "[measurement %.200s]", rule->name);
    }
    return rc;
}
