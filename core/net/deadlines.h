// SPDX-License-Identifier: Apache-2.0
#ifndef NET_DEADLINES_H
#define NET_DEADLINES_H

/* Deadlines that all lie the same time ahead when they are set: a list in order, so that setting,
 * lifting and finding the next due one cost the same however many there are. One timer serves
 * thousands of connections. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadlines;

/* Embedded in what waits; zeroed: not set. */
struct deadline {
    struct deadlines *list; /* NULL: not set */
    struct deadline *prev;
    struct deadline *next;
    uint64_t due_ms;
};

struct deadlines {
    struct deadline *first;
    struct deadline *last;
    uint64_t after_ms; /* how far ahead they are set */
};

/* Set, or set anew, for `now_ms` (which never steps back) plus the list's time. */
static inline void deadline_set(struct deadlines *list, struct deadline *deadline, uint64_t now_ms);

/* Take off whichever list it is on. */
static inline void deadline_lift(struct deadline *deadline)
{
    struct deadlines *list = deadline->list;
    if (list == NULL) {
        return;
    }
    if (deadline->prev != NULL) {
        deadline->prev->next = deadline->next;
    } else {
        list->first = deadline->next;
    }
    if (deadline->next != NULL) {
        deadline->next->prev = deadline->prev;
    } else {
        list->last = deadline->prev;
    }
    *deadline = (struct deadline){0};
}

static inline void deadline_set(struct deadlines *list, struct deadline *deadline, uint64_t now_ms)
{
    deadline_lift(deadline);
    deadline->list = list;
    deadline->due_ms = now_ms + list->after_ms;
    deadline->prev = list->last;
    if (list->last != NULL) {
        list->last->next = deadline;
    } else {
        list->first = deadline;
    }
    list->last = deadline;
}

/* Lift and return the first that is due; NULL if none is. */
static inline struct deadline *deadlines_take_due(struct deadlines *list, uint64_t now_ms)
{
    struct deadline *first = list->first;
    if (first == NULL || first->due_ms > now_ms) {
        return NULL;
    }
    deadline_lift(first);
    return first;
}

#endif
