// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_TEMPORARY_H
#define TESTS_LIB_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>

enum { TEMPORARY_BYTES = 128 };

/* What mkstemp and mkdtemp want, in TMPDIR: ".../millrace-send-XXXXXX" for "send". */
static inline void temporary_name(char ret_path[static TEMPORARY_BYTES], const char *name)
{
    const char *folder = getenv("TMPDIR");
    (void)snprintf(ret_path, TEMPORARY_BYTES, "%.60s/millrace-%.20s-XXXXXX",
                   folder == NULL || folder[0] == '\0' ? "/tmp" : folder, name);
}

#endif
