// SPDX-License-Identifier: Apache-2.0
#ifndef NET_DESCRIPTORS_H
#define NET_DESCRIPTORS_H

/* How many file descriptors the process may have (RLIMIT_NOFILE), and has. What runs out of them
 * first decides what fails: clients must not take those that Kafka's sockets need. */

#include <stddef.h>

/* Raise the limit as far as an ordinary user may: the soft one to the hard one. Returns the limit
 * that is in force then. */
size_t descriptors_raise(void);

/* The limit that is in force. */
size_t descriptors_limit(void);

/* Those that are open, of the first DESCRIPTORS_LOOKED_AT: the system gives the lowest free number,
 * so that early in a process's life these are all. */
enum { DESCRIPTORS_LOOKED_AT = 4096 };
size_t descriptors_open(void);

#endif
