// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

/* What comes from elsewhere, on a terminal: nothing of it may command the terminal. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

/* A line of JSON to standard output. Some terminals obey U+0080 to U+009F, as they do the controls
 * of ASCII. In JSON these and U+007F can stand in strings only, where an escape means the same.
 * false: errno has the reason. */
bool print_json_line(struct mr_slice line);

/* Any bytes as text of at most `size` - 1 bytes, terminated: UTF-8 as it is, but for control
 * characters, which become "\xNN" as do bytes that are no UTF-8; "\" is doubled. Returns how many
 * of `bytes` there was room for. `size` is at least 1. */
size_t print_harmless(struct mr_slice bytes, char *to, size_t size);

#endif
