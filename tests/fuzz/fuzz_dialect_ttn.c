// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return fuzz_dialect(&dialect_ttn, false, bytes, size);
}
