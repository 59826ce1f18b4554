// SPDX-License-Identifier: Apache-2.0
/* Linked into each test program: with TEST_CASE=name in the environment only that case runs, so
 * that ctest can run the cases of one program side by side (most of them wait, for a group to form
 * or a deadline to pass). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void filter_cases(void)
{
    const char *name = getenv("TEST_CASE");
    if (name != NULL) {
        cmocka_set_test_filter(name);
    }
}
