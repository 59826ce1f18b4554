// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

/* Who a request comes from, as proven by a password or a certificate. Pure. */

#include <stdbool.h>

#include <millrace/slice.h>

struct identity {
    struct mr_slice application;
    struct mr_slice device; /* absent (ptr NULL): nobody was asked (auth = none) */
    /* The devices of the same application that it may speak for: names separated by spaces, where
     * an asterisk stands for any characters. Empty: itself only. */
    struct mr_slice speaks_for;
};

bool identity_is_known(const struct identity *identity);
bool identity_may_speak_for(const struct identity *identity, struct mr_slice device);

/* Who an event comes from. */
struct identity_sender {
    struct mr_slice application;
    struct mr_slice device;
    struct mr_slice gateway; /* who spoke for the device; absent: the device itself */
};

/* The sender of an event that a known identity hands over, saying that it is from `device` (absent:
 * not said). One that speaks for nobody is the sender, whatever is said, unless `is_asked`: it asks
 * for `device` in words. False: it may not speak for that one. */
bool identity_sender_of(const struct identity *identity, struct mr_slice device, bool is_asked,
                        struct identity_sender *ret_sender);

#endif
