// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_NUMBER_H
#define KIT_NUMBER_H

/* Doubles as text: as JSON numbers (RFC 8259 6), which Prometheus reads too. Pure; the process's
 * locale doesn't matter. */

#include <stdbool.h>

enum { NUMBER_BYTES = 32 }; /* "-2.2250738585072014e-308" and its terminator */

/* The shortest of 15 to 17 significant digits that reads back as `value`. Errors: false if it is
 * not finite; `ret_text` is untouched then. */
bool number_format(double value, char ret_text[NUMBER_BYTES]);

#endif
