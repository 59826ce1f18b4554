// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_MEM_H
#define KIT_MEM_H

/* The only door to the heap, so that tests can make the n-th allocation fail. */

#include <stddef.h>

/* As malloc, calloc, realloc, free. Errors: NULL when out of memory. mem_free takes NULL. */
void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_realloc(void *ptr, size_t bytes);
void mem_free(void *ptr);

/* Terminated copies, to be freed with mem_free. Errors: NULL when out of memory. */
char *mem_strdup(const char *string);
char *mem_strndup(const char *bytes, size_t len);

/* Tests only: replace the heap (NULL members restore the system's). Not thread-safe. */
struct mem_hooks {
    void *(*realloc)(void *ptr, size_t bytes);
    void (*free)(void *ptr);
};
void mem_set_hooks(const struct mem_hooks *hooks);

#endif
