// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/identity.h"

#include <stddef.h>

bool identity_is_known(const struct identity *identity)
{
    return identity->device.ptr != NULL;
}
