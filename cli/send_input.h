// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_SEND_INPUT_H
#define CLI_SEND_INPUT_H

/* The input of `millrace send`: the data of one message, or a message a line, read as there is room
 * for more and never waiting inside a call, since answers come meanwhile. */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum { SEND_LINE_BYTES_MAX = 16 * 1024 * 1024 }; /* or of a whole file */

enum send_input_result {
    SEND_INPUT_THERE,  /* a message */
    SEND_INPUT_WAIT,   /* `ready` will be called */
    SEND_INPUT_END,    /* there is no more */
    SEND_INPUT_FAILED, /* `err` says why; there is no more */
};

struct send_input;

struct send_input_spec {
    uv_loop_t *loop;
    const char *data; /* NULL: `file` is read */
    const char *file; /* "-": standard input */
    bool by_line;     /* blank lines are passed over */
    void (*ready)(void *user);
    void *user;
};

/* `spec` is copied, its strings are borrowed. Errors: MR_EIO (can't be opened), MR_ENOMEM. */
int send_input_open(const struct send_input_spec *spec, struct send_input **ret_input,
                    struct mr_error *err);

/* `ret_data` is borrowed until the next call; `ret_number` is the line's, from 1. */
enum send_input_result send_input_next(struct send_input *input, struct mr_slice *ret_data,
                                       size_t *ret_number, struct mr_error *err);

/* Memory is given back on the loop. Takes NULL. */
void send_input_close(struct send_input *input);

#endif
