// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_MACROS_H
#define MILLRACE_MACROS_H

#define MR_API                      __attribute__((visibility("default")))
#define MR_PRINTF(text_at, args_at) __attribute__((format(printf, text_at, args_at)))
#define MR_COUNT_OF(array)          (sizeof(array) / sizeof((array)[0]))

#endif
