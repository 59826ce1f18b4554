// SPDX-License-Identifier: Apache-2.0
#include "event/timestamp.h"

#include <stddef.h>

#define NS_PER_S INT64_C(1000000000)

enum { S_PER_DAY = 86400, DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400 };

struct parts {
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int32_t ns;
    int offset_minutes; /* local time minus UTC */
};

/* ---- the calendar: proleptic Gregorian, in eras of 400 years that begin on 1 March ---- */

/* Days from 1970-01-01. In a year that begins in March the leap day comes last, so that the day of
 * the year needs no table. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - (YEARS_PER_ERA - 1)) / YEARS_PER_ERA;
    int64_t year_of_era = y - era * YEARS_PER_ERA;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - 719468; /* 0000-03-01 to 1970-01-01 */
}

static void civil_from_days(int64_t days, struct parts *ret_parts)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = z - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    ret_parts->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    ret_parts->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    ret_parts->year = (int)(era * YEARS_PER_ERA + year_of_era + (ret_parts->month <= 2));
}

static int days_of_month(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* ---- reading ---- */

struct cursor {
    const char *at;
    const char *end;
};

static int bad(struct mr_error *err, const char *what)
{
    return mr_error_set(err, MR_EFORMAT, "timestamp: %s", what);
}

/* Exactly `count` digits, or -1. */
static int take_number(struct cursor *cursor, int count)
{
    int number = 0;
    if (cursor->end - cursor->at < count) {
        return -1;
    }
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned char)cursor->at[i] - (unsigned)'0';
        if (digit > 9) {
            return -1;
        }
        number = number * 10 + (int)digit;
    }
    cursor->at += count;
    return number;
}

static bool take_char(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c) {
        return false;
    }
    cursor->at++;
    return true;
}

/* full-date */
static int take_date(struct cursor *cursor, struct parts *parts, struct mr_error *err)
{
    parts->year = take_number(cursor, 4);
    if (parts->year < 0 || !take_char(cursor, '-')) {
        return bad(err, "expected a year of 4 digits and '-'");
    }
    parts->month = take_number(cursor, 2);
    if (parts->month < 1 || parts->month > 12 || !take_char(cursor, '-')) {
        return bad(err, "expected a month, 01 to 12, and '-'");
    }
    parts->day = take_number(cursor, 2);
    if (parts->day < 1 || parts->day > days_of_month(parts->year, parts->month)) {
        return bad(err, "expected a day that the month has");
    }
    return 0;
}

/* time-secfrac without its ".": the first 9 digits count. */
static int take_fraction(struct cursor *cursor, struct parts *parts, struct mr_error *err)
{
    int32_t scale = (int32_t)NS_PER_S / 10;
    const char *begin = cursor->at;
    for (; cursor->at != cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        parts->ns += (*cursor->at - '0') * scale;
        scale /= 10;
    }
    return cursor->at == begin ? bad(err, "expected digits after '.'") : 0;
}

/* partial-time */
static int take_time(struct cursor *cursor, struct parts *parts, struct mr_error *err)
{
    parts->hour = take_number(cursor, 2);
    if (parts->hour < 0 || parts->hour > 23 || !take_char(cursor, ':')) {
        return bad(err, "expected an hour, 00 to 23, and ':'");
    }
    parts->minute = take_number(cursor, 2);
    if (parts->minute < 0 || parts->minute > 59 || !take_char(cursor, ':')) {
        return bad(err, "expected a minute, 00 to 59, and ':'");
    }
    parts->second = take_number(cursor, 2);
    if (parts->second < 0 || parts->second > 60) {
        return bad(err, "expected a second, 00 to 60");
    }
    return take_char(cursor, '.') ? take_fraction(cursor, parts, err) : 0;
}

/* time-offset, which ends the text. */
static int take_offset(struct cursor *cursor, struct parts *parts, struct mr_error *err)
{
    int sign;
    int hour;
    int minute;
    if (take_char(cursor, 'Z') || take_char(cursor, 'z')) {
        return cursor->at == cursor->end ? 0 : bad(err, "text after 'Z'");
    }
    sign = take_char(cursor, '+') ? 1 : take_char(cursor, '-') ? -1 : 0;
    if (sign == 0) {
        return bad(err, "expected 'Z' or an offset such as +01:00");
    }
    hour = take_number(cursor, 2);
    if (hour < 0 || hour > 23 || !take_char(cursor, ':')) {
        return bad(err, "expected an offset's hour, 00 to 23, and ':'");
    }
    minute = take_number(cursor, 2);
    if (minute < 0 || minute > 59 || cursor->at != cursor->end) {
        return bad(err, "expected an offset's minute, 00 to 59, and no more");
    }
    parts->offset_minutes = sign * (hour * 60 + minute);
    return 0;
}

/* A leap second stands at 23:59:60 UTC, whatever the offset makes of it locally. */
static int check_leap_second(const struct parts *parts, struct mr_error *err)
{
    int minute_of_day = parts->hour * 60 + parts->minute - parts->offset_minutes;
    if (parts->second == 60 && (minute_of_day + 2 * 1440) % 1440 != 1439) {
        return bad(err, "a leap second that is not 23:59:60 UTC");
    }
    return 0;
}

static int parse(struct mr_slice text, struct parts *ret_parts, struct mr_error *err)
{
    struct cursor cursor = {text.ptr, text.len == 0 ? text.ptr : text.ptr + text.len};
    struct parts parts = {0};
    int rc = take_date(&cursor, &parts, err);
    if (rc != 0) {
        return rc;
    }
    if (!take_char(&cursor, 'T') && !take_char(&cursor, 't')) {
        return bad(err, "expected 'T' after the date");
    }
    rc = take_time(&cursor, &parts, err);
    if (rc == 0) {
        rc = take_offset(&cursor, &parts, err);
    }
    if (rc == 0) {
        rc = check_leap_second(&parts, err);
    }
    if (rc == 0) {
        *ret_parts = parts;
    }
    return rc;
}

bool timestamp_is_valid(struct mr_slice text)
{
    struct parts parts;
    return parse(text, &parts, NULL) == 0;
}

/* The sum can be in range where the product isn't: near the lower end the fraction brings it
 * back. So it is brought to the same sign first. */
static bool join(int64_t seconds, int64_t ns, int64_t *ret_ns)
{
    int64_t product;
    if (seconds < 0 && ns > 0) {
        seconds += 1;
        ns -= NS_PER_S;
    }
    return !__builtin_mul_overflow(seconds, NS_PER_S, &product) &&
           !__builtin_add_overflow(product, ns, ret_ns);
}

int timestamp_parse(struct mr_slice text, int64_t *ret_ns, struct mr_error *err)
{
    struct parts parts;
    int64_t seconds;
    int64_t ns;
    int rc = parse(text, &parts, err);
    if (rc != 0) {
        return rc;
    }
    seconds = days_from_civil(parts.year, parts.month, parts.day) * S_PER_DAY +
              (parts.hour * 60 + parts.minute - parts.offset_minutes) * 60 +
              (parts.second == 60 ? 59 : parts.second);
    if (!join(seconds, parts.ns, &ns)) {
        return mr_error_set(err, MR_ELIMIT, "timestamp: not within 1677-09-21 to 2262-04-11");
    }
    *ret_ns = ns;
    return 0;
}

/* ---- writing ---- */

static char *put_number(char *to, int number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        to[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return to + count;
}

static char *put_fraction(char *to, int ns)
{
    if (ns == 0) {
        return to;
    }
    *to++ = '.';
    if (ns % 1000000 == 0) {
        return put_number(to, ns / 1000000, 3);
    }
    return ns % 1000 == 0 ? put_number(to, ns / 1000, 6) : put_number(to, ns, 9);
}

int timestamp_format(int64_t ns, char ret_text[TIMESTAMP_BYTES])
{
    struct parts parts;
    int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);
    int64_t days = seconds / S_PER_DAY - (seconds % S_PER_DAY < 0);
    int second_of_day = (int)(seconds - days * S_PER_DAY);
    int rest = (int)(ns % NS_PER_S < 0 ? ns % NS_PER_S + NS_PER_S : ns % NS_PER_S);
    char *to = ret_text;

    civil_from_days(days, &parts);
    to = put_number(to, parts.year, 4);
    *to++ = '-';
    to = put_number(to, parts.month, 2);
    *to++ = '-';
    to = put_number(to, parts.day, 2);
    *to++ = 'T';
    to = put_number(to, second_of_day / 3600, 2);
    *to++ = ':';
    to = put_number(to, second_of_day / 60 % 60, 2);
    *to++ = ':';
    to = put_number(to, second_of_day % 60, 2);
    to = put_fraction(to, rest);
    *to++ = 'Z';
    *to = '\0';
    return (int)(to - ret_text);
}
