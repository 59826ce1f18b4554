// SPDX-License-Identifier: Apache-2.0
/* Happy path: shutdown -> the peer's end of file -> closed. What can go wrong: the peer goes on
 * sending or stays silent (the timer ends it). */
#include "bridge/mqtt/linger.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum { LINGER_MAGIC = 0x4c494e47, SCRAP_BYTES = 16384, READS_MAX = 16 };

struct linger_end {
    unsigned magic;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
    void (*done)(void *user);
    void *user;
};

static void on_closed(uv_handle_t *handle)
{
    struct linger_end *end;
    MAGIC_CAST(end, handle->data, LINGER_MAGIC);
    if (--end->handles == 0) {
        void (*done)(void *user) = end->done;
        void *user = end->user;
        end->magic = 0;
        mem_free(end);
        done(user);
    }
}

static void finish(struct linger_end *end)
{
    if (uv_is_closing((uv_handle_t *)&end->timer)) {
        return;
    }
    (void)uv_poll_stop(&end->poll);
    (void)close(end->fd);
    uv_close((uv_handle_t *)&end->poll, on_closed);
    uv_close((uv_handle_t *)&end->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct linger_end *end;
    MAGIC_CAST(end, timer->data, LINGER_MAGIC);
    finish(end);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct linger_end *end;
    char scrap[SCRAP_BYTES];
    (void)events;
    MAGIC_CAST(end, poll->data, LINGER_MAGIC);
    for (int i = 0; status == 0 && i < READS_MAX; i++) {
        ssize_t count = recv(end->fd, scrap, sizeof scrap, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        status = count > 0 ? 0 : UV_EOF;
    }
    if (status != 0) {
        finish(end);
    }
}

void linger(uv_loop_t *loop, int fd, uint64_t ms_max, void (*done)(void *user), void *user)
{
    struct linger_end *end = fd < 0 ? NULL : mem_zalloc(sizeof *end);
    if (end == NULL || uv_poll_init(loop, &end->poll, fd) != 0) {
        mem_free(end);
        if (fd >= 0) {
            (void)close(fd);
        }
        done(user);
        return;
    }
    end->magic = LINGER_MAGIC;
    end->fd = fd;
    end->done = done;
    end->user = user;
    end->handles = 2;
    end->poll.data = end;
    end->timer.data = end;
    (void)uv_timer_init(loop, &end->timer);
    (void)uv_timer_start(&end->timer, on_timer, ms_max, 0);
    (void)shutdown(fd, SHUT_WR);
    (void)uv_poll_start(&end->poll, UV_READABLE, on_readable);
}
