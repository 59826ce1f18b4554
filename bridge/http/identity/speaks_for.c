// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/speaks_for.h"

#include <stdint.h>

#include "kit/slice.h"

/* Each asterisk takes as little as it can; only the last one ever has to take more. */
static bool matches(struct mr_slice pattern, struct mr_slice text)
{
    size_t at = 0, i = 0, star = SIZE_MAX, star_took = 0;
    while (i < text.len) {
        if (at < pattern.len && pattern.ptr[at] == '*') {
            star = at++;
            star_took = i;
        } else if (at < pattern.len && pattern.ptr[at] == text.ptr[i]) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++star_took;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.ptr[at] == '*') {
        at++;
    }
    return at == pattern.len;
}

bool speaks_for_allows(const struct identity *identity, struct mr_slice device)
{
    struct mr_slice left = identity->speaks_for;
    if (mr_slice_is(device, identity->device)) {
        return true;
    }
    while (left.len > 0) {
        struct mr_slice pattern = slice_cut(&left, ' ');
        if (pattern.len > 0 && matches(pattern, device)) {
            return true;
        }
    }
    return false;
}

bool speaks_for_sender(const struct identity *identity, struct mr_slice device, bool is_asked,
                       struct identity_sender *ret_sender)
{
    *ret_sender =
        (struct identity_sender){.application = identity->application, .device = identity->device};
    if (device.ptr == NULL || mr_slice_is(device, identity->device)) {
        return true;
    }
    if (!speaks_for_allows(identity, device)) {
        return !is_asked && identity->speaks_for.len == 0;
    }
    ret_sender->device = device;
    ret_sender->gateway = identity->device;
    return true;
}
