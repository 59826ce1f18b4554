// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_RANDOM_H
#define KIT_RANDOM_H

/* A number that outsiders can't foresee, for hash tables and the like; no key for cryptography:
 * where the system gives none, it is made of the clock and an address. Never waits. */

#include <stdint.h>

uint64_t random_seed(void);

#endif
