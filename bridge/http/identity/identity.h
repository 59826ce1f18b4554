// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

/* Who a request comes from, as proven by a password or a certificate. Pure. */

#include <stdbool.h>

#include <millrace/slice.h>

enum { IDENTITY_NAME_BYTES_MAX = 1024 /* of an application and a device, each */ };

struct identity {
    struct mr_slice application;
    struct mr_slice device; /* absent (ptr NULL): nobody was asked (auth = none) */
    /* The devices of the same application that it may speak for: names separated by spaces, where
     * an asterisk stands for any characters. Empty: itself only. */
    struct mr_slice speaks_for;
};

bool identity_is_known(const struct identity *identity);

/* device@application, at its last @; without one the application is absent. */
void identity_split(struct mr_slice name, struct mr_slice *ret_device,
                    struct mr_slice *ret_application);

/* Who an event comes from. */
struct identity_sender {
    struct mr_slice application;
    struct mr_slice device;
    struct mr_slice gateway; /* who spoke for the device; absent: the device itself */
};

#endif
