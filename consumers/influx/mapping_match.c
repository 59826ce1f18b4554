// SPDX-License-Identifier: Apache-2.0
/* Which rule an event is for. */
#include <stdint.h>

#include "consumers/influx/mapping_rules.h"

bool mapping_glob_matches(struct mr_slice glob, struct mr_slice text)
{
    size_t g = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* behind the last '*' */
    size_t star_text = 0;
    for (;;) {
        bool is_escaped = g + 1 < glob.len && glob.ptr[g] == '\\';
        if (g < glob.len && glob.ptr[g] == '*') {
            star = ++g;
            star_text = t;
        } else if (t == text.len) {
            return g == glob.len;
        } else if (g < glob.len && glob.ptr[g] == '?') {
            g++;
            do {
                t++;
            } while (t < text.len && ((unsigned char)text.ptr[t] & 0xC0U) == 0x80);
        } else if (g < glob.len && glob.ptr[g + is_escaped] == text.ptr[t]) {
            g += 1U + is_escaped;
            t++;
        } else if (star != SIZE_MAX) {
            g = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
}

static int rule_matches(const struct rule *rule, struct mr_event *event, bool *ret_matches,
                        struct mr_error *err)
{
    *ret_matches = false;
    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct rule_condition *condition = &rule->conditions[i];
        const struct mr_attribute *attribute = mr_event_find(event, condition->attribute);
        struct mr_slice text;
        int rc = attribute == NULL ? 0 : mr_event_canonical(event, attribute, &text, err);
        if (rc != 0) {
            return rc;
        }
        if (attribute == NULL || !mapping_glob_matches(condition->glob, text)) {
            return 0;
        }
    }
    *ret_matches = true;
    return 0;
}

int mapping_rules_match(const struct mapping_rules *rules, struct mr_event *event,
                        const struct rule **ret_rule, struct mr_error *err)
{
    *ret_rule = NULL;
    for (size_t i = 0; i < rules->count; i++) {
        bool matches;
        int rc = rule_matches(rules->at[i], event, &matches, err);
        if (rc != 0) {
            return rc;
        }
        if (matches) {
            *ret_rule = rules->at[i];
            return 0;
        }
    }
    return 0;
}
