// SPDX-License-Identifier: Apache-2.0
/* Happy path: a claim is added -> it waits for a room -> a thread of libuv's pool runs crypt(3)
 * -> its end is told on the loop -> the next one, of whichever loop, gets the room. */
#include "bridge/http/identity/password_check.h"

#include <assert.h>
#include <string.h>

#include "bridge/http/identity/password_hash.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { CHECKS_MAGIC = 0x50574348, SLOT_MAGIC = 0x5057534c };

/* A place to run in; what is checked is the thread's alone while it does. */
struct slot {
    unsigned magic;
    struct password_checks *owner;
    struct password_check *check; /* NULL: free */
    struct password_room *room;   /* while it runs */
    uv_work_t work;
};

struct password_checks {
    unsigned magic;
    struct password_checks_config config;
    struct password_check *first;
    size_t count;
    bool is_closing;
    void (*closed)(void *user);
    void *closed_user;
    bool is_wake_closed;
    uv_async_t wake; /* there is a room */
    struct password_guest guest;
    struct slot slots[PASSWORD_ROOMS];
};

/* On the thread of whoever gave a room back. */
static void wake(void *user)
{
    struct password_checks *checks;
    MAGIC_CAST(checks, user, CHECKS_MAGIC);
    (void)uv_async_send(&checks->wake);
}

static void on_woken(uv_async_t *handle)
{
    struct password_checks *checks;
    MAGIC_CAST(checks, handle->data, CHECKS_MAGIC);
    password_checks_start(checks);
}

int password_checks_new(const struct password_checks_config *config,
                        struct password_checks **ret_checks, struct mr_error *err)
{
    struct password_checks *checks = mem_zalloc(sizeof *checks);
    int rc;
    if (checks == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    checks->magic = CHECKS_MAGIC;
    checks->config = *config;
    checks->guest = (struct password_guest){.wake = wake, .user = checks};
    for (size_t i = 0; i < MR_COUNT_OF(checks->slots); i++) {
        checks->slots[i] = (struct slot){.magic = SLOT_MAGIC, .owner = checks};
        checks->slots[i].work.data = &checks->slots[i];
    }
    rc = uv_async_init(config->loop, &checks->wake, on_woken);
    if (rc != 0) {
        mem_free(checks);
        return mr_error_set(err, MR_EIO, "event loop: %s", uv_strerror(rc));
    }
    checks->wake.data = checks;
    *ret_checks = checks;
    return 0;
}

struct password_check *password_checks_first(const struct password_checks *checks)
{
    return checks->first;
}

struct password_check *password_checks_find(const struct password_checks *checks,
                                            const struct verified_digest *digest)
{
    struct password_check *check = checks->first;
    while (check != NULL && !verified_digest_is(&check->claim.digest, digest)) {
        check = check->next;
    }
    return check;
}

bool password_checks_are_full(const struct password_checks *checks, struct attempts_source source,
                              bool is_shared_out)
{
    size_t share = (checks->config.waiting_max + 3) / 4;
    size_t its_own = 0;
    if (checks->count >= checks->config.waiting_max + PASSWORD_ROOMS) {
        return true;
    }
    for (const struct password_check *check = checks->first; check != NULL; check = check->next) {
        its_own +=
            check->claim.source.bits == source.bits && check->claim.source.is_v6 == source.is_v6;
    }
    return is_shared_out && its_own >= share;
}

static void end_check(struct password_checks *checks, struct password_check *check)
{
    struct password_check **at = &checks->first;
    while (*at != check) {
        at = &(*at)->next;
    }
    *at = check->next;
    checks->count--;
    mr_gauge_add(checks->config.waiting_gauge, -1);
    checks->config.on_done(check, checks->config.user);
    explicit_bzero(check->text, check->text_bytes);
    mem_free(check);
}

/* The next that runs; those that may not are ended on the way. */
static struct password_check *take_next(struct password_checks *checks)
{
    struct password_check *check = checks->first;
    while (check != NULL) {
        struct password_check *next = check->next;
        if (!check->is_running) {
            if (!checks->is_closing && checks->config.may_start(check, checks->config.user)) {
                return check;
            }
            check->verdict = PASSWORD_NOT_CHECKED;
            end_check(checks, check);
        }
        check = next;
    }
    return NULL;
}

static void on_work(uv_work_t *work)
{
    struct slot *slot;
    const struct password_claim *claim;
    MAGIC_CAST(slot, work->data, SLOT_MAGIC);
    claim = &slot->check->claim;
    slot->check->verdict = password_verify(slot->room, claim->password.ptr, claim->hash.ptr)
                               ? PASSWORD_RIGHT
                               : PASSWORD_WRONG;
}

static void finish_close(struct password_checks *checks)
{
    void (*closed)(void *) = checks->closed;
    void *user = checks->closed_user;
    if (checks->is_wake_closed && checks->first == NULL) {
        checks->magic = 0;
        mem_free(checks);
        closed(user);
    }
}

static void on_worked(uv_work_t *work, int status)
{
    struct slot *slot;
    struct password_checks *checks;
    struct password_check *check;
    (void)status;
    MAGIC_CAST(slot, work->data, SLOT_MAGIC);
    checks = slot->owner;
    MAGIC_CHECK(checks, CHECKS_MAGIC);
    check = slot->check;
    slot->check = NULL;
    password_rooms_give_back(checks->config.rooms, slot->room);
    end_check(checks, check);
    password_checks_start(checks);
    finish_close(checks);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct password_checks *checks;
    MAGIC_CAST(checks, handle->data, CHECKS_MAGIC);
    checks->is_wake_closed = true;
    finish_close(checks);
}

void password_checks_close(struct password_checks *checks, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(checks, CHECKS_MAGIC);
    checks->is_closing = true;
    checks->closed = closed;
    checks->closed_user = user;
    (void)take_next(checks);
    password_rooms_leave(checks->config.rooms, &checks->guest);
    uv_close((uv_handle_t *)&checks->wake, on_wake_closed);
}

static struct slot *free_slot(struct password_checks *checks)
{
    for (size_t i = 0; i < MR_COUNT_OF(checks->slots); i++) {
        if (checks->slots[i].check == NULL) {
            return &checks->slots[i];
        }
    }
    return NULL;
}

void password_checks_start(struct password_checks *checks)
{
    struct slot *slot = free_slot(checks);
    struct password_check *check = NULL;
    while (slot != NULL && (check = take_next(checks)) != NULL) {
        slot->room = password_rooms_take(checks->config.rooms, &checks->guest);
        if (slot->room == NULL) {
            return; /* it is woken when there is one */
        }
        slot->check = check;
        check->is_running = true;
        mr_count(checks->config.checks_total, 1);
        (void)uv_queue_work(checks->config.loop, &slot->work, on_work, on_worked);
        slot = free_slot(checks);
    }
    password_rooms_leave(checks->config.rooms, &checks->guest); /* it needs no more */
}

static struct mr_slice copy(char **to, struct mr_slice from)
{
    struct mr_slice result = mr_slice(*to, from.len);
    if (from.len > 0) {
        memcpy(*to, from.ptr, from.len);
    }
    (*to)[from.len] = '\0';
    *to += from.len + 1;
    return result;
}

struct password_check *password_checks_add(struct password_checks *checks,
                                           const struct password_claim *claim)
{
    size_t bytes =
        claim->application.len + claim->device.len + claim->hash.len + claim->password.len + 4;
    struct password_check *check = mem_alloc(sizeof *check + bytes);
    struct password_check **at = &checks->first;
    char *to;
    assert(!checks->is_closing);
    if (check == NULL) {
        return NULL;
    }
    *check = (struct password_check){.claim = *claim, .text_bytes = bytes};
    to = check->text;
    check->claim.application = copy(&to, claim->application);
    check->claim.device = copy(&to, claim->device);
    check->claim.hash = copy(&to, claim->hash);
    check->claim.password = copy(&to, claim->password);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = check;
    checks->count++;
    mr_gauge_add(checks->config.waiting_gauge, 1);
    return check;
}
