// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/basic_credentials.h"

#include <string.h>

#include "event/base64.h"
#include "kit/ascii.h"

static const struct mr_slice scheme = MR_SLICE_INIT("Basic");

bool basic_is_mine(struct mr_slice header)
{
    return ascii_begins_with(header, scheme) &&
           (header.len == scheme.len || header.ptr[scheme.len] == ' ');
}

void basic_forget(struct basic_credentials *credentials)
{
    explicit_bzero(credentials, sizeof *credentials);
}

/* RFC 7617 2: neither part may hold control characters. */
static bool has_controls(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7F) {
            return true;
        }
    }
    return false;
}

static int split_user(struct basic_credentials *credentials, struct mr_slice user,
                      struct mr_error *err)
{
    identity_split(user, &credentials->device, &credentials->application);
    if (credentials->application.ptr == NULL) {
        credentials->application = MR_SLICE("default");
    }
    if (credentials->device.len == 0 || credentials->application.len == 0) {
        return mr_error_set(err, MR_EFORMAT, "expected device@application before the ':'");
    }
    if (credentials->device.len > IDENTITY_NAME_BYTES_MAX ||
        credentials->application.len > IDENTITY_NAME_BYTES_MAX) {
        return mr_error_set(err, MR_EFORMAT, "device and application: at most %d bytes each",
                            IDENTITY_NAME_BYTES_MAX);
    }
    return 0;
}

static int split(struct basic_credentials *credentials, size_t len, struct mr_error *err)
{
    const char *colon = memchr(credentials->bytes, ':', len);
    size_t user_len;
    if (colon == NULL) {
        return mr_error_set(err, MR_EFORMAT, "expected user:password in it");
    }
    if (has_controls(credentials->bytes, len)) {
        return mr_error_set(err, MR_EFORMAT, "control characters are not allowed in it");
    }
    user_len = (size_t)(colon - credentials->bytes);
    credentials->password = mr_slice(colon + 1, len - user_len - 1);
    if (credentials->password.len > BASIC_PASSWORD_BYTES_MAX) {
        return mr_error_set(err, MR_EFORMAT, "the password: at most %d bytes",
                            BASIC_PASSWORD_BYTES_MAX);
    }
    return split_user(credentials, mr_slice(credentials->bytes, user_len), err);
}

int basic_parse(struct mr_slice header, struct basic_credentials *ret_credentials,
                struct mr_error *err)
{
    size_t len = 0;
    int rc;
    if (!basic_is_mine(header)) {
        return mr_error_set(err, MR_EFORMAT, "expected the scheme Basic");
    }
    header = mr_slice(header.ptr + scheme.len, header.len - scheme.len);
    while (header.len > 0 && header.ptr[0] == ' ') {
        header = mr_slice(header.ptr + 1, header.len - 1);
    }
    if (header.len / 4 * 3 > sizeof ret_credentials->bytes) {
        return mr_error_set(err, MR_EFORMAT, "at most %d bytes of user:password", BASIC_BYTES_MAX);
    }
    if (base64_decode_to(header, ret_credentials->bytes, &len, NULL) != 0) {
        rc = mr_error_set(err, MR_EFORMAT, "expected base64 (RFC 4648 4, with padding)");
    } else {
        rc = split(ret_credentials, len, err);
    }
    if (rc != 0) {
        basic_forget(ret_credentials);
    }
    return rc;
}
