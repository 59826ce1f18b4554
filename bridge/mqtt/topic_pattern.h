// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_TOPIC_PATTERN_H
#define MQTT_TOPIC_PATTERN_H

/* The pattern of a route: an MQTT topic filter (MQTT 5.0, 4.7) whose wildcards may have names:
 * `sensors/{device}/{channel}`, `{application}/+/{suffix...}`, `plant/#`. A part in braces is a
 * whole level; `{name...}`, as `#`, is the last one and takes all levels that are left, none too.
 * As in MQTT, a wildcard in the first level takes no topic that begins with `$`. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "kit/buf.h"

enum {
    TOPIC_LEVELS_MAX = 128, /* of a pattern; a topic may have more */
    TOPIC_PATTERN_NAMES_MAX = 16,
    TOPIC_BYTES_MAX = 65535, /* MQTT's */
};

struct topic_pattern;

/* `text` is copied. Names are those that CloudEvents allows (event/check.h). Errors: MR_EFORMAT
 * (says what and at which character), MR_ELIMIT, MR_ENOMEM. */
int topic_pattern_new(struct mr_slice text, struct topic_pattern **ret_pattern,
                      struct mr_error *err);
void topic_pattern_free(struct topic_pattern *pattern);

/* The names in the order of the pattern; each stands there once. */
size_t topic_pattern_names(const struct topic_pattern *pattern);
struct mr_slice topic_pattern_name(const struct topic_pattern *pattern, size_t index);

/* The filter to subscribe to, terminated: `sensors/+/+`. */
const char *topic_pattern_filter(const struct topic_pattern *pattern);

/* `ret_values`, by the index of the names, borrow from `topic`; that of `{name...}` has the
 * slashes, and is absent if it took no level, or only an empty one (`a/`). */
bool topic_pattern_match(const struct topic_pattern *pattern, struct mr_slice topic,
                         struct mr_slice ret_values[TOPIC_PATTERN_NAMES_MAX]);

/* There are levels that no name stands for. */
bool topic_pattern_has_unnamed(const struct topic_pattern *pattern);

/* Append those levels of `topic`, which the pattern matches, with slashes between them. Errors: as
 * buf_add. */
int topic_pattern_write_unnamed(const struct topic_pattern *pattern, struct mr_slice topic,
                                struct mr_buf *out);

/* Filters: every topic that `inner` takes, `outer` takes too. */
bool topic_filter_covers(const char *outer, const char *inner);

/* Some topic is taken by both. */
bool topic_filters_overlap(const char *one, const char *other);

bool topic_filter_takes(const char *filter, struct mr_slice topic);

#endif
