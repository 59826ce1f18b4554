// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_DEVICES_SOURCE_H
#define BRIDGE_HTTP_DEVICES_SOURCE_H

/* The devices file while the program runs: read at the start, and again when it changes or someone
 * asks, in a thread of libuv's pool. A file that is wrong is told, and the devices that are in
 * force stay so. Main loop. */

#include <uv.h>

#include <millrace/error.h>

#include "base/file_watch.h"
#include "bridge/http/authentication_metrics.h"
#include "bridge/http/device_file.h"

struct devices_source {
    unsigned magic;
    const char *path; /* NULL: there is no file, and no device */
    struct devices *devices;
    const struct authentication_metrics *metrics;
    void (*on_new)(struct devices *devices, void *user); /* borrowed */
    void *user;
    bool is_watching;
    bool is_reading;
    bool is_wanted_again; /* while it is read */
    bool is_closing;
    void (*closed)(struct devices_source *source);
    uv_loop_t *loop;
    uv_work_t work;
    struct file_watch watch;
    struct devices *read; /* the thread's, while it reads; NULL: wrong */
    struct device_problems problems;
};

/* Errors: MR_ECONFIG (what is wrong with the file is in the log), MR_EIO, MR_ENOMEM; close it then
 * as well. The source must stay where it is until it is closed. */
int devices_source_open(struct devices_source *source, uv_loop_t *loop, const char *path,
                        const struct authentication_metrics *metrics,
                        void (*on_new)(struct devices *devices, void *user), void *user,
                        struct mr_error *err);

void devices_source_read_again(struct devices_source *source);

/* `closed` may be called at once. */
void devices_source_close(struct devices_source *source,
                          void (*closed)(struct devices_source *source));

#endif
