// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein, without regard to case. Both shorter than OPTIONS_NAME_BYTES. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[OPTIONS_NAME_BYTES];
    size_t b_len = strlen(b);
    for (unsigned j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned above = row[j];
            row[j] = smaller(smaller(above + 1, row[j - 1] + 1), diagonal + (same ? 0 : 1));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *options_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t name_len = strlen(name);
    unsigned best = (unsigned)(name_len / 3) + 1;
    if (name_len >= OPTIONS_NAME_BYTES) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned d;
        if (strlen(names[i]) >= OPTIONS_NAME_BYTES) {
            continue;
        }
        d = distance(name, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

void options_nearer(const char *name, const char *candidate, char *best)
{
    const char *const both[] = {best, candidate};
    const char *nearest =
        best[0] == '\0' ? options_nearest(name, both + 1, 1) : options_nearest(name, both, 2);
    if (nearest == candidate) {
        (void)snprintf(best, OPTIONS_NAME_BYTES * 2, "%s", candidate);
    }
}

const char *options_hint(const char *before, const char *nearest, const char *after,
                         char ret_hint[OPTIONS_HINT_BYTES])
{
    if (nearest == NULL || *nearest == '\0') {
        return "";
    }
    (void)snprintf(ret_hint, OPTIONS_HINT_BYTES, "; did you mean %s%s%s?", before, nearest, after);
    return ret_hint;
}
