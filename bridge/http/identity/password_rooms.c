// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/password_rooms.h"

#include <assert.h>
#include <stddef.h>
#include <uv.h>

#include "kit/mem.h"

struct password_rooms {
    uv_mutex_t mutex; /* held for a few instructions, and twice for each check */
    struct password_room *all[PASSWORD_ROOMS];
    struct password_room *free[PASSWORD_ROOMS];
    size_t free_count;
    struct password_guest *first; /* in the order of coming */
};

static void free_rooms(struct password_rooms *rooms)
{
    for (size_t i = 0; i < PASSWORD_ROOMS; i++) {
        password_room_free(rooms->all[i]);
    }
    mem_free(rooms);
}

struct password_rooms *password_rooms_new(void)
{
    struct password_rooms *rooms = mem_zalloc(sizeof *rooms);
    if (rooms == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < PASSWORD_ROOMS; i++) {
        rooms->all[i] = password_room_new();
        rooms->free[i] = rooms->all[i];
        if (rooms->all[i] == NULL) {
            free_rooms(rooms);
            return NULL;
        }
    }
    rooms->free_count = PASSWORD_ROOMS;
    if (uv_mutex_init(&rooms->mutex) != 0) {
        free_rooms(rooms);
        return NULL;
    }
    return rooms;
}

void password_rooms_free(struct password_rooms *rooms)
{
    if (rooms == NULL) {
        return;
    }
    assert(rooms->free_count == PASSWORD_ROOMS && rooms->first == NULL);
    uv_mutex_destroy(&rooms->mutex);
    free_rooms(rooms);
}

static void queue(struct password_rooms *rooms, struct password_guest *guest)
{
    struct password_guest **at = &rooms->first;
    if (guest->is_queueing) {
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    guest->next = NULL;
    guest->is_queueing = true;
    *at = guest;
}

static void unqueue(struct password_rooms *rooms, struct password_guest *guest)
{
    struct password_guest **at = &rooms->first;
    if (!guest->is_queueing) {
        return;
    }
    while (*at != guest) {
        at = &(*at)->next;
    }
    *at = guest->next;
    guest->is_queueing = false;
}

/* The mutex is held, also while it is woken: it can't have left. */
static void hand_on(struct password_rooms *rooms, struct password_room *room)
{
    struct password_guest *guest = rooms->first;
    if (guest == NULL) {
        rooms->free[rooms->free_count++] = room;
        return;
    }
    unqueue(rooms, guest);
    guest->room = room;
    guest->wake(guest->user);
}

struct password_room *password_rooms_take(struct password_rooms *rooms,
                                          struct password_guest *guest)
{
    struct password_room *room;
    uv_mutex_lock(&rooms->mutex);
    room = guest->room;
    guest->room = NULL;
    if (room == NULL && rooms->free_count > 0) {
        room = rooms->free[--rooms->free_count];
    }
    if (room == NULL) {
        queue(rooms, guest);
    }
    uv_mutex_unlock(&rooms->mutex);
    return room;
}

void password_rooms_give_back(struct password_rooms *rooms, struct password_room *room)
{
    uv_mutex_lock(&rooms->mutex);
    hand_on(rooms, room);
    uv_mutex_unlock(&rooms->mutex);
}

void password_rooms_leave(struct password_rooms *rooms, struct password_guest *guest)
{
    struct password_room *room;
    uv_mutex_lock(&rooms->mutex);
    unqueue(rooms, guest);
    room = guest->room;
    guest->room = NULL;
    if (room != NULL) {
        hand_on(rooms, room);
    }
    uv_mutex_unlock(&rooms->mutex);
}
