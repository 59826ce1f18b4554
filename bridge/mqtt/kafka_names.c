// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/kafka_names.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kafka/kafka_topics.h"
#include "kit/mem.h"

static_assert(KAFKA_NAMES_MAX + 1 < TOPICS_NAMES_MAX, "they are all made at the start");

static char *join(const char *name, const char *end)
{
    size_t bytes = strlen(name) + strlen(end) + 1;
    char *text = mem_alloc(bytes);
    if (text != NULL) {
        (void)snprintf(text, bytes, "%s%s", name, end);
    }
    return text;
}

int kafka_names_make(const struct routes *routes, struct kafka_names *ret_names,
                     struct mr_error *err)
{
    struct kafka_names made = {{NULL}};
    size_t count = 0;
    for (size_t i = 0; i < 2 * routes_kafka_topics(routes); i++) {
        bool is_dead = i % 2 == 0;
        const char *topic = routes_kafka_topic(routes, i / 2);
        if (!is_dead && i / 2 == 0) {
            continue; /* the producer's own */
        }
        assert(count < KAFKA_NAMES_MAX);
        made.names[count] = join(topic, is_dead ? KAFKA_NAMES_DEAD : "");
        if (made.names[count++] == NULL) {
            kafka_names_done(&made);
            return mr_error_set(err, MR_ENOMEM, "names of topics");
        }
    }
    *ret_names = made;
    return 0;
}

void kafka_names_done(struct kafka_names *names)
{
    for (size_t i = 0; i < KAFKA_NAMES_MAX; i++) {
        mem_free(names->names[i]);
        names->names[i] = NULL;
    }
}
