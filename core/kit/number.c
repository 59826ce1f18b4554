// SPDX-License-Identifier: Apache-2.0
#include "kit/number.h"

#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MIN = 15, DIGITS_MAX = 17, ROOM_BYTES = 64 };

/* The locale's decimal point, of one or more bytes, becomes ".". */
static void unlocalise(char *text)
{
    const char *point = localeconv()->decimal_point;
    size_t len = strlen(point);
    char *at = strcmp(point, ".") == 0 ? NULL : strstr(text, point);
    if (at != NULL) {
        *at = '.';
        memmove(at + 1, at + len, strlen(at + len) + 1);
    }
}

bool number_format(double value, char ret_text[NUMBER_BYTES])
{
    char text[ROOM_BYTES];
    if (!isfinite(value)) {
        return false;
    }
    for (int digits = DIGITS_MIN; digits <= DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    unlocalise(text);
    assert(strlen(text) < NUMBER_BYTES);
    memcpy(ret_text, text, strlen(text) + 1);
    return true;
}
