// SPDX-License-Identifier: Apache-2.0
#include "lib/heap.h"

#include <stdlib.h>

#include "kit/mem.h"

static unsigned left;
static bool failed;
static long alive;
static _Thread_local bool is_left_out;

static void *counting_realloc(void *ptr, size_t bytes)
{
    void *result;
    if (is_left_out) {
        return realloc(ptr, bytes);
    }
    if (left > 0 && --left == 0) {
        failed = true;
        return NULL;
    }
    result = realloc(ptr, bytes);
    if (ptr == NULL && result != NULL) {
        alive++;
    }
    return result;
}

static void counting_free(void *ptr)
{
    alive -= is_left_out ? 0 : 1;
    free(ptr);
}

void heap_fail_at(unsigned n)
{
    mem_set_hooks(&(struct mem_hooks){counting_realloc, counting_free});
    left = n;
    failed = false;
}

void heap_leave_out_thread(void)
{
    is_left_out = true;
}

bool heap_failed(void)
{
    return failed;
}

long heap_alive(void)
{
    return alive;
}

void heap_restore(void)
{
    mem_set_hooks(NULL);
    alive = 0;
}
