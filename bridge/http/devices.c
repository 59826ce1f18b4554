// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/devices.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bridge/http/password_hash.h"
#include "kit/mem.h"

struct devices *devices_new(void)
{
    struct devices *devices = mem_zalloc(sizeof *devices);
    if (devices == NULL) {
        return NULL;
    }
    atomic_init(&devices->owners, 1);
    /* Without it the choice could be foreseen; nothing worse. */
    (void)!getrandom(&devices->seed, sizeof devices->seed, GRND_NONBLOCK);
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

static int compare(struct mr_slice a, struct mr_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b, void *user)
{
    const struct devices *devices = user;
    int order = compare(device_of(devices, a), device_of(devices, b));
    return order != 0 ? order : compare(application_of(devices, a), application_of(devices, b));
}

int devices_finish(struct devices *devices)
{
    uint32_t found = 0;
    if (devices->count > 0) {
        qsort_r(devices->entries, devices->count, sizeof *devices->entries, compare_entries,
                devices);
    }
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

bool devices_find(const struct devices *devices, struct mr_slice application,
                  struct mr_slice device, struct device *ret_device)
{
    uint32_t low = 0, high = devices->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct device_entry *entry = &devices->entries[middle];
        int order = compare(device, device_of(devices, entry));
        order = order != 0 ? order : compare(application, application_of(devices, entry));
        if (order == 0) {
            *ret_device = devices_at(devices, middle);
            return true;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}

/* FNV-1a: only to spread; who foresees it learns which of the hashes is worked on in vain. */
static uint64_t spread(uint64_t hash, struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3U;
    }
    return (hash ^ 0xff) * 0x100000001b3U;
}

struct mr_slice devices_hash_for_unknown(const struct devices *devices, struct mr_slice application,
                                         struct mr_slice device)
{
    uint64_t choice = spread(spread(0xcbf29ce484222325U ^ devices->seed, application), device);
    if (devices->with_password == 0) {
        return mr_slice_of(password_hash_of_nobody);
    }
    choice = (choice ^ (choice >> 32)) % devices->with_password;
    return devices_at(devices, devices->passwords[choice]).hash;
}
