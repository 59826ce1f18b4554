// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/subscriptions.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge/mqtt/topic_pattern.h"
#include "kit/hash.h"
#include "kit/mem.h"

enum {
    HOST_NAME_BYTES = 256,
    INDEX_BITS = 9, /* of an identifier */
};

_Static_assert(ROUTES_MAX <= 1 << INDEX_BITS, "each filter has an identifier");

static char *shared_filter(const char *group, const char *filter)
{
    size_t bytes = strlen("$share//") + strlen(group) + strlen(filter) + 1;
    char *text = mem_alloc(bytes);
    if (text != NULL) {
        (void)snprintf(text, bytes, "$share/%s/%s", group, filter);
    }
    return text;
}

static bool do_overlap(const struct routes *routes)
{
    for (size_t i = 0; i < routes_filters(routes); i++) {
        for (size_t j = 0; j < i; j++) {
            if (topic_filters_overlap(routes_filter(routes, i), routes_filter(routes, j))) {
                return true;
            }
        }
    }
    return false;
}

/* An identifier has 28 bits (MQTT 5.0, 1.5.5), and is not 0. */
static uint32_t choose_identifiers(const struct routes *routes)
{
    uint32_t hash = HASH_FNV1A_BASIS;
    if (!do_overlap(routes)) {
        return 0;
    }
    for (size_t i = 0; i < routes_filters(routes); i++) {
        hash = hash_fnv1a(hash, mr_slice_of(routes_filter(routes, i)));
        hash = hash_fnv1a(hash, MR_SLICE("\n"));
    }
    return ((hash % ((UINT32_C(1) << (28 - INDEX_BITS)) - 1)) + 1) << INDEX_BITS;
}

int subscriptions_make(const struct routes *routes, const char *group,
                       struct subscriptions *ret_subscriptions, struct mr_error *err)
{
    size_t count = routes_filters(routes);
    struct subscriptions made = {.filters = mem_zalloc((count + 1) * sizeof *made.filters)};
    for (; made.filters != NULL && made.count < count; made.count++) {
        const char *filter = routes_filter(routes, made.count);
        char *text = group == NULL ? mem_strdup(filter) : shared_filter(group, filter);
        if (text == NULL) {
            break;
        }
        made.filters[made.count] = text;
    }
    if (made.filters == NULL || made.count < count) {
        subscriptions_done(&made);
        return mr_error_set(err, MR_ENOMEM, "subscriptions");
    }
    made.identifiers = choose_identifiers(routes);
    *ret_subscriptions = made;
    return 0;
}

void subscriptions_done(struct subscriptions *subscriptions)
{
    for (size_t i = 0; i < subscriptions->count; i++) {
        mem_free(subscriptions->filters[i]);
    }
    mem_free(subscriptions->filters);
    *subscriptions = (struct subscriptions){0};
}

bool subscriptions_take_copy(const struct routes *routes, uint32_t identifiers,
                             const struct mqtt_message *message)
{
    bool is_known = false;
    size_t first = 0;
    if (identifiers == 0 || message->subscription_count > MQTT_SUBSCRIPTIONS_MAX) {
        return true;
    }
    while (first < routes_filters(routes) &&
           !topic_filter_takes(routes_filter(routes, first), message->topic)) {
        first++;
    }
    for (size_t i = 0; i < message->subscription_count; i++) {
        uint32_t index = message->subscriptions[i] - identifiers;
        if (index == first) {
            return true;
        }
        is_known = is_known || index < routes_filters(routes);
    }
    return !is_known;
}

void subscriptions_client_id(const char *client_id, int64_t connections, int64_t index,
                             char ret_id[CONNECTION_ID_BYTES])
{
    char host[HOST_NAME_BYTES] = "";
    char base[CONNECTION_ID_BYTES - 32];
    if (client_id != NULL) {
        (void)snprintf(base, sizeof base, "%s", client_id);
    } else {
        (void)gethostname(host, sizeof host - 1);
        (void)snprintf(base, sizeof base, "millrace-mqtt-%s", host[0] == '\0' ? "unnamed" : host);
    }
    if (connections > 1) {
        (void)snprintf(ret_id, CONNECTION_ID_BYTES, "%s-%lld", base, (long long)index + 1);
    } else {
        (void)snprintf(ret_id, CONNECTION_ID_BYTES, "%s", base);
    }
}
