// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_HEAP_H
#define TESTS_LIB_HEAP_H

/* A heap whose n-th allocation fails, and that counts what is alive:
 *     for (unsigned n = 1;; n++) {
 *         heap_fail_at(n);
 *         rc = thing_under_test();
 *         if (!heap_failed()) break;          (it got through: every allocation has failed once)
 *         assert_int_equal(rc, MR_ENOMEM);
 *     }
 *     heap_restore(); */

#include <stdbool.h>
#include <stddef.h>

/* From now on count allocations; the n-th (from 1) fails, once. 0: none fails. */
void heap_fail_at(unsigned n);

/* What the calling thread allocates is not counted, and doesn't fail: a server of the test's. */
void heap_leave_out_thread(void);

/* The failure has happened since heap_fail_at. */
bool heap_failed(void);

/* Allocated through kit/mem.h and not freed since the first heap_fail_at. */
long heap_alive(void);

/* Back to the system's heap. */
void heap_restore(void);

#endif
