// SPDX-License-Identifier: Apache-2.0
/* Happy path: libcurl names a socket and what it waits for -> uv_poll -> readable or writable ->
 * curl_multi_socket_action -> a transfer is over -> on_done. What can go wrong: memory for a
 * socket's handle is refused: that transfer isn't served and ends by its own timeout (to report the
 * failure to libcurl would end every transfer of the multi handle, for good). */
#include "net/curl_loop.h"

#include <pthread.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum { CURL_LOOP_MAGIC = 0x43524c50, CURL_SOCKET_MAGIC = 0x43525354 };

struct curl_socket {
    unsigned magic;
    struct curl_loop *io;
    curl_socket_t fd;
    uv_poll_t poll;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void reap(struct curl_loop *io)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(io->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            io->on_done(message->easy_handle, message->data.result, io->user);
        }
    }
}

static void act(struct curl_loop *io, curl_socket_t fd, int events)
{
    int running;
    (void)curl_multi_socket_action(io->multi, fd, events, &running);
    reap(io);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct curl_socket *socket;
    /* After an error libcurl is told to read and write, and finds out which it is. */
    int flags = status < 0 ? CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;
    MAGIC_CAST(socket, poll->data, CURL_SOCKET_MAGIC);
    flags |= (events & UV_READABLE) ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0;
    act(socket->io, socket->fd, flags);
}

static void on_timer(uv_timer_t *timer)
{
    struct curl_loop *io;
    MAGIC_CAST(io, timer->data, CURL_LOOP_MAGIC);
    act(io, CURL_SOCKET_TIMEOUT, 0);
}

static void handle_closed(struct curl_loop *io)
{
    io->handles--;
    if (io->handles == 0) {
        io->magic = 0;
        io->on_closed(io->user);
    }
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct curl_socket *socket;
    struct curl_loop *io;
    MAGIC_CAST(socket, handle->data, CURL_SOCKET_MAGIC);
    io = socket->io;
    socket->magic = 0;
    mem_free(socket);
    handle_closed(io);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct curl_loop *io;
    MAGIC_CAST(io, handle->data, CURL_LOOP_MAGIC);
    handle_closed(io);
}

static struct curl_socket *socket_new(struct curl_loop *io, curl_socket_t fd)
{
    struct curl_socket *socket = mem_zalloc(sizeof *socket);
    if (socket == NULL) {
        return NULL;
    }
    if (uv_poll_init_socket(io->loop, &socket->poll, fd) != 0) {
        mem_free(socket);
        return NULL;
    }
    socket->magic = CURL_SOCKET_MAGIC;
    socket->io = io;
    socket->fd = fd;
    socket->poll.data = socket;
    io->handles++;
    (void)curl_multi_assign(io->multi, fd, socket);
    return socket;
}

static void socket_remove(struct curl_socket *socket)
{
    MAGIC_CHECK(socket, CURL_SOCKET_MAGIC);
    (void)uv_poll_stop(&socket->poll);
    (void)curl_multi_assign(socket->io->multi, socket->fd, NULL);
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

/* CURLMOPT_SOCKETFUNCTION */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
    struct curl_loop *io;
    struct curl_socket *socket = socket_user;
    int events = 0;
    (void)easy;
    MAGIC_CAST(io, user, CURL_LOOP_MAGIC);
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            socket_remove(socket);
        }
        return 0;
    }
    socket = socket == NULL ? socket_new(io, fd) : socket;
    if (socket == NULL) {
        return 0;
    }
    events |= what != CURL_POLL_OUT ? UV_READABLE : 0;
    events |= what != CURL_POLL_IN ? UV_WRITABLE : 0;
    (void)uv_poll_start(&socket->poll, events, on_poll);
    return 0;
}

/* CURLMOPT_TIMERFUNCTION: a timeout of 0 waits for the loop too, since libcurl may be calling. */
static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct curl_loop *io;
    (void)multi;
    MAGIC_CAST(io, user, CURL_LOOP_MAGIC);
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&io->timer);
    } else {
        (void)uv_timer_start(&io->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

int curl_loop_init(struct curl_loop *io, uv_loop_t *loop,
                   void (*on_done)(CURL *easy, CURLcode code, void *user), void *user,
                   struct mr_error *err)
{
    CURLM *multi;
    (void)pthread_once(&global_once, global_init);
    if (global_code != CURLE_OK) {
        return mr_error_set(err, MR_ENET, "libcurl: %s", curl_easy_strerror(global_code));
    }
    multi = curl_multi_init();
    if (multi == NULL) {
        return mr_error_set(err, MR_ENOMEM, "libcurl: out of memory");
    }
    *io = (struct curl_loop){.magic = CURL_LOOP_MAGIC,
                             .loop = loop,
                             .multi = multi,
                             .handles = 1,
                             .on_done = on_done,
                             .user = user};
    (void)uv_timer_init(loop, &io->timer);
    io->timer.data = io;
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, io);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, io);
    return 0;
}

void curl_loop_close(struct curl_loop *io, void (*on_closed)(void *user))
{
    MAGIC_CHECK(io, CURL_LOOP_MAGIC);
    io->on_closed = on_closed;
    (void)curl_multi_cleanup(io->multi);
    io->multi = NULL;
    uv_close((uv_handle_t *)&io->timer, on_timer_closed);
}
