// SPDX-License-Identifier: Apache-2.0
/* A pattern takes the topics that libmosquitto says its filter takes, and covers another exactly if
 * it takes what stands for all of the other's topics. The input is pattern NUL pattern NUL topic.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <mosquitto.h>

#include "bridge/mqtt/topic_pattern.h"
#include "tests/fuzz/event_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define FRESH "~w~" /* a level that no filter names */

static struct topic_pattern *parse(struct mr_slice text)
{
    struct topic_pattern *pattern = NULL;
    struct mr_error err = {0};
    if (topic_pattern_new(text, &pattern, &err) != 0) {
        MUST(err.code == MR_EFORMAT || err.code == MR_ELIMIT);
        MUST(err.text[0] != '\0');
        return NULL;
    }
    MUST(mosquitto_sub_topic_check(topic_pattern_filter(pattern)) == MOSQ_ERR_SUCCESS);
    return pattern;
}

/* What libmosquitto says, if that is a topic [4.7.3]. It heeds no lengths: both end with a NUL. */
static void must_agree(const char *filter, struct mr_slice topic, bool is_match)
{
    char *copy;
    bool wanted;
    if (topic.len == 0 || memchr(topic.ptr, '\0', topic.len) != NULL) {
        return;
    }
    copy = strndup(topic.ptr, topic.len);
    MUST(copy != NULL);
    if (mosquitto_pub_topic_check(copy) == MOSQ_ERR_SUCCESS) {
        MUST(mosquitto_topic_matches_sub(filter, copy, &wanted) == MOSQ_ERR_SUCCESS);
        MUST(is_match == wanted);
    }
    free(copy);
}

static bool takes(const struct topic_pattern *pattern, struct mr_slice topic)
{
    struct mr_slice values[TOPIC_PATTERN_NAMES_MAX];
    bool is_match = topic_pattern_match(pattern, topic, values);
    must_agree(topic_pattern_filter(pattern), topic, is_match);
    MUST(topic_filter_takes(topic_pattern_filter(pattern), topic) == is_match);
    for (size_t i = 0; is_match && i < topic_pattern_names(pattern); i++) {
        MUST(values[i].ptr == NULL || (values[i].ptr >= topic.ptr &&
                                       values[i].ptr + values[i].len <= topic.ptr + topic.len));
    }
    return is_match;
}

/* With names for levels the topic is whole again, but for an empty end that `{name...}` took. */
static void must_hold_all(const struct topic_pattern *pattern, struct mr_slice topic)
{
    struct mr_slice values[TOPIC_PATTERN_NAMES_MAX];
    struct mr_buf unnamed;
    size_t bytes = 0;
    if (!topic_pattern_match(pattern, topic, values)) {
        return;
    }
    buf_init(&unnamed, topic.len);
    MUST(topic_pattern_write_unnamed(pattern, topic, &unnamed) == 0);
    bytes = unnamed.len;
    for (size_t i = 0; i < topic_pattern_names(pattern); i++) {
        bytes += values[i].ptr == NULL ? 0 : values[i].len + 1; /* and its slash */
    }
    MUST(bytes + 1 >= topic.len && bytes <= topic.len + 1);
    buf_done(&unnamed);
}

/* `filter` with levels for its wildcards: `+` a fresh one, `#` `deep` of them. */
static bool takes_witness(const struct topic_pattern *outer, const char *filter, unsigned deep)
{
    struct mr_buf topic;
    bool is_taken;
    buf_init(&topic, (size_t)1 << 20);
    for (const char *c = filter; *c != '\0'; c++) {
        if (*c == '+') {
            (void)buf_add_str(&topic, FRESH);
        } else if (*c != '#') {
            (void)buf_add_char(&topic, *c);
        } else if (deep == 0 && topic.len > 0) {
            topic.len--; /* the slash: the level above */
        }
        for (unsigned i = 0; *c == '#' && i < deep; i++) {
            (void)buf_add_str(&topic, i == 0 ? FRESH : "/" FRESH);
        }
    }
    MUST(topic.failed == 0);
    is_taken = topic.len == 0 || takes(outer, buf_slice(&topic));
    buf_done(&topic);
    return is_taken;
}

static void compare(const struct topic_pattern *outer, const struct topic_pattern *inner,
                    struct mr_slice topic)
{
    const char *outer_filter = topic_pattern_filter(outer);
    const char *filter = topic_pattern_filter(inner);
    bool covers = topic_filter_covers(outer_filter, filter);
    MUST(!covers || !takes(inner, topic) || takes(outer, topic));
    MUST(topic_filter_covers(filter, filter));
    MUST(topic_filters_overlap(outer_filter, filter) ==
         topic_filters_overlap(filter, outer_filter));
    MUST(topic_filters_overlap(outer_filter, filter) ||
         (!covers && !(takes(inner, topic) && takes(outer, topic))));
    if (strstr(outer_filter, FRESH) == NULL) {
        MUST(covers == (takes_witness(outer, filter, 0) && takes_witness(outer, filter, 1) &&
                        takes_witness(outer, filter, TOPIC_LEVELS_MAX + 1)));
    }
}

static struct mr_slice next(struct mr_slice *left)
{
    const char *end = left->len == 0 ? NULL : memchr(left->ptr, '\0', left->len);
    struct mr_slice part = *left;
    if (end == NULL) {
        *left = mr_slice("", 0);
        return part;
    }
    part.len = (size_t)(end - left->ptr);
    *left = mr_slice(end + 1, left->len - part.len - 1);
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_slice left = size == 0 ? mr_slice("", 0) : mr_slice(bytes, size);
    struct topic_pattern *one = parse(next(&left));
    struct topic_pattern *other = parse(next(&left));
    if (one != NULL) {
        (void)takes(one, left);
        must_hold_all(one, left);
    }
    if (one != NULL && other != NULL) {
        compare(one, other, left);
        compare(other, one, left);
    }
    topic_pattern_free(one);
    topic_pattern_free(other);
    return 0;
}
