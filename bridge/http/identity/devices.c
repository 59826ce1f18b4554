// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/devices.h"

#include <assert.h>
#include <string.h>

#include "bridge/http/identity/password_hash.h"
#include "kit/mem.h"
#include "kit/random.h"

struct devices *devices_new(void)
{
    struct devices *devices = mem_zalloc(sizeof *devices);
    if (devices == NULL) {
        return NULL;
    }
    atomic_init(&devices->owners, 1);
    devices->seed = random_seed();
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
    mem_free(devices->passwords);
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

static int list_passwords(struct devices *devices)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < devices->count; i++) {
        devices->with_password += devices->entries[i].hash_len > 0;
    }
    if (devices->with_password == 0) {
        return 0;
    }
    devices->passwords = mem_alloc(devices->with_password * sizeof *devices->passwords);
    if (devices->passwords == NULL) {
        return MR_ENOMEM;
    }
    for (uint32_t i = 0; i < devices->count; i++) {
        if (devices->entries[i].hash_len > 0) {
            devices->passwords[found++] = i;
        }
    }
    return 0;
}

int devices_finish(struct devices *devices)
{
    int rc = make_index(devices);
    return rc == 0 ? list_passwords(devices) : rc;
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

struct mr_slice devices_hash_for_unknown(const struct devices *devices, struct mr_slice application,
                                         struct mr_slice device)
{
    uint64_t choice;
    if (devices->with_password == 0) {
        return mr_slice_of(password_hash_of_nobody);
    }
    choice = hash_of(devices, application, device) % devices->with_password;
    return devices_at(devices, devices->passwords[choice]).hash;
}
