// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_DECIMAL_H
#define INFLUX_DECIMAL_H

/* JSON numbers as whole numbers, digit by digit: no double comes between, so that nothing is
 * rounded. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/slice.h>

enum decimal_result {
    DECIMAL_EXACT,
    DECIMAL_FRACTION, /* `ret_value` is what is before the point: cut towards zero */
    DECIMAL_RANGE,    /* beyond 64 bits without sign; `ret_value` is untouched */
};

/* number * 10^power; `number` is a JSON number (RFC 8259 6) of any length. */
enum decimal_result decimal_scale(struct mr_slice number, int power, bool *ret_is_negative,
                                  uint64_t *ret_value);

/* Whether the whole text is a JSON number. */
bool decimal_is_number(struct mr_slice text);

#endif
