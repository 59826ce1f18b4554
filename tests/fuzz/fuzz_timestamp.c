// SPDX-License-Identifier: Apache-2.0
/* The first 8 bytes are a moment that is written and read back; the rest is a text that is read,
 * written and read back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void there_and_back(int64_t ns)
{
    char text[TIMESTAMP_BYTES];
    int64_t back = 0;
    int len = timestamp_format(ns, text);
    expect(len > 0 && (size_t)len == strlen(text) && len < TIMESTAMP_BYTES);
    expect(timestamp_parse(mr_slice(text, (size_t)len), &back, NULL) == 0 && back == ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_slice text;
    int64_t ns = 0;
    int rc;
    if (size < sizeof ns) {
        return 0;
    }
    memcpy(&ns, bytes, sizeof ns);
    there_and_back(ns);
    text = mr_slice(bytes + sizeof ns, size - sizeof ns);
    rc = timestamp_parse(text, &ns, NULL);
    expect(timestamp_is_valid(text) == (rc == 0 || rc == MR_ELIMIT));
    if (rc == 0) {
        there_and_back(ns);
    }
    return 0;
}
