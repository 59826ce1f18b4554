// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_HTTP_ATTACKS_H
#define TESTS_LIB_HTTP_ATTACKS_H

/* Requests that must be refused, byte for byte, each by its own bytes alone: what may follow them
 * is nobody's request. Statuses are those of RFC 9112 and RFC 9110 (sections named at the rows),
 * with limits of HTTP_ATTACK_HEAD_MAX and HTTP_ATTACK_BODY_MAX. */

#include <stddef.h>

#include <millrace/slice.h>

enum { HTTP_ATTACK_HEAD_MAX = 8192, HTTP_ATTACK_BODY_MAX = 1024, HTTP_ATTACK_SETS = 4 };

struct http_attack {
    struct mr_slice text;
    int status;
};

struct http_attack_set {
    const char *name;
    const struct http_attack *attacks;
    size_t count;
};

extern const struct http_attack_set http_attack_sets[HTTP_ATTACK_SETS];

#endif
