// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/identity.h"

#include <stdint.h>
#include <string.h>

bool identity_is_known(const struct identity *identity)
{
    return identity->device.ptr != NULL;
}

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

bool identity_may_speak_for(const struct identity *identity, struct mr_slice device)
{
    struct mr_slice left = identity->speaks_for;
    if (mr_slice_is(device, identity->device)) {
        return true;
    }
    while (left.len > 0) {
        const char *end = memchr(left.ptr, ' ', left.len);
        size_t len = end == NULL ? left.len : (size_t)(end - left.ptr);
        if (len > 0 && matches(mr_slice(left.ptr, len), device)) {
            return true;
        }
        len += end != NULL;
        left = mr_slice(left.ptr + len, left.len - len);
    }
    return false;
}

bool identity_sender_of(const struct identity *identity, struct mr_slice device, bool is_asked,
                        struct identity_sender *ret_sender)
{
    *ret_sender =
        (struct identity_sender){.application = identity->application, .device = identity->device};
    if (device.ptr == NULL || mr_slice_is(device, identity->device)) {
        return true;
    }
    if (!identity_may_speak_for(identity, device)) {
        return !is_asked && identity->speaks_for.len == 0;
    }
    ret_sender->device = device;
    ret_sender->gateway = identity->device;
    return true;
}
