// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_TSAN_THREADS_H
#define TESTS_LIB_TSAN_THREADS_H

/* Whoever refers to it is linked with tsan_threads.c. */
extern const int tsan_threads_are_posix;

#endif
