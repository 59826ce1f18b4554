// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SCRIPT_SERVER_H
#define TESTS_LIB_SCRIPT_SERVER_H

/* An HTTP server on a raw socket that misbehaves on request: a thread a connection, and a handler
 * that says, request by request, which bytes to send and what then. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

enum script_then {
    SCRIPT_KEEP,  /* read the next request */
    SCRIPT_CLOSE, /* close the connection */
    SCRIPT_RESET, /* close it with RST */
    SCRIPT_HANG,  /* say nothing until the client leaves or the server stops */
};

struct script_request {
    unsigned number;     /* of this server, from 1 */
    unsigned connection; /* from 1 */
    const char *head;    /* request line and headers, terminated */
    struct mr_slice body;
};

struct script_answer {
    const char *bytes;  /* raw: status line, headers, body; borrowed */
    size_t len;         /* 0: strlen(bytes) */
    size_t piece_bytes; /* send so many at a time; 0: all */
    int pause_ms;       /* between pieces, and before the first */
    enum script_then then;
};

/* On a connection's thread, one at a time. `answer` is zeroed. */
typedef void (*script_handler)(void *user, const struct script_request *request,
                               struct script_answer *answer);

struct script_server;

/* On 127.0.0.1 and `port` (0: the system's choice). NULL if the port is taken. */
struct script_server *script_server_start(uint16_t port, script_handler handler, void *user);
uint16_t script_server_port(const struct script_server *server);
unsigned script_server_connections(struct script_server *server);

/* Close every connection and wait for the threads. Takes NULL. */
void script_server_stop(struct script_server *server);

/* The value of a header in `head`, or NULL; static memory of the calling thread. */
const char *script_header(const char *head, const char *name);

#endif
