// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/devices.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "bridge/http/identity/password_hash.h"
#include "kit/mem.h"
#include "kit/random.h"

static uint64_t process_seed;

static void draw_seed(void)
{
    process_seed = random_seed();
}

struct devices *devices_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct devices *devices = mem_zalloc(sizeof *devices);
    if (devices == NULL) {
        return NULL;
    }
    atomic_init(&devices->owners, 1);
    (void)pthread_once(&once, draw_seed);
    devices->seed = process_seed;
    return devices;
}

struct devices *devices_own(struct devices *devices)
{
    atomic_fetch_add(&devices->owners, 1);
    return devices;
}

void devices_disown(struct devices *devices)
{
    if (devices == NULL || atomic_fetch_sub(&devices->owners, 1) > 1) {
        return;
    }
    if (devices->bytes != NULL) {
        explicit_bzero(devices->bytes, devices->bytes_len);
    }
    mem_free(devices->bytes);
    mem_free(devices->entries);
    mem_free(devices->index);
    mem_free(devices);
}

static struct mr_slice device_of(const struct devices *devices, const struct device_entry *entry)
{
    return mr_slice(devices->bytes + entry->device_at, entry->device_len);
}

static struct mr_slice application_of(const struct devices *devices,
                                      const struct device_entry *entry)
{
    if (entry->application_len == 0) {
        return MR_SLICE("default");
    }
    return mr_slice(devices->bytes + entry->application_at, entry->application_len);
}

static bool is_named(const struct devices *devices, const struct device_entry *entry,
                     struct mr_slice application, struct mr_slice device)
{
    return mr_slice_is(device_of(devices, entry), device) &&
           mr_slice_is(application_of(devices, entry), application);
}

/* FNV-1a, and its bits mixed. */
static uint64_t spread(uint64_t hash, struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3U;
    }
    return (hash ^ 0xff) * 0x100000001b3U;
}

static uint64_t hash_of(const struct devices *devices, struct mr_slice application,
                        struct mr_slice device)
{
    uint64_t hash = spread(spread(0xcbf29ce484222325U ^ devices->seed, application), device);
    hash = (hash ^ (hash >> 33)) * (devices->seed | 1);
    return hash ^ (hash >> 32);
}

/* Its place in the index, or the free one where it would stand. */
static uint32_t *place_of(const struct devices *devices, struct mr_slice application,
                          struct mr_slice device)
{
    uint32_t at = (uint32_t)hash_of(devices, application, device);
    for (;; at++) {
        uint32_t *place = &devices->index[at & (devices->index_capacity - 1)];
        if (*place == 0 || is_named(devices, &devices->entries[*place - 1], application, device)) {
            return place;
        }
    }
}

static int make_index(struct devices *devices)
{
    uint32_t capacity = 2;
    while (capacity < 2 * devices->count) {
        capacity *= 2;
    }
    devices->index = mem_zalloc(capacity * sizeof *devices->index);
    if (devices->index == NULL) {
        return MR_ENOMEM;
    }
    devices->index_capacity = capacity;
    for (uint32_t i = 0; i < devices->count; i++) {
        const struct device_entry *entry = &devices->entries[i];
        uint32_t *place =
            place_of(devices, application_of(devices, entry), device_of(devices, entry));
        *place = *place == 0 ? i + 1 : *place;
    }
    return 0;
}

static struct mr_slice hash_at(const struct devices *devices, uint32_t entry)
{
    const struct device_entry *of = &devices->entries[entry];
    return mr_slice(devices->bytes + of->hash_at, of->hash_len);
}

static int compare(struct mr_slice a, struct mr_slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the kind is, or belongs: in the order of the names, whatever the file's is. */
static uint32_t place_of_kind(const struct devices *devices, struct mr_slice kind,
                              bool *ret_is_there)
{
    uint32_t at = 0;
    int order = 1;
    while (at < devices->kind_count) {
        order = compare(password_hash_kind(hash_at(devices, devices->kinds[at].entry)), kind);
        if (order >= 0) {
            break;
        }
        at++;
    }
    *ret_is_there = at < devices->kind_count && order == 0;
    return at;
}

/* Those beyond the bound are left out: who has so many has no time that stands out. */
static void count_kind(struct devices *devices, uint32_t entry)
{
    bool is_there;
    uint32_t at = place_of_kind(devices, password_hash_kind(hash_at(devices, entry)), &is_there);
    if (is_there) {
        devices->kinds[at].count++;
    } else if (devices->kind_count < DEVICES_KINDS_MAX) {
        memmove(&devices->kinds[at + 1], &devices->kinds[at],
                (devices->kind_count - at) * sizeof devices->kinds[0]);
        devices->kinds[at] = (struct devices_kind){.entry = entry, .count = 1};
        devices->kind_count++;
    }
}

int devices_finish(struct devices *devices)
{
    int rc = make_index(devices);
    for (uint32_t i = 0; i < devices->count && rc == 0; i++) {
        if (devices->entries[i].hash_len > 0) {
            count_kind(devices, i);
        }
    }
    return rc;
}

struct device devices_at(const struct devices *devices, uint32_t index)
{
    const struct device_entry *entry = &devices->entries[index];
    struct device device = {.is_enabled = entry->is_enabled};
    assert(index < devices->count);
    device.identity.device = device_of(devices, entry);
    device.identity.application = application_of(devices, entry);
    device.identity.speaks_for =
        mr_slice(devices->bytes + entry->speaks_for_at, entry->speaks_for_len);
    if (entry->hash_len > 0) {
        device.hash = mr_slice(devices->bytes + entry->hash_at, entry->hash_len);
    }
    return device;
}

uint32_t devices_index_of(const struct devices *devices, struct mr_slice application,
                          struct mr_slice device)
{
    uint32_t place = devices->count == 0 ? 0 : *place_of(devices, application, device);
    return place == 0 ? DEVICES_NONE : place - 1;
}

bool devices_find(const struct devices *devices, struct mr_slice application,
                  struct mr_slice device, struct device *ret_device)
{
    uint32_t index = devices_index_of(devices, application, device);
    if (index != DEVICES_NONE) {
        *ret_device = devices_at(devices, index);
    }
    return index != DEVICES_NONE;
}

/* The power of two at or below. */
static uint64_t weight_of(const struct devices_kind *kind)
{
    return 1ULL << (31 - __builtin_clz(kind->count));
}

struct mr_slice devices_hash_for_unknown(const struct devices *devices, struct mr_slice application,
                                         struct mr_slice device)
{
    uint64_t total = 0;
    uint64_t choice;
    uint32_t at = 0;
    if (devices->kind_count == 0) {
        return mr_slice_of(password_hash_of_nobody);
    }
    for (uint32_t i = 0; i < devices->kind_count; i++) {
        total += weight_of(&devices->kinds[i]);
    }
    choice = hash_of(devices, application, device) % total;
    while (choice >= weight_of(&devices->kinds[at])) {
        choice -= weight_of(&devices->kinds[at]);
        at++;
    }
    return hash_at(devices, devices->kinds[at].entry);
}
