// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_SPEAKS_FOR_H
#define IDENTITY_SPEAKS_FOR_H

/* Devices that others speak for, as a gateway does. Pure. */

#include "bridge/http/identity/identity.h"

/* Whether the identity is this device, or may speak for it. */
bool speaks_for_allows(const struct identity *identity, struct mr_slice device);

/* The sender of an event that a known identity hands over, saying that it is from `device` (absent:
 * not said). One that speaks for nobody is the sender, whatever is said, unless `is_asked`: it asks
 * for `device` in words. False: it may not speak for that one. */
bool speaks_for_sender(const struct identity *identity, struct mr_slice device, bool is_asked,
                       struct identity_sender *ret_sender);

#endif
