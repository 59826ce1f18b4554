// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_FILE_WATCH_H
#define BASE_FILE_WATCH_H

/* Tells when one of some files has changed: its content, or which file its name stands for
 * (Kubernetes changes a symbolic link). They are looked at once a second by name, and a change is
 * told when they have been still for a moment, so that a certificate and its key, written one after
 * the other, are told as one. A file that is missing is waited for; that it vanishes is no change.
 *
 * The first look, which the others are compared with, is taken by libuv's thread pool at the
 * opening: what changes before the pool has come to it is not told. */

#include <uv.h>

#include <millrace/error.h>

enum { FILE_WATCH_FILES_MAX = 8, FILE_WATCH_POLL_MS = 1000, FILE_WATCH_STILL_MS = 200 };

struct file_watch {
    unsigned magic;
    uv_fs_poll_t polls[FILE_WATCH_FILES_MAX];
    uv_timer_t still;
    unsigned handles_open;
    void (*on_change)(void *user);
    void *user;
    void (*on_closed)(void *user);
};

/* `paths` are copied; NULL ones are left out. The watch must stay where it is until it is closed.
 * Errors: MR_EIO, MR_ENOMEM; close it then as well. */
int file_watch_open(struct file_watch *watch, uv_loop_t *loop, const char *const *paths,
                    size_t count, void (*on_change)(void *user), void *user, struct mr_error *err);

/* `on_closed` gets the user of the opening, on the loop; it may be NULL. */
void file_watch_close(struct file_watch *watch, void (*on_closed)(void *user));

#endif
