// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/identity.h"

#include <string.h>

bool identity_is_known(const struct identity *identity)
{
    return identity->device.ptr != NULL;
}

void identity_split(struct mr_slice name, struct mr_slice *ret_device,
                    struct mr_slice *ret_application)
{
    const char *at = name.len > 0 ? memrchr(name.ptr, '@', name.len) : NULL;
    *ret_device = name;
    *ret_application = mr_slice(NULL, 0);
    if (at != NULL) {
        ret_device->len = (size_t)(at - name.ptr);
        *ret_application = mr_slice(at + 1, name.len - ret_device->len - 1);
    }
}
