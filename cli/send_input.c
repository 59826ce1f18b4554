// SPDX-License-Identifier: Apache-2.0
/* Happy path: next -> what is in memory, else read(2) -> a line. What can go wrong: nothing is
 * there yet (a pipe, a terminal: it is polled, then `ready`); reading fails, or a line is too long:
 * FAILED, after the lines before it. What can't be polled (a file) never makes read(2) wait. */
#include "cli/send_input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { INPUT_MAGIC = 0x5e4d14, CHUNK_BYTES = 64 * 1024 };

struct send_input {
    unsigned magic;
    struct send_input_spec spec;
    uv_poll_t poll;
    int fd;    /* -1: the data is an argument */
    int flags; /* of `fd` as they were: others may have it open too */
    bool is_polled;
    bool may_read; /* polled: something was there */
    bool at_end;
    bool is_given;      /* the one message that is not by line */
    struct mr_buf buf;  /* bytes that were read */
    size_t taken;       /* of `buf` */
    size_t searched;    /* of `buf`: there is no line's end before */
    size_t line_number; /* of the last line taken */
};

static void on_closed(uv_handle_t *handle)
{
    struct send_input *input;
    MAGIC_CAST(input, handle->data, INPUT_MAGIC);
    input->magic = 0;
    buf_done(&input->buf);
    mem_free(input);
}

static int open_file(struct send_input *input, struct mr_error *err)
{
    const char *name = input->spec.file;
    bool is_standard = strcmp(name, "-") == 0;
    input->fd = is_standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd < 0) {
        return mr_error_set(err, MR_EIO, "%s", strerror(errno));
    }
    input->flags = fcntl(input->fd, F_GETFL);
    /* A regular file can't be polled (EPERM), and need not be. */
    input->is_polled = uv_poll_init(input->spec.loop, &input->poll, input->fd) == 0;
    input->poll.data = input;
    return 0;
}

int send_input_open(const struct send_input_spec *spec, struct send_input **ret_input,
                    struct mr_error *err)
{
    struct send_input *input = mem_zalloc(sizeof *input);
    *ret_input = NULL;
    if (input == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    input->magic = INPUT_MAGIC;
    input->spec = *spec;
    input->fd = -1;
    buf_init(&input->buf, SEND_LINE_BYTES_MAX + CHUNK_BYTES);
    if (spec->data == NULL && open_file(input, err) != 0) {
        mem_free(input);
        return MR_EIO;
    }
    *ret_input = input;
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct send_input *input;
    (void)status; /* read(2) says what is wrong */
    (void)events;
    MAGIC_CAST(input, poll->data, INPUT_MAGIC);
    (void)uv_poll_stop(poll);
    input->may_read = true;
    input->spec.ready(input->spec.user);
}

/* What was taken makes room. */
static void compact(struct send_input *input)
{
    if (input->taken > 0) {
        memmove(input->buf.ptr, input->buf.ptr + input->taken, input->buf.len - input->taken);
        input->buf.len -= input->taken;
        input->searched -= input->taken;
        input->taken = 0;
    }
}

/* THERE: something was read, or the end is reached. */
static enum send_input_result read_more(struct send_input *input, struct mr_error *err)
{
    ssize_t n;
    if (input->is_polled && !input->may_read) {
        (void)uv_poll_start(&input->poll, UV_READABLE, on_readable);
        return SEND_INPUT_WAIT;
    }
    compact(input);
    if (buf_reserve(&input->buf, CHUNK_BYTES) != 0) {
        (void)buf_check(&input->buf, err);
        return SEND_INPUT_FAILED;
    }
    do {
        n = read(input->fd, input->buf.ptr + input->buf.len, CHUNK_BYTES);
    } while (n < 0 && errno == EINTR);
    input->may_read = false;
    if (n < 0 && input->is_polled && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return read_more(input, err);
    }
    if (n < 0) {
        (void)mr_error_set(err, MR_EIO, "%s", strerror(errno));
        return SEND_INPUT_FAILED;
    }
    input->buf.len += (size_t)n;
    input->at_end = n == 0;
    return SEND_INPUT_THERE;
}

/* The next line that is in memory, whole; at the end also one without a line's end. */
static bool take_line(struct send_input *input, struct mr_slice *ret_line)
{
    const char *begin, *end;
    size_t len = input->buf.len - input->taken;
    if (len == 0) {
        return false;
    }
    begin = input->buf.ptr + input->taken;
    end = memchr(input->buf.ptr + input->searched, '\n', input->buf.len - input->searched);
    if (end == NULL && !input->at_end) {
        input->searched = input->buf.len;
        return false;
    }
    len = end == NULL ? len : (size_t)(end - begin);
    input->taken += len + (end != NULL);
    input->searched = input->taken;
    input->line_number++;
    len -= len > 0 && begin[len - 1] == '\r';
    *ret_line = mr_slice(begin, len);
    return true;
}

static bool is_blank(struct mr_slice line)
{
    size_t blanks = 0;
    while (blanks < line.len && (line.ptr[blanks] == ' ' || line.ptr[blanks] == '\t')) {
        blanks++;
    }
    return blanks == line.len;
}

static enum send_input_result next_line(struct send_input *input, struct mr_slice *ret_data,
                                        size_t *ret_number, struct mr_error *err)
{
    for (;;) {
        enum send_input_result result;
        while (take_line(input, ret_data)) {
            if (!is_blank(*ret_data)) {
                *ret_number = input->line_number;
                return SEND_INPUT_THERE;
            }
        }
        if (input->at_end) {
            return SEND_INPUT_END;
        }
        result = read_more(input, err);
        if (result == SEND_INPUT_FAILED) {
            *ret_number = input->line_number + 1;
        }
        if (result != SEND_INPUT_THERE) {
            return result;
        }
    }
}

/* All of it is one message. */
static enum send_input_result whole(struct send_input *input, struct mr_slice *ret_data,
                                    struct mr_error *err)
{
    while (input->fd >= 0 && !input->at_end) {
        enum send_input_result result = read_more(input, err);
        if (result != SEND_INPUT_THERE) {
            return result;
        }
    }
    *ret_data = input->fd >= 0 ? buf_slice(&input->buf) : mr_slice_of(input->spec.data);
    return SEND_INPUT_THERE;
}

enum send_input_result send_input_next(struct send_input *input, struct mr_slice *ret_data,
                                       size_t *ret_number, struct mr_error *err)
{
    enum send_input_result result;
    if (input->spec.by_line) {
        return next_line(input, ret_data, ret_number, err);
    }
    *ret_number = 1;
    if (input->is_given) {
        return SEND_INPUT_END;
    }
    result = whole(input, ret_data, err);
    input->is_given = result == SEND_INPUT_THERE;
    return result;
}

void send_input_close(struct send_input *input)
{
    if (input == NULL) {
        return;
    }
    if (input->fd >= 0 && input->flags >= 0) {
        (void)fcntl(input->fd, F_SETFL, input->flags);
    }
    if (input->is_polled) {
        uv_close((uv_handle_t *)&input->poll, on_closed);
    }
    if (input->fd > STDIN_FILENO) {
        (void)close(input->fd);
    }
    if (!input->is_polled) {
        input->magic = 0;
        buf_done(&input->buf);
        mem_free(input);
    }
}
