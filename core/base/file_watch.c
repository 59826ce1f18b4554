// SPDX-License-Identifier: Apache-2.0
#include "base/file_watch.h"

#include <assert.h>

#include "kit/magic.h"

enum { FILE_WATCH_MAGIC = 0x46575443 };

static void on_still(uv_timer_t *timer)
{
    struct file_watch *watch;
    MAGIC_CAST(watch, timer->data, FILE_WATCH_MAGIC);
    watch->on_change(watch->user);
}

static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now)
{
    struct file_watch *watch;
    (void)before;
    (void)now;
    MAGIC_CAST(watch, poll->data, FILE_WATCH_MAGIC);
    if (status == 0) {
        (void)uv_timer_start(&watch->still, on_still, FILE_WATCH_STILL_MS, 0);
    }
}

int file_watch_open(struct file_watch *watch, uv_loop_t *loop, const char *const *paths,
                    size_t count, void (*on_change)(void *user), void *user, struct mr_error *err)
{
    int rc = 0;
    *watch = (struct file_watch){.magic = FILE_WATCH_MAGIC, .on_change = on_change, .user = user};
    (void)uv_timer_init(loop, &watch->still);
    watch->still.data = watch;
    watch->handles_open = 1;
    for (size_t i = 0; i < count && rc == 0; i++) {
        uv_fs_poll_t *poll = &watch->polls[watch->handles_open - 1];
        if (paths[i] == NULL) {
            continue;
        }
        assert(watch->handles_open <= FILE_WATCH_FILES_MAX);
        (void)uv_fs_poll_init(loop, poll);
        poll->data = watch;
        watch->handles_open++;
        rc = uv_fs_poll_start(poll, on_poll, paths[i], FILE_WATCH_POLL_MS);
        if (rc != 0) {
            return mr_error_set(err, rc == UV_ENOMEM ? MR_ENOMEM : MR_EIO, "watch %s: %s", paths[i],
                                uv_strerror(rc));
        }
    }
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct file_watch *watch;
    MAGIC_CAST(watch, handle->data, FILE_WATCH_MAGIC);
    watch->handles_open--;
    if (watch->handles_open == 0) {
        watch->magic = 0;
        if (watch->on_closed != NULL) {
            watch->on_closed(watch->user);
        }
    }
}

void file_watch_close(struct file_watch *watch, void (*on_closed)(void *user))
{
    unsigned polls;
    MAGIC_CHECK(watch, FILE_WATCH_MAGIC);
    polls = watch->handles_open - 1;
    watch->on_closed = on_closed;
    for (unsigned i = 0; i < polls; i++) {
        uv_close((uv_handle_t *)&watch->polls[i], on_handle_closed);
    }
    uv_close((uv_handle_t *)&watch->still, on_handle_closed);
}
