// SPDX-License-Identifier: Apache-2.0
/* What a worker would be refused at its start, found before. */
#include "kafka/worker_internal.h"

/* Dead letters need a producer, which is made only with the first of them. */
static void check_dead_letters(const struct worker_loop_spec *spec, struct mr_check *check)
{
    const struct mr_producer_options options = {.queue_events_max = 1, .queue_bytes_max = 1};
    const struct producer_spec producer = {
        .conf = spec->conf, .options = &options, .program = spec->program};
    producer_check(&producer, check);
}

static void check_delays(const struct mr_worker_loop_options *options, struct mr_check *check)
{
    if (options->retry_delay_ms > options->retry_delay_max_ms &&
        mr_check_is_right(check, NULL, "retry.delay.max")) {
        mr_check_problem(
            check, NULL, "retry.delay", "%lld ms is more than retry.delay.max, %lld ms",
            (long long)options->retry_delay_ms, (long long)options->retry_delay_max_ms);
    }
}

void worker_loop_check(const struct worker_loop_spec *spec, struct mr_check *check)
{
    const char *group = spec->options->group;
    worker_topics_check(spec->options, check);
    if (group != NULL && *group == '\0') {
        mr_check_problem(check, NULL, "group",
                         "must not be empty; the group is the program's name if it is not given");
    }
    check_delays(spec->options, check);
    if (spec->conf != NULL) {
        consumer_check(spec, check);
        check_dead_letters(spec, check);
    }
}
