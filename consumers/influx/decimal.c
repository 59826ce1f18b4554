// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/decimal.h"

#include <stddef.h>

#include "event/json_scan.h"

enum { DIGITS_MAX = 20, EXPONENT_MAX = 100 * 1000 * 1000 };

/* The exponent's value, kept within +-EXPONENT_MAX: far beyond what any payload's digits undo. */
static int64_t read_exponent(const char *at, const char *end)
{
    bool is_negative = at < end && *at == '-';
    int64_t value = 0;
    at += at < end && (*at == '-' || *at == '+');
    for (; at < end; at++) {
        value = value * 10 + (*at - '0');
        value = value > EXPONENT_MAX ? EXPONENT_MAX : value;
    }
    return is_negative ? -value : value;
}

/* A number taken apart: its digits are those of [begin, end) without the point. */
struct parts {
    const char *begin, *end;
    int64_t point; /* how many digits are before the point, perhaps negative */
};

static struct parts take_apart(struct mr_slice number)
{
    const char *end = number.ptr + number.len;
    struct parts parts = {number.ptr + (*number.ptr == '-'), end, 0};
    const char *at = parts.begin;
    bool is_behind = false;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        is_behind |= *at == '.';
        parts.point += !is_behind;
    }
    parts.end = at;
    if (at < end) {
        parts.point += read_exponent(at + 1, end);
    }
    return parts;
}

/* Zeros in front say nothing; without them the length of the whole part tells its size. */
static void strip_zeros(struct parts *parts)
{
    while (parts->begin < parts->end && (*parts->begin == '0' || *parts->begin == '.')) {
        parts->point -= *parts->begin == '0';
        parts->begin++;
    }
}

enum decimal_result decimal_scale(struct mr_slice number, int power, bool *ret_is_negative,
                                  uint64_t *ret_value)
{
    struct parts parts = take_apart(number);
    uint64_t value = 0;
    int64_t taken = 0;
    bool has_fraction = false;
    parts.point += power;
    strip_zeros(&parts);
    if (parts.begin == parts.end) {
        parts.point = 0;
    } else if (parts.point > DIGITS_MAX) {
        return DECIMAL_RANGE;
    }
    for (const char *at = parts.begin; at < parts.end || taken < parts.point;
         at += at < parts.end) {
        unsigned digit = at < parts.end ? (unsigned)(*at - '0') : 0;
        if (at < parts.end && *at == '.') {
            continue;
        }
        if (taken >= parts.point) {
            has_fraction |= digit != 0;
            continue;
        }
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return DECIMAL_RANGE;
        }
        taken++;
    }
    *ret_is_negative = *number.ptr == '-' && value > 0;
    *ret_value = value;
    return has_fraction ? DECIMAL_FRACTION : DECIMAL_EXACT;
}

bool decimal_is_number(struct mr_slice text)
{
    struct json_scan scan;
    json_scan_init(&scan, text);
    /* White space around it is fine for JSON, not for us. */
    return json_scan_next(&scan) == JSON_SCAN_NUMBER && scan.raw.len == text.len;
}
