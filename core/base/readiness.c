// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>

#include "base/readiness.h"

void readiness_init(struct readiness *readiness)
{
    memset(readiness, 0, sizeof *readiness);
}

/* With too many conditions the last one stands for the rest, and never holds: a program must not
 * be called ready because something could not be noted. */
static struct readiness_condition *find_or_add(struct readiness *readiness, const char *name,
                                               bool *ret_is_new)
{
    struct readiness_condition *condition;
    *ret_is_new = false;
    for (unsigned i = 0; i < readiness->count; i++) {
        condition = &readiness->conditions[i];
        if (strcmp(condition->name, name) == 0) {
            return condition;
        }
    }
    if (readiness->count == READINESS_CONDITIONS_MAX) {
        condition = &readiness->conditions[READINESS_CONDITIONS_MAX - 1];
        *condition =
            (struct readiness_condition){.name = "conditions", .reason = "there are too many"};
        return NULL;
    }
    *ret_is_new = true;
    condition = &readiness->conditions[readiness->count++];
    *condition = (struct readiness_condition){.name = name};
    return condition;
}

/* A reason is one line of /readyz. */
static void one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ') {
            *text = ' ';
        }
    }
}

static void tell_change(struct readiness *readiness)
{
    bool ready = readiness_is_ready(readiness);
    if (ready == readiness->was_ready) {
        return;
    }
    readiness->was_ready = ready;
    if (readiness->on_change != NULL) {
        readiness->on_change(readiness, readiness->user);
    }
}

void readiness_set(struct readiness *readiness, const char *name, bool holds,
                   const char *reason_format, ...)
{
    struct readiness_condition *condition;
    bool is_new;
    bool held;
    va_list args;
    if (readiness == NULL) {
        return;
    }
    condition = find_or_add(readiness, name, &is_new);
    if (condition == NULL) {
        tell_change(readiness);
        return;
    }
    held = condition->holds;
    condition->holds = holds;
    condition->reason[0] = '\0';
    if (!holds) {
        va_start(args, reason_format);
        (void)vsnprintf(condition->reason, sizeof condition->reason, reason_format, args);
        va_end(args);
        one_line(condition->reason);
    }
    if (holds && !held) {
        mr_log(MR_LOG_INFO, "condition holds", MR_STR("condition", name));
    } else if (!holds && held) {
        mr_log(readiness->is_ending ? MR_LOG_INFO : MR_LOG_WARN, "condition lost",
               MR_STR("condition", name), MR_STR("reason", condition->reason));
    } else if (is_new) {
        mr_log(MR_LOG_INFO, "condition awaited", MR_STR("condition", name),
               MR_STR("reason", condition->reason));
    }
    tell_change(readiness);
}

bool readiness_is_ready(const struct readiness *readiness)
{
    for (unsigned i = 0; i < readiness->count; i++) {
        if (!readiness->conditions[i].holds) {
            return false;
        }
    }
    return true;
}

int readiness_write(const struct readiness *readiness, struct mr_buf *out)
{
    for (unsigned i = 0; i < readiness->count; i++) {
        const struct readiness_condition *condition = &readiness->conditions[i];
        if (!condition->holds) {
            (void)buf_addf(out, "%s: %s\n", condition->name, condition->reason);
        }
    }
    return out->failed;
}
