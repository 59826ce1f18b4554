// SPDX-License-Identifier: Apache-2.0
/* Any value of the header Authorization; what is taken has its parts within their bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/http/identity/basic_credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct basic_credentials credentials;
    struct mr_slice header = mr_slice(bytes, size);
    if (basic_parse(header, &credentials, NULL) != 0) {
        return 0;
    }
    expect(basic_is_mine(header));
    expect(credentials.device.len > 0 && credentials.device.len <= IDENTITY_NAME_BYTES_MAX);
    expect(credentials.application.len > 0 &&
           credentials.application.len <= IDENTITY_NAME_BYTES_MAX);
    expect(credentials.password.len <= BASIC_PASSWORD_BYTES_MAX);
    expect(memchr(credentials.application.ptr, '@', credentials.application.len) == NULL);
    expect(memchr(credentials.device.ptr, ':', credentials.device.len) == NULL);
    expect(credentials.password.len == 0 ||
           memchr(credentials.password.ptr, '\0', credentials.password.len) == NULL);
    basic_forget(&credentials);
    return 0;
}
