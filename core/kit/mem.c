// SPDX-License-Identifier: Apache-2.0
#include "kit/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct mem_hooks heap = {realloc, free};

void mem_set_hooks(const struct mem_hooks *hooks)
{
    heap.realloc = hooks != NULL && hooks->realloc != NULL ? hooks->realloc : realloc;
    heap.free = hooks != NULL && hooks->free != NULL ? hooks->free : free;
}

void *mem_realloc(void *ptr, size_t bytes)
{
    assert(bytes > 0);
    return heap.realloc(ptr, bytes);
}

void *mem_alloc(size_t bytes)
{
    return mem_realloc(NULL, bytes);
}

void *mem_zalloc(size_t bytes)
{
    void *ptr = mem_alloc(bytes);
    if (ptr != NULL) {
        memset(ptr, 0, bytes);
    }
    return ptr;
}

void mem_free(void *ptr)
{
    if (ptr != NULL) {
        heap.free(ptr);
    }
}

char *mem_strndup(const char *bytes, size_t len)
{
    char *copy;
    assert(bytes != NULL || len == 0);
    copy = mem_alloc(len + 1);
    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, bytes, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

char *mem_strdup(const char *string)
{
    assert(string != NULL);
    return mem_strndup(string, strlen(string));
}
