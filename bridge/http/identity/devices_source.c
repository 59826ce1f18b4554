// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/devices_source.h"

#include <millrace/log.h>

#include "kit/magic.h"
#include "kit/slice.h"

enum { SOURCE_MAGIC = 0x44565352 };

static void log_problems(const struct device_problems *problems)
{
    struct mr_slice left = buf_slice(&problems->text);
    while (left.len > 0) {
        mr_log(MR_LOG_ERROR, "devices file", MR_SLICE_FIELD("problem", slice_cut(&left, '\n')));
    }
}

static void take(struct devices_source *source, struct devices *devices)
{
    devices_disown(source->devices);
    source->devices = devices;
    mr_gauge_set(source->metrics->devices, devices->count);
    mr_count(source->metrics->reads[DEVICES_TAKEN], 1);
    mr_log(MR_LOG_INFO, "devices file read", MR_STR("file", source->path),
           MR_INT("devices", devices->count));
}

static void on_read(uv_work_t *work)
{
    struct devices_source *source;
    MAGIC_CAST(source, work->data, SOURCE_MAGIC);
    device_problems_init(&source->problems);
    if (device_file_read(source->path, &source->read, &source->problems) != 0) {
        source->read = NULL;
    }
}

static void finish_close(struct devices_source *source)
{
    void (*closed)(struct devices_source *) = source->closed;
    if (!source->is_closing || source->is_reading || source->is_watching) {
        return;
    }
    source->magic = 0;
    devices_disown(source->devices);
    closed(source);
}

static void on_was_read(uv_work_t *work, int status)
{
    struct devices_source *source;
    (void)status;
    MAGIC_CAST(source, work->data, SOURCE_MAGIC);
    source->is_reading = false;
    if (source->is_closing) {
        devices_disown(source->read);
    } else if (source->read != NULL) {
        take(source, source->read);
        source->on_new(source->devices, source->user);
    } else {
        mr_count(source->metrics->reads[DEVICES_REFUSED], 1);
        log_problems(&source->problems);
        mr_log(MR_LOG_ERROR, "the devices file is not taken: the devices read before stay in force",
               MR_STR("file", source->path), MR_INT("problems", source->problems.count),
               MR_INT("devices", source->devices->count));
    }
    source->read = NULL;
    device_problems_done(&source->problems);
    if (source->is_wanted_again) {
        source->is_wanted_again = false;
        devices_source_read_again(source);
    }
    finish_close(source);
}

void devices_source_read_again(struct devices_source *source)
{
    MAGIC_CHECK(source, SOURCE_MAGIC);
    if (source->path == NULL || source->is_closing) {
        return;
    }
    if (source->is_reading) {
        source->is_wanted_again = true;
        return;
    }
    source->is_reading = true;
    (void)uv_queue_work(source->loop, &source->work, on_read, on_was_read);
}

static void on_change(void *user)
{
    devices_source_read_again(user);
}

static void on_watch_closed(void *user)
{
    struct devices_source *source;
    MAGIC_CAST(source, user, SOURCE_MAGIC);
    source->is_watching = false;
    finish_close(source);
}

static int read_first(struct devices_source *source, struct mr_error *err)
{
    struct devices *devices;
    int rc;
    if (source->path == NULL) {
        source->devices = devices_new();
        return source->devices == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
    }
    device_problems_init(&source->problems);
    rc = device_file_read(source->path, &devices, &source->problems);
    if (rc == 0) {
        take(source, devices);
    } else {
        log_problems(&source->problems);
        rc = mr_error_set(err, MR_ECONFIG, "the devices file %s can't be taken", source->path);
    }
    device_problems_done(&source->problems);
    return rc;
}

int devices_source_open(struct devices_source *source, uv_loop_t *loop, const char *path,
                        const struct authentication_metrics *metrics,
                        void (*on_new)(struct devices *devices, void *user), void *user,
                        struct mr_error *err)
{
    int rc = 0;
    *source = (struct devices_source){.magic = SOURCE_MAGIC,
                                      .path = path,
                                      .metrics = metrics,
                                      .on_new = on_new,
                                      .user = user,
                                      .loop = loop};
    source->work.data = source;
    if (path != NULL) { /* before the file is read: file_watch.h says what is seen of changes */
        source->is_watching = true;
        rc = file_watch_open(&source->watch, loop, &path, 1, on_change, source, err);
    }
    return rc == 0 ? read_first(source, err) : rc;
}

void devices_source_close(struct devices_source *source,
                          void (*closed)(struct devices_source *source))
{
    MAGIC_CHECK(source, SOURCE_MAGIC);
    source->is_closing = true;
    source->closed = closed;
    if (source->is_watching) {
        file_watch_close(&source->watch, on_watch_closed);
    } else {
        finish_close(source);
    }
}
