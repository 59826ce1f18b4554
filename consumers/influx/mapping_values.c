// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/mapping_values.h"

#include <inttypes.h>

#include "consumers/influx/decimal.h"
#include "event/timestamp.h"

enum { DIGITS_BYTES = 32 };

const char *mapping_value_kind(enum json_token token)
{
    switch (token) {
        case JSON_SCAN_OBJECT_BEGIN:
            return "an object";
        case JSON_SCAN_ARRAY_BEGIN:
            return "an array";
        case JSON_SCAN_STRING:
            return "a string";
        case JSON_SCAN_NUMBER:
            return "a number";
        case JSON_SCAN_NULL:
            return "null";
        case JSON_SCAN_TRUE:
        case JSON_SCAN_FALSE:
            return "a boolean";
        default:
            return "missing";
    }
}

static int refuse(const struct json_value *value, const char *expected, struct mr_error *err)
{
    return mr_error_set(err, MR_EFORMAT, "%s, expected %s", mapping_value_kind(value->token),
                        expected);
}

static bool is_word(const struct json_value *value, const char *word)
{
    return !value->has_escapes && mr_slice_is(value->raw, mr_slice_of(word));
}

int mapping_value_text(const struct json_value *value, struct mr_buf *scratch,
                       struct mr_slice *ret_text, struct mr_error *err)
{
    const struct json_scan scan = {.raw = value->raw};
    if (value->token == JSON_SCAN_OBJECT_BEGIN || value->token == JSON_SCAN_ARRAY_BEGIN) {
        return refuse(value, "a string, a number or a boolean", err);
    }
    if (!value->has_escapes) {
        *ret_text = value->raw;
        return 0;
    }
    buf_clear(scratch);
    if (json_scan_unescape(&scan, scratch) != 0) {
        return buf_check(scratch, err);
    }
    *ret_text = buf_slice(scratch);
    return 0;
}

static int write_string(const struct json_value *value, struct mr_buf *scratch, struct mr_buf *out,
                        struct mr_error *err)
{
    struct mr_slice text;
    int rc = mapping_value_text(value, scratch, &text, err);
    if (rc != 0) {
        return rc;
    }
    if (text.len > LINE_STRING_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a string of %zu bytes, over %d", text.len,
                            LINE_STRING_BYTES_MAX);
    }
    (void)line_write_string(text, out);
    return 0;
}

/* The number that the value is, or that its string holds. */
static int number_of(const struct json_value *value, bool takes_strings, const char *expected,
                     struct mr_slice *ret_number, struct mr_error *err)
{
    if (value->token != JSON_SCAN_NUMBER && (value->token != JSON_SCAN_STRING || !takes_strings)) {
        return refuse(value, expected, err);
    }
    if (value->token == JSON_SCAN_STRING &&
        (value->has_escapes || !decimal_is_number(value->raw))) {
        return mr_error_set(err, MR_EFORMAT, "a string that holds no number, expected %s",
                            expected);
    }
    *ret_number = value->raw;
    return 0;
}

static int write_float(const struct json_value *value, bool takes_strings, struct mr_buf *out,
                       struct mr_error *err)
{
    struct mr_slice number;
    int rc = number_of(value, takes_strings, "a number", &number, err);
    rc = rc != 0 ? rc : line_check_number(number, err);
    if (rc == 0) {
        (void)buf_add_slice(out, number);
    }
    return rc;
}

static int write_whole(const struct json_value *value, bool is_signed, bool takes_strings,
                       struct mr_buf *out, struct mr_error *err)
{
    const char *expected = is_signed ? "a whole number" : "a whole number from 0";
    struct mr_slice number;
    bool is_negative;
    uint64_t whole;
    enum decimal_result result;
    int rc = number_of(value, takes_strings, expected, &number, err);
    if (rc != 0) {
        return rc;
    }
    result = decimal_scale(number, 0, &is_negative, &whole);
    if (result == DECIMAL_FRACTION) {
        return mr_error_set(err, MR_EFORMAT, "a number with a fraction, expected %s", expected);
    }
    if (result == DECIMAL_RANGE ||
        (is_signed ? whole > (uint64_t)INT64_MAX + is_negative : is_negative)) {
        return mr_error_set(err, MR_ELIMIT, "a number beyond %s",
                            is_signed ? "a signed 64-bit integer" : "an unsigned 64-bit integer");
    }
    (void)buf_addf(out, "%s%" PRIu64 "%c", is_negative ? "-" : "", whole, is_signed ? 'i' : 'u');
    return 0;
}

static int write_boolean(const struct json_value *value, bool takes_strings, struct mr_buf *out,
                         struct mr_error *err)
{
    bool is_string = value->token == JSON_SCAN_STRING && takes_strings;
    bool is_true = value->token == JSON_SCAN_TRUE || (is_string && is_word(value, "true"));
    if (!is_true && value->token != JSON_SCAN_FALSE && !(is_string && is_word(value, "false"))) {
        return refuse(value, "true or false", err);
    }
    (void)buf_add_str(out, is_true ? "true" : "false");
    return 0;
}

static int write_any(const struct json_value *value, struct mr_buf *scratch, struct mr_buf *out,
                     struct mr_error *err)
{
    switch (value->token) {
        case JSON_SCAN_STRING:
            return write_string(value, scratch, out, err);
        case JSON_SCAN_NUMBER:
            return write_float(value, false, out, err);
        case JSON_SCAN_TRUE:
        case JSON_SCAN_FALSE:
            return write_boolean(value, false, out, err);
        default:
            return refuse(value, "a string, a number or a boolean", err);
    }
}

int mapping_write_field_value(const struct json_value *value, enum rule_type type,
                              bool takes_strings, struct mr_buf *scratch, struct mr_buf *out,
                              struct mr_error *err)
{
    switch (type) {
        case RULE_FLOAT:
            return write_float(value, takes_strings, out, err);
        case RULE_INTEGER:
        case RULE_UNSIGNED:
            return write_whole(value, type == RULE_INTEGER, takes_strings, out, err);
        case RULE_BOOLEAN:
            return write_boolean(value, takes_strings, out, err);
        case RULE_STRING:
            return write_string(value, scratch, out, err);
        case RULE_ANY:
            break;
    }
    return write_any(value, scratch, out, err);
}

int mapping_check_time(int64_t ns, int64_t *ret_ns, struct mr_error *err)
{
    if (ns < LINE_TIME_MIN || ns > LINE_TIME_MAX) {
        return mr_error_set(err, MR_ELIMIT, "the time %" PRId64 " ns is outside InfluxDB's range",
                            ns);
    }
    *ret_ns = ns;
    return 0;
}

static int time_of_text(const struct json_value *value, struct mr_buf *scratch, int64_t *ret_ns,
                        struct mr_error *err)
{
    struct mr_slice text;
    int64_t ns;
    int rc;
    if (value->token != JSON_SCAN_STRING) {
        return refuse(value, "a time such as 2016-06-13T17:43:50Z", err);
    }
    rc = mapping_value_text(value, scratch, &text, err);
    rc = rc != 0 ? rc : timestamp_parse(text, &ns, err);
    return rc != 0 ? rc : mapping_check_time(ns, ret_ns, err);
}

int mapping_value_time(const struct json_value *value, enum rule_unit unit, struct mr_buf *scratch,
                       int64_t *ret_ns, struct mr_error *err)
{
    static const int powers[] = {[RULE_SECONDS] = 9,
                                 [RULE_MILLISECONDS] = 6,
                                 [RULE_MICROSECONDS] = 3,
                                 [RULE_NANOSECONDS] = 0};
    struct mr_slice number;
    bool is_negative;
    uint64_t ns;
    int rc;
    if (unit == RULE_RFC3339) {
        return time_of_text(value, scratch, ret_ns, err);
    }
    rc = number_of(value, true, "a number", &number, err);
    if (rc != 0) {
        return rc;
    }
    if (decimal_scale(number, powers[unit], &is_negative, &ns) == DECIMAL_RANGE || ns > INT64_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a time outside InfluxDB's range");
    }
    return mapping_check_time(is_negative ? -(int64_t)ns : (int64_t)ns, ret_ns, err);
}

int mapping_write_name(enum line_name kind, struct mr_slice name, const char *what,
                       struct mr_buf *scratch, struct mr_buf *out, struct mr_error *err)
{
    if (name.len > LINE_NAME_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a %s of %zu bytes, over %d", what, name.len,
                            LINE_NAME_BYTES_MAX);
    }
    if (line_is_plain(kind, name)) {
        (void)buf_add_slice(out, name);
        return 0;
    }
    buf_clear(scratch);
    if (line_clean(kind, name, scratch) != 0) {
        return buf_check(scratch, err);
    }
    (void)line_write_name(kind, buf_slice(scratch), out);
    return 0;
}
