// SPDX-License-Identifier: Apache-2.0
/* `millrace dead`: what is in a dead-letter topic, and what is to become of it. Reads without a
 * consumer group and commits nothing, so that workers go on undisturbed. */
#include <errno.h>
#include <millrace/log.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/dead.h"
#include "kafka/kafka_topics.h"

enum { SHOW_MAX = 1000000000, REPLAYS_MAX = 1000 };

static volatile sig_atomic_t interrupted;

static const struct mr_option options[] = {
    {.key = "action",
     .type = MR_OPTION_ENUM,
     .choices = "list|show|replay|drop",
     .initial = "list",
     .text = "What to do; the first word behind `millrace dead`.",
     .offset = offsetof(struct dead_options, action)},
    {.key = "from",
     .type = MR_OPTION_STRING,
     .initial = "events.dead",
     .flags = MR_OPTION_REQUIRED,
     .text = "The dead-letter topic; the second word.",
     .offset = offsetof(struct dead_options, from)},
    {.key = "reason",
     .type = MR_OPTION_STRING,
     .text = "Only letters with this reason.",
     .offset = offsetof(struct dead_options, reason)},
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .text = "Only letters that were in this topic.",
     .offset = offsetof(struct dead_options, topic)},
    {.key = "application",
     .type = MR_OPTION_STRING,
     .text = "Only letters of this application.",
     .offset = offsetof(struct dead_options, application)},
    {.key = "device",
     .type = MR_OPTION_STRING,
     .text = "Only letters of this device.",
     .offset = offsetof(struct dead_options, device)},
    {.key = "since",
     .type = MR_OPTION_STRING,
     .text = "Only letters that died at this moment (RFC 3339) or later.",
     .offset = offsetof(struct dead_options, since)},
    {.key = "until",
     .type = MR_OPTION_STRING,
     .text = "Only letters that died before this moment (RFC 3339).",
     .offset = offsetof(struct dead_options, until)},
    {.key = "offset",
     .type = MR_OPTION_STRING,
     .text = "Only the letter at PARTITION:OFFSET of the dead-letter topic, or those at "
             "PARTITION:FIRST-LAST.",
     .offset = offsetof(struct dead_options, offset)},
    {.key = "limit",
     .type = MR_OPTION_INTEGER,
     .initial = "0",
     .min = 0,
     .max = SHOW_MAX,
     .unit = "letters",
     .text = "show: end after so many; 0: show all.",
     .offset = offsetof(struct dead_options, limit)},
    {.key = "to",
     .type = MR_OPTION_STRING,
     .text = "replay: to this topic, instead of the one where each was.",
     .offset = offsetof(struct dead_options, to)},
    {.key = "replays-max",
     .type = MR_OPTION_INTEGER,
     .initial = "3",
     .min = 1,
     .max = REPLAYS_MAX,
     .unit = "replays",
     .text = "replay: leave what has been replayed so often, and has died again.",
     .offset = offsetof(struct dead_options, replays_max)},
    {.key = "yes",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "replay, drop: do it. Without it they only say what they would do. As a flag only.",
     .offset = offsetof(struct dead_options, yes)},
    {.key = "json",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Print JSON, a line each.",
     .offset = offsetof(struct dead_options, json)},
    MR_OPTION_END,
};

int dead_fail(const char *what, const char *why)
{
    fprintf(stderr, "millrace dead: %s: %s\n", what, why);
    return 1;
}

bool dead_is_interrupted(void)
{
    return interrupted != 0;
}

int dead_end_of_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return status;
    }
    return errno == EPIPE ? status : dead_fail("standard output", strerror(errno));
}

static void check_topic(struct mr_check *check, const char *key, const char *name)
{
    struct mr_error err;
    if (name != NULL && topics_check_name(mr_slice_of(name), &err) != 0) {
        mr_check_problem(check, NULL, key, "%s", err.text);
    }
}

static int make_filter(const struct dead_options *wanted, struct dead_filter *filter,
                       struct mr_check *check)
{
    struct mr_error err;
    int problems = 0;
    dead_filter_init(filter);
    filter->reason = mr_slice_of(wanted->reason);
    filter->topic = mr_slice_of(wanted->topic);
    filter->application = mr_slice_of(wanted->application);
    filter->device = mr_slice_of(wanted->device);
    if (dead_filter_time(wanted->since, &filter->since_ms, &err) != 0) {
        mr_check_problem(check, NULL, "since", "%s", err.text);
        problems++;
    }
    if (dead_filter_time(wanted->until, &filter->until_ms, &err) != 0) {
        mr_check_problem(check, NULL, "until", "%s", err.text);
        problems++;
    }
    if (dead_filter_place(filter, wanted->offset, &err) != 0) {
        mr_check_problem(check, NULL, "offset", "%s", err.text);
        problems++;
    }
    return problems;
}

/* What stands in a file or a variable may be meant for another of the four. */
static void check_belongs(struct mr_check *check, const char *key, bool belongs, const char *whose)
{
    if (!belongs && options_is_flag(check->options, key)) {
        mr_check_problem(check, NULL, key, "is an option of %s alone", whose);
    }
}

static void check_options(const void *data, struct mr_check *check)
{
    const struct dead_options *wanted = data;
    bool writes = wanted->action == DEAD_REPLAY || wanted->action == DEAD_DROP;
    struct dead_filter filter;
    check_topic(check, "from", wanted->from);
    check_topic(check, "to", wanted->to);
    if (wanted->to != NULL && wanted->from != NULL && strcmp(wanted->to, wanted->from) == 0) {
        mr_check_problem(check, NULL, "to", "is the dead-letter topic itself");
    }
    (void)make_filter(wanted, &filter, check);
    check_belongs(check, "limit", wanted->action == DEAD_SHOW, "`millrace dead show`");
    check_belongs(check, "to", wanted->action == DEAD_REPLAY, "`millrace dead replay`");
    check_belongs(check, "replays-max", wanted->action == DEAD_REPLAY, "`millrace dead replay`");
    check_belongs(check, "yes", writes, "`millrace dead replay` and `millrace dead drop`");
    if (wanted->yes && !options_is_flag(check->options, "yes")) {
        mr_check_problem(check, NULL, "yes", "is taken as a flag only");
    }
}

static void on_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

static int run(const void *opts, const struct kafka_conf *kafka)
{
    static int (*const actions[])(const struct dead_task *task) = {
        [DEAD_LIST] = dead_list_run,
        [DEAD_SHOW] = dead_show_run,
        [DEAD_REPLAY] = dead_replay_run,
        [DEAD_DROP] = dead_drop_run,
    };
    struct mr_error ignored;
    struct mr_check nobody = {.first = &ignored};
    struct dead_task task = {.options = opts, .kafka = kafka};
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    mr_log_init("millrace dead", MR_LOG_ERROR, MR_LOG_LOGFMT);
    if (make_filter(task.options, &task.filter, &nobody) != 0) {
        return dead_fail("configuration", ignored.text);
    }
    return actions[task.options->action](&task);
}

const struct command command_dead = {
    .name = "dead",
    .usage =
        "[list | show | replay | drop] [TOPIC] [FILTERS] [--yes] "
        "[--kafka.bootstrap.servers=HOST:PORT]",
    .summary = "see, replay or drop dead letters",
    .text =
        "list    counts by reason, topic and device\n"
        "show    each letter: why it died, where it was, the event\n"
        "replay  back to the topic where each was; --yes does it\n"
        "drop    give them up for good; --yes does it\n"
        "Filters: reason, topic, application, device, since, until, offset. TOPIC is the "
        "dead-letter topic.\nNo consumer group is used; what is replayed or dropped is marked "
        "in the dead-letter topic itself.\n[kafka], [kafka.consumer] and [kafka.producer] go "
        "to librdkafka word for word.\n",
    .options = options,
    .options_size = sizeof(struct dead_options),
    .positional = "action,from",
    .check = check_options,
    .run = run,
};
