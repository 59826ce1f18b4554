// SPDX-License-Identifier: Apache-2.0
/* Happy path: settings -> log -> loop, signals, admin listener -> start() -> RUNNING; a signal ->
 * DRAINING: not ready, drain() -> mr_program_drained() and the last send is settled -> STOPPING:
 * stop(), the producer is closed, and the loop runs until the last handle is -> everything is
 * freed. What can go wrong: the drain misses its deadline, or a second signal comes: STOPPING
 * begins all the same, with status 1. Something doesn't close within STOP_MS_MAX, or a signal comes
 * while STOPPING: the process ends there and then, status 1. */
#include <assert.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <millrace/log.h>
#include <millrace/metrics.h>

#include "base/metrics.h"
#include "kafka/producer.h"
#include "kit/magic.h"
#include "kit/slice.h"
#include "program/admin.h"
#include "program/process_metrics.h"
#include "program/program_internal.h"
#include "program/settings.h"

#define PROGRAM_MAGIC 0x9306A4A1u

enum {
    DRAIN_MS_MIN = 200, /* what is idle needs a few turns of its loops to find that out */
    STOP_MS_MAX = 5000,
    TEXT_BYTES_MAX = 1024 * 1024,
    MODE_BYTES = 200,
    HEAP_KEPT_BYTES = 2 * 1024 * 1024,
    HEAP_BLOCK_BYTES_MAX = 2 * 1024 * 1024, /* larger ones are mapped by themselves */
};

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_DRAINING, PHASE_STOPPING };

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { SIGNALS = 3 };

struct mr_program {
    unsigned magic;
    const struct mr_program_spec *spec;
    const struct settings *settings;
    uv_loop_t loop;
    enum phase phase;
    int status;
    bool drained; /* mr_program_drained has been called */
    uint64_t began_ns;
    uint64_t deadline_ns; /* from DRAINING on */
    struct readiness readiness;
    struct mr_series *ready_gauge;
    struct admin *admin;
    uv_signal_t signals[SIGNALS];
    uv_timer_t timer;     /* RUNNING: a failure; DRAINING: the end of it; STOPPING: STOP_MS_MAX */
    uv_prepare_t settled; /* DRAINING, when it is said to be over, and STOPPING: are all sends? */
    struct mr_producer *producer;
    struct mr_port *port;
    void *state;
};

static const struct mr_metric ready_metric = {
    .name = "millrace_ready",
    .type = MR_GAUGE,
    .help = "1 while the program can do its job; otherwise 0, and /readyz says why.",
};

uv_loop_t *mr_program_loop(struct mr_program *program)
{
    return &program->loop;
}

const void *mr_program_options(const struct mr_program *program)
{
    return program->settings->target;
}

void mr_program_set_state(struct mr_program *program, void *state)
{
    program->state = state;
}

void *mr_program_state(const struct mr_program *program)
{
    return program->state;
}

const struct kafka_conf *program_kafka_conf(const struct mr_program *program)
{
    return &program->settings->kafka;
}

struct readiness *program_readiness(struct mr_program *program)
{
    return &program->readiness;
}

void mr_program_set_ready(struct mr_program *program, const char *condition, const char *reason)
{
    readiness_set(&program->readiness, condition, reason == NULL, "%s",
                  reason == NULL ? "" : reason);
}

int64_t program_deadline_left_ms(const struct mr_program *program)
{
    uint64_t now = uv_hrtime();
    if (program->phase < PHASE_DRAINING) {
        return program->settings->frame->shutdown_deadline_ms;
    }
    return now >= program->deadline_ns ? 0 : (int64_t)((program->deadline_ns - now) / 1000000);
}

int mr_program_producer(struct mr_program *program, const struct mr_producer_options *options,
                        struct mr_producer **ret_producer, struct mr_error *err)
{
    const struct producer_spec spec = {.conf = &program->settings->kafka,
                                       .options = options,
                                       .program = program->spec->name,
                                       .readiness = &program->readiness};
    int rc;
    if (program->producer == NULL) {
        rc = producer_new(&program->loop, &spec, &program->producer, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (program->port == NULL) {
        rc = producer_port_open(program->producer, &program->loop, &program->port, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (ret_producer != NULL) {
        *ret_producer = program->producer;
    }
    return 0;
}

struct mr_port *mr_program_port(struct mr_program *program)
{
    return program->port;
}

static void on_readiness_change(struct readiness *readiness, void *user)
{
    struct mr_program *program;
    bool ready = readiness_is_ready(readiness);
    MAGIC_CAST(program, user, PROGRAM_MAGIC);
    mr_gauge_set(program->ready_gauge, ready ? 1 : 0);
    if (ready) {
        mr_log(MR_LOG_INFO, "ready",
               MR_INT("since_start_ms", (uv_hrtime() - program->began_ns) / 1000000));
        return;
    }
    for (unsigned i = 0; i < readiness->count; i++) {
        if (!readiness->conditions[i].holds) {
            mr_log(readiness->is_ending ? MR_LOG_INFO : MR_LOG_WARN, "not ready",
                   MR_STR("condition", readiness->conditions[i].name),
                   MR_STR("reason", readiness->conditions[i].reason));
            return;
        }
    }
}

static void on_producer_closed(void *user)
{
    struct mr_program *program;
    MAGIC_CAST(program, user, PROGRAM_MAGIC);
    program->producer = NULL;
}

static bool all_settled(const struct mr_program *program)
{
    return program->port == NULL || producer_port_pending(program->port) == 0;
}

static bool is_drained(const struct mr_program *program)
{
    return program->drained && all_settled(program);
}

/* Close our port as soon as its last send is settled, and the producer as soon as no port is left:
 * a program with more loops closes theirs meanwhile. */
static void on_close_prepare(uv_prepare_t *handle)
{
    struct mr_program *program;
    MAGIC_CAST(program, handle->data, PROGRAM_MAGIC);
    if (program->port != NULL && all_settled(program)) {
        producer_port_close(program->port, NULL, NULL);
        program->port = NULL;
    }
    if (program->port == NULL && producer_port_count(program->producer) == 0) {
        (void)uv_prepare_stop(handle);
        producer_close(program->producer, on_producer_closed, program);
    }
}

static void close_producer(struct mr_program *program)
{
    if (program->producer != NULL) {
        producer_abandon(program->producer);
        (void)uv_prepare_start(&program->settled, on_close_prepare);
        on_close_prepare(&program->settled);
    }
}

_Noreturn static void end_at_once(const char *why)
{
    mr_log(MR_LOG_ERROR, "ended at once", MR_STR("reason", why));
    _exit(1);
}

static void on_stop_timeout(uv_timer_t *timer)
{
    (void)timer;
    end_at_once("something did not close in time");
}

/* The frame's own handles must not keep the loop running while the others close. */
static void begin_stop(struct mr_program *program)
{
    assert(program->phase != PHASE_STOPPING);
    program->phase = PHASE_STOPPING;
    (void)uv_prepare_stop(&program->settled);
    (void)uv_timer_start(&program->timer, on_stop_timeout, STOP_MS_MAX, 0);
    uv_unref((uv_handle_t *)&program->timer);
    for (int i = 0; i < SIGNALS; i++) {
        uv_unref((uv_handle_t *)&program->signals[i]);
    }
    if (!is_drained(program) && program->producer != NULL) {
        producer_abandon(program->producer);
    }
    program->spec->stop(program);
    admin_close(program->admin);
    program->admin = NULL;
    close_producer(program);
}

static void on_drain_timer(uv_timer_t *timer)
{
    struct mr_program *program;
    MAGIC_CAST(program, timer->data, PROGRAM_MAGIC);
    if (!is_drained(program)) {
        mr_log(MR_LOG_ERROR, "the drain took too long: what is left is given up",
               MR_INT("shutdown_deadline_ms", program->settings->frame->shutdown_deadline_ms));
        program->status = 1;
    }
    begin_stop(program);
}

static void begin_drain(struct mr_program *program, const char *reason)
{
    uint64_t deadline_ms = (uint64_t)program->settings->frame->shutdown_deadline_ms;
    assert(program->phase == PHASE_RUNNING);
    deadline_ms = deadline_ms < DRAIN_MS_MIN ? DRAIN_MS_MIN : deadline_ms;
    program->phase = PHASE_DRAINING;
    program->deadline_ns = uv_hrtime() + deadline_ms * 1000000;
    mr_log(MR_LOG_INFO, "draining", MR_STR("reason", reason));
    program->readiness.is_ending = true;
    mr_program_set_ready(program, "program", "draining");
    uv_update_time(&program->loop);
    (void)uv_timer_start(&program->timer, on_drain_timer, deadline_ms, 0);
    program->spec->drain(program);
}

/* Stops from the timer, so that stop() is never called from inside drain(). */
static void stop_when_drained(uv_prepare_t *handle)
{
    struct mr_program *program;
    MAGIC_CAST(program, handle->data, PROGRAM_MAGIC);
    if (is_drained(program)) {
        (void)uv_prepare_stop(handle);
        (void)uv_timer_start(&program->timer, on_drain_timer, 0, 0);
    }
}

void mr_program_drained(struct mr_program *program)
{
    if (program->phase == PHASE_DRAINING && !program->drained) {
        program->drained = true;
        (void)uv_prepare_start(&program->settled, stop_when_drained);
        stop_when_drained(&program->settled);
    }
}

/* Drains from the timer: drain() is never called from inside the program's own functions. */
static void on_end_timer(uv_timer_t *timer)
{
    struct mr_program *program;
    MAGIC_CAST(program, timer->data, PROGRAM_MAGIC);
    begin_drain(program, program->status == 0 ? "it is done" : "it failed");
}

void mr_program_finish(struct mr_program *program)
{
    if (program->phase <= PHASE_RUNNING) {
        (void)uv_timer_start(&program->timer, on_end_timer, 0, 0);
    }
}

void mr_program_fail(struct mr_program *program, const struct mr_error *err)
{
    mr_log(MR_LOG_ERROR, "failed", MR_STR("error", err->text));
    program->status = 1;
    if (program->phase <= PHASE_RUNNING) {
        (void)uv_timer_start(&program->timer, on_end_timer, 0, 0);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct mr_program *program;
    const char *name = number == SIGTERM ? "SIGTERM" : "SIGINT";
    MAGIC_CAST(program, handle->data, PROGRAM_MAGIC);
    switch (program->phase) {
        case PHASE_STARTING: /* the loop doesn't run yet */
            break;
        case PHASE_RUNNING:
            begin_drain(program, name);
            break;
        case PHASE_DRAINING:
            mr_log(MR_LOG_ERROR, "a second signal: what is left is given up",
                   MR_STR("signal", name));
            program->status = 1;
            begin_stop(program);
            break;
        case PHASE_STOPPING:
            end_at_once("a signal while stopping");
    }
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct mr_program *program;
    (void)number;
    MAGIC_CAST(program, handle->data, PROGRAM_MAGIC);
    if (program->phase == PHASE_RUNNING) {
        mr_log(MR_LOG_INFO, "reloading", MR_STR("signal", "SIGHUP"));
        program->spec->reload(program);
    }
}

static int start_signals(struct mr_program *program)
{
    int rc = 0;
    for (int i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&program->loop, &program->signals[i]);
        program->signals[i].data = program;
    }
    for (int i = 0; i < SIGNALS && rc == 0; i++) {
        if (signals[i] != SIGHUP) {
            rc = uv_signal_start(&program->signals[i], on_signal, signals[i]);
        } else if (program->spec->reload != NULL) {
            rc = uv_signal_start(&program->signals[i], on_hangup, SIGHUP);
        }
    }
    return rc;
}

static int open_handles(struct mr_program *program, struct mr_error *err)
{
    int rc = uv_loop_init(&program->loop);
    if (rc != 0) {
        return mr_error_set(err, MR_EIO, "event loop: %s", uv_strerror(rc));
    }
    (void)uv_timer_init(&program->loop, &program->timer);
    (void)uv_prepare_init(&program->loop, &program->settled);
    program->timer.data = program;
    program->settled.data = program;
    rc = start_signals(program);
    /* Of the loop's handles these alone never count as work. */
    uv_unref((uv_handle_t *)&program->settled);
    return rc == 0 ? 0 : mr_error_set(err, MR_EIO, "signals: %s", uv_strerror(rc));
}

static void close_handles(struct mr_program *program)
{
    uv_close((uv_handle_t *)&program->timer, NULL);
    uv_close((uv_handle_t *)&program->settled, NULL);
    for (int i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&program->signals[i], NULL);
    }
    (void)uv_run(&program->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&program->loop) != 0) {
        mr_log(MR_LOG_ERROR, "a handle was left open");
    }
}

static int start(struct mr_program *program, struct mr_error *err)
{
    int rc;
    mr_program_set_ready(program, "program", "starting");
    rc = admin_open(&program->loop, &program->settings->frame->admin_listen, &program->readiness,
                    &program->admin, err);
    if (rc != 0) {
        return rc;
    }
    return program->spec->start(program, err);
}

static void run(struct mr_program *program)
{
    struct mr_error err;
    if (open_handles(program, &err) != 0) {
        mr_log(MR_LOG_ERROR, "can't start", MR_STR("error", err.text));
        program->status = 1;
        return;
    }
    if (start(program, &err) != 0) {
        mr_log(MR_LOG_ERROR, "can't start", MR_STR("error", err.text));
        program->status = 1;
        begin_stop(program);
    } else {
        program->phase = PHASE_RUNNING;
        mr_program_set_ready(program, "program", NULL);
    }
    (void)uv_run(&program->loop, UV_RUN_DEFAULT);
    close_handles(program);
    mr_log(MR_LOG_INFO, "ended", MR_INT("status", program->status));
}

static void log_lines(struct mr_slice text)
{
    while (text.len > 0) {
        mr_log(MR_LOG_WARN, "configuration", MR_SLICE_FIELD("warning", slice_cut(&text, '\n')));
    }
}

static int run_program(const struct mr_program_spec *spec, struct settings *settings)
{
    static struct mr_program program; /* a process has one, and its loop is large */
    program = (struct mr_program){.magic = PROGRAM_MAGIC, .spec = spec, .settings = settings};
    program.began_ns = uv_hrtime();
    mr_log_init(spec->name, (enum mr_log_level)settings->frame->log_level,
                (enum mr_log_format)settings->frame->log_format);
    mr_log(MR_LOG_INFO, "starting", MR_STR("version", MILLRACE_VERSION),
           MR_STR("config", settings->config == NULL ? "none" : settings->config));
    log_lines(buf_slice(options_warnings(settings->options)));
    process_metrics_init();
    program.ready_gauge = mr_series_get(&ready_metric, NULL);
    readiness_init(&program.readiness);
    program.readiness.on_change = on_readiness_change;
    program.readiness.user = &program;
    run(&program);
    metrics_reset();
    return program.status;
}

static int print(FILE *file, struct mr_buf *text)
{
    int status = text->failed == 0 ? 0 : 1;
    if (text->len > 0 && fwrite(text->ptr, text->len, 1, file) != 1) {
        status = 1;
    }
    if (fflush(file) != 0) {
        status = 1;
    }
    buf_done(text);
    return status;
}

static int print_help(const struct settings *settings)
{
    const struct mr_program_spec *spec = settings->spec;
    char mode[MODE_BYTES] = "";
    struct mr_buf out;
    if (spec->mode != NULL) {
        (void)snprintf(mode, sizeof mode, "  --%-13s%s\n", spec->mode, spec->mode_text);
    }
    buf_init(&out, TEXT_BYTES_MAX);
    (void)buf_addf(&out,
                   "usage: %s [--config FILE] [--check] [--section.key=value ...]\n\n%s\n\n"
                   "  --config FILE  read FILE (default /etc/millrace/%s.conf, if it exists)\n"
                   "%s"
                   "  --check        check the configuration and end\n"
                   "  --markdown     print this program's part of docs/CONFIGURATION.md and end\n"
                   "  --version      print the version and end\n"
                   "  --help         print this and end\n\n"
                   "Each option is a line \"key = value\" under its [section] in the file, a "
                   "variable\nMILLRACE_SECTION_KEY in the environment, or a flag here; the later "
                   "wins.\n[kafka], [kafka.producer] and [kafka.consumer] go to librdkafka word "
                   "for word.\n",
                   spec->name, spec->summary, spec->name, mode);
    (void)options_write_help(&settings->options_spec, &out);
    return print(stdout, &out);
}

static int print_version(const struct settings *settings)
{
    struct mr_buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    (void)buf_addf(&out, "%s %s\n", settings->spec->name, MILLRACE_VERSION);
    return print(stdout, &out);
}

static int print_markdown(const struct settings *settings)
{
    struct mr_buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    (void)options_write_markdown(&settings->options_spec, &out);
    return print(stdout, &out);
}

static int refuse(const struct settings *settings)
{
    struct mr_buf out;
    size_t count = options_problem_count(settings->options);
    buf_init(&out, TEXT_BYTES_MAX);
    (void)buf_add_slice(&out, buf_slice(options_warnings(settings->options)));
    (void)buf_addf(&out, "%s: %zu %s in the configuration:\n", settings->spec->name, count,
                   count == 1 ? "problem" : "problems");
    (void)buf_add_slice(&out, buf_slice(options_problems(settings->options)));
    (void)print(stderr, &out);
    return 2;
}

static int check_passed(const struct settings *settings)
{
    struct mr_buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    (void)buf_add_slice(&out, buf_slice(options_warnings(settings->options)));
    (void)print(stderr, &out);
    (void)buf_addf(&out, "%s: configuration is fine\n", settings->spec->name);
    return print(stdout, &out);
}

static int obey(struct settings *settings, int argc, char **argv)
{
    settings_read_arguments(settings, argc, argv);
    if (settings->help) {
        return print_help(settings);
    }
    if (settings->version) {
        return print_version(settings);
    }
    if (settings->markdown) {
        return print_markdown(settings);
    }
    settings_read_rest(settings);
    if (options_problem_count(settings->options) > 0) {
        return refuse(settings);
    }
    return settings->check ? check_passed(settings) : run_program(settings->spec, settings);
}

/* A closed standard stream would be given to the next socket, and log lines to its peer. */
static void open_standard_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        (void)close(fd);
    }
}

/* By default glibc gives back to the system what is free at the end of the heap as soon as that is
 * 128 KiB, and asks for it anew a moment later: with each batch, for librdkafka's buffers are of
 * that size. What is kept instead is bounded by this, for each arena. A block that is mapped by
 * itself has new pages each time: so not the buffers into which librdkafka unpacks a full batch of
 * a producer (message.max.bytes), up to 1.7 MB. */
static void keep_freed_memory(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX);
}

int mr_program_main(int argc, char **argv, const struct mr_program_spec *spec)
{
    struct settings settings;
    struct mr_error err;
    int status;
    keep_freed_memory();
    open_standard_streams();
    (void)signal(SIGPIPE, SIG_IGN);
    if (settings_init(&settings, spec, &err) != 0) {
        (void)fprintf(stderr, "%s: %s\n", spec->name, err.text);
        return 1;
    }
    status = obey(&settings, argc, argv);
    settings_done(&settings);
    return status;
}
