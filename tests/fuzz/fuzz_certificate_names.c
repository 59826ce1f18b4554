// SPDX-License-Identifier: Apache-2.0
/* Any subject of a certificate; a name that is found is no longer than it, and a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/http/certificate_names.h"
#include "event/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void look_for(struct mr_slice subject, struct mr_slice type)
{
    struct mr_slice value;
    char *to = malloc(subject.len + 1); /* by itself, so that an overrun is seen */
    if (to == NULL) {
        return;
    }
    if (certificate_name(subject, type, to, &value, NULL) == 0 && value.ptr != NULL &&
        (value.len == 0 || value.len > subject.len || !check_string(value))) {
        abort();
    }
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_slice subject = mr_slice(bytes, size);
    look_for(subject, MR_SLICE("CN"));
    look_for(subject, MR_SLICE("2.5.4.10"));
    return 0;
}
