// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_BASIC_CREDENTIALS_H
#define IDENTITY_BASIC_CREDENTIALS_H

/* What a device says with `Authorization: Basic ...` (RFC 7617): device@application and a password.
 * The user is split at its last @; without one the application is "default". Names are bytes, as
 * they stand: nothing is percent-decoded or normalised. Pure. */

#include <millrace/error.h>
#include <millrace/slice.h>

#include "bridge/http/identity/identity.h"

enum {
    BASIC_PASSWORD_BYTES_MAX = 511, /* crypt(3)'s limit (CRYPT_MAX_PASSPHRASE_SIZE) */
    BASIC_USER_BYTES_MAX = 2 * IDENTITY_NAME_BYTES_MAX + 1,
    BASIC_BYTES_MAX = BASIC_USER_BYTES_MAX + 1 + BASIC_PASSWORD_BYTES_MAX,
};

struct basic_credentials {
    struct mr_slice device;
    struct mr_slice application;
    struct mr_slice password;
    char bytes[BASIC_BYTES_MAX + 3]; /* what they borrow */
};

/* Whether it is the Basic scheme at all. */
bool basic_is_mine(struct mr_slice header);

/* Errors: MR_EFORMAT (the text says what was expected, and shows nothing); nothing is left in
 * `ret_credentials` then. Otherwise wipe it with basic_forget. */
int basic_parse(struct mr_slice header, struct basic_credentials *ret_credentials,
                struct mr_error *err);
void basic_forget(struct basic_credentials *credentials);

#endif
