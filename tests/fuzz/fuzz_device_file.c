// SPDX-License-Identifier: Apache-2.0
/* A devices file of any bytes is read or refused: what is read is found again, and what is refused
 * has a line each. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/http/identity/device_file.h"
#include "bridge/http/identity/password_hash.h"
#include "bridge/http/identity/speaks_for.h"
#include "kit/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_devices(const struct devices *devices)
{
    for (uint32_t i = 0; i < devices->count; i++) {
        struct device device = devices_at(devices, i);
        struct device found;
        expect(device.identity.device.len > 0 && device.identity.application.len > 0);
        expect(devices_find(devices, device.identity.application, device.identity.device, &found));
        expect(found.identity.device.ptr == device.identity.device.ptr);
        expect(found.hash.ptr == NULL || password_hash_check(found.hash, NULL) == 0);
        (void)speaks_for_allows(&device.identity, MR_SLICE("room-1"));
    }
    expect(devices_hash_for_unknown(devices, MR_SLICE("a"), MR_SLICE("b")).len > 0);
}

static void check_problems(const struct device_problems *problems)
{
    size_t lines = 0;
    for (size_t i = 0; i < problems->text.len; i++) {
        lines += problems->text.ptr[i] == '\n';
    }
    expect(problems->count > 0);
    expect(problems->text.failed != 0 || problems->count > DEVICE_PROBLEMS_MAX ||
           lines == problems->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct devices *devices;
    struct device_problems problems;
    char *copy = mem_alloc(size + 1);
    if (copy == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    device_problems_init(&problems);
    if (device_file_parse(copy, size, "fuzz.conf", &devices, &problems) == 0) {
        check_devices(devices);
        devices_disown(devices);
    } else {
        check_problems(&problems);
    }
    device_problems_done(&problems);
    return 0;
}
