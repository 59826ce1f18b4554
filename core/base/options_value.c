// SPDX-License-Identifier: Apache-2.0
/* The types of options: from a text to a value, with a message that says what was expected. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/options_internal.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum { SHOWN_BYTES_MAX = 60, EXPECTED_BYTES_MAX = 1024, PORT_MAX = 65535 };

struct unit {
    const char *name;
    int64_t factor;
};

/* The largest last. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", INT64_C(60) * 1000}, {"h", INT64_C(3600) * 1000}};
static const struct unit size_units[] = {
    {"", 1}, {"KiB", INT64_C(1) << 10}, {"MiB", INT64_C(1) << 20}, {"GiB", INT64_C(1) << 30}};

/* Decimal digits from `text` on. Returns where they end; NULL if there are none or too many. */
static const char *read_digits(const char *text, int64_t *ret_value)
{
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value)) {
            return NULL;
        }
    }
    if (p == text) {
        return NULL;
    }
    *ret_value = value;
    return p;
}

static bool read_integer(const char *text, int64_t *ret_value)
{
    bool negative = *text == '-';
    int64_t value;
    const char *end = read_digits(text + (negative ? 1 : 0), &value);
    if (end == NULL || *end != '\0') {
        return false;
    }
    *ret_value = negative ? -value : value;
    return true;
}

static bool read_with_unit(const char *text, const struct unit *units, size_t count,
                           int64_t *ret_value)
{
    int64_t value;
    const char *end = read_digits(text, &value);
    if (end == NULL) {
        return false;
    }
    if (value == 0 && *end == '\0') {
        *ret_value = 0;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(end, units[i].name) == 0) {
            return !__builtin_mul_overflow(value, units[i].factor, ret_value);
        }
    }
    return false;
}

static bool read_boolean(const char *text, int64_t *ret_value)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < MR_COUNT_OF(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (strcmp(text, words[i][value]) == 0) {
                *ret_value = value;
                return true;
            }
        }
    }
    return false;
}

static bool read_choice(const char *choices, const char *text, int64_t *ret_value)
{
    size_t len = strlen(text);
    int64_t index = 0;
    while (len > 0 && choices != NULL) {
        const char *end = strchrnul(choices, '|');
        if ((size_t)(end - choices) == len && memcmp(choices, text, len) == 0) {
            *ret_value = index;
            return true;
        }
        choices = *end == '|' ? end + 1 : NULL;
        index++;
    }
    return false;
}

static bool is_host_name(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)host[i]) && strchr(".-_", host[i]) == NULL) {
            return false;
        }
    }
    return len > 0;
}

static bool is_ip6(const char *host, size_t len)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    if (len >= sizeof text) {
        return false;
    }
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool read_address(const char *text, struct mr_address *ret_address)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    const char *end;
    int64_t port;
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    const char *host = bracketed ? text + 1 : text;
    size_t host_len = bracketed ? len - 2 : len;
    if (colon == NULL || host_len >= MR_HOST_BYTES) {
        return false;
    }
    if (bracketed ? !is_ip6(host, host_len) : !is_host_name(host, host_len)) {
        return false;
    }
    end = read_digits(colon + 1, &port);
    if (end == NULL || *end != '\0' || port > PORT_MAX) {
        return false;
    }
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address->host, host, host_len);
    ret_address->port = (uint16_t)port;
    return true;
}

/* Both bounds 0: none beyond >= 0. A lower bound alone: no upper one. */
static bool has_upper_bound(const struct mr_option *option)
{
    return option->max > option->min || (option->max == option->min && option->max != 0);
}

static bool within_bounds(const struct mr_option *option, int64_t value)
{
    return value >= option->min && (!has_upper_bound(option) || value <= option->max);
}

static bool read_value(const struct mr_option *option, const char *text, struct option_value *value)
{
    switch (option->type) {
        case MR_OPTION_STRING:
            return true;
        case MR_OPTION_BOOLEAN:
            return read_boolean(text, &value->integer);
        case MR_OPTION_INTEGER:
            return read_integer(text, &value->integer) && within_bounds(option, value->integer);
        case MR_OPTION_DURATION:
            return read_with_unit(text, duration_units, MR_COUNT_OF(duration_units),
                                  &value->integer) &&
                   within_bounds(option, value->integer);
        case MR_OPTION_SIZE:
            return read_with_unit(text, size_units, MR_COUNT_OF(size_units), &value->integer) &&
                   within_bounds(option, value->integer);
        case MR_OPTION_ENUM:
            return read_choice(option->choices, text, &value->integer);
        case MR_OPTION_ADDRESS:
            return read_address(text, &value->address);
        case MR_OPTION_SECTIONS:
            break;
    }
    return false;
}

/* A bound in the largest unit that says it exactly. */
static void write_number(const struct mr_option *option, int64_t value, struct mr_buf *out)
{
    const struct unit *units = option->type == MR_OPTION_DURATION ? duration_units : size_units;
    size_t i = MR_COUNT_OF(duration_units) - 1;
    if (option->type == MR_OPTION_INTEGER || value == 0) {
        (void)buf_addf(out, "%lld", (long long)value);
        return;
    }
    while (i > 0 && value % units[i].factor != 0) {
        i--;
    }
    (void)buf_addf(out, "%lld%s", (long long)(value / units[i].factor), units[i].name);
}

static void write_bounds(const struct mr_option *option, struct mr_buf *out)
{
    if (has_upper_bound(option)) {
        (void)buf_add_str(out, ", between ");
        write_number(option, option->min, out);
        (void)buf_add_str(out, " and ");
        write_number(option, option->max, out);
    } else if (option->min != 0 || option->type == MR_OPTION_INTEGER) {
        (void)buf_add_str(out, ", at least ");
        write_number(option, option->min, out);
    }
}

static void write_choices(const char *choices, struct mr_buf *out)
{
    for (const char *p = choices; *p != '\0'; p++) {
        if (*p != '|') {
            (void)buf_add_char(out, *p);
        } else {
            (void)buf_add_str(out, strchr(p + 1, '|') == NULL ? " or " : ", ");
        }
    }
}

/* "a duration such as 250ms, 3s or 5m, between 100ms and 1h" */
static void write_expected(const struct mr_option *option, struct mr_buf *out)
{
    switch (option->type) {
        case MR_OPTION_STRING:
            (void)buf_add_str(out, "a text");
            break;
        case MR_OPTION_BOOLEAN:
            (void)buf_add_str(out, "true or false");
            break;
        case MR_OPTION_INTEGER:
            (void)buf_add_str(out, "a whole number");
            write_bounds(option, out);
            break;
        case MR_OPTION_DURATION:
            (void)buf_add_str(out, "a duration such as 250ms, 3s or 5m");
            write_bounds(option, out);
            break;
        case MR_OPTION_SIZE:
            (void)buf_add_str(out, "a size such as 900KiB, 4MiB or 1GiB");
            write_bounds(option, out);
            break;
        case MR_OPTION_ENUM:
            write_choices(option->choices, out);
            break;
        case MR_OPTION_ADDRESS:
            (void)buf_add_str(out, "an address such as 127.0.0.1:8080 or [::1]:8080");
            break;
        case MR_OPTION_SECTIONS: /* has no value of its own */
            break;
    }
}

void option_write_kind(const struct mr_option *option, struct mr_buf *out)
{
    static const char *const kinds[] = {"text", "true or false", "number", "duration", "size",
                                        NULL,   "address"};
    if (option->type == MR_OPTION_ENUM) {
        write_choices(option->choices, out);
        return;
    }
    (void)buf_add_str(out, kinds[option->type]);
    if (has_upper_bound(option)) {
        (void)buf_add_str(out, ", ");
        write_number(option, option->min, out);
        (void)buf_add_str(out, " to ");
        write_number(option, option->max, out);
    } else if (option->min != 0) {
        (void)buf_add_str(out, ", at least ");
        write_number(option, option->min, out);
    }
}

/* The value as it may be shown in a message: short, one line. */
static void shown(const char *text, char out[static SHOWN_BYTES_MAX + 4])
{
    struct mr_slice kept = utf8_cut(mr_slice_of(text), SHOWN_BYTES_MAX);
    (void)snprintf(out, SHOWN_BYTES_MAX + 4, "%.*s%s", MR_SLICE_ARG(kept),
                   text[kept.len] == '\0' ? "" : "...");
    options_make_harmless(out);
}

/* What is written before an '@' (mqtt://user:password@host) is no address, and nobody's to see. */
static bool may_be_shown(const struct mr_option *option, const char *text)
{
    return (option->flags & MR_OPTION_SECRET) == 0 &&
           (option->type != MR_OPTION_ADDRESS || strchr(text, '@') == NULL);
}

static int refuse(const struct mr_option *option, const char *text, struct mr_error *err)
{
    struct mr_buf expected;
    char given[SHOWN_BYTES_MAX + 4];
    int rc;
    buf_init(&expected, EXPECTED_BYTES_MAX);
    write_expected(option, &expected);
    if (buf_add_char(&expected, '\0') != 0) {
        rc = buf_check(&expected, err);
    } else if (!may_be_shown(option, text)) {
        rc = mr_error_set(err, MR_ECONFIG, "expected %s", expected.ptr);
    } else {
        shown(text, given);
        rc = mr_error_set(err, MR_ECONFIG, "expected %s; got '%s'", expected.ptr, given);
    }
    buf_done(&expected);
    return rc;
}

int option_value_parse(const struct mr_option *option, const char *text,
                       struct option_value *ret_value, struct mr_error *err)
{
    struct option_value value = {0};
    if (!read_value(option, text, &value)) {
        return refuse(option, text, err);
    }
    if (option->type == MR_OPTION_STRING) {
        value.string = mem_strdup(text);
        if (value.string == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
    }
    *ret_value = value;
    return 0;
}

void option_value_store(const struct mr_option *option, const struct option_value *value,
                        void *field)
{
    switch (option->type) {
        case MR_OPTION_STRING:
            mr_option_forget(*(char **)field);
            *(char **)field = value->string;
            break;
        case MR_OPTION_BOOLEAN:
            *(bool *)field = value->integer != 0;
            break;
        case MR_OPTION_INTEGER:
        case MR_OPTION_DURATION:
        case MR_OPTION_SIZE:
            *(int64_t *)field = value->integer;
            break;
        case MR_OPTION_ENUM:
            *(int *)field = (int)value->integer;
            break;
        case MR_OPTION_ADDRESS:
            *(struct mr_address *)field = value->address;
            break;
        case MR_OPTION_SECTIONS:
            break;
    }
}
