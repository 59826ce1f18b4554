// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge_options.h"

#include <stddef.h>

#define AT(field) .offset = offsetof(struct bridge_options, field)

/* clang-format off */
static const struct mr_option table[] = {
    {.key = "listen", .type = MR_OPTION_ADDRESS, .initial = "127.0.0.1:8080",
     .text = "Where devices send to. Nothing is authenticated: make it reachable only for those who may write.", AT(listen)},
    {.key = "loops", .type = MR_OPTION_INTEGER, .initial = "1", .min = 1, .max = BRIDGE_LOOPS_MAX, .unit = "threads",
     .text = "Event loops, each with a thread and a listening socket of its own.", AT(loops)},
    {.key = "body.max", .type = MR_OPTION_SIZE, .initial = "900KiB", .min = 1, .max = 1073741824,
     .text = "The largest content of a request. Kafka's own limit is for the whole record: 1 MiB unless raised.", AT(body_bytes_max)},
    {.key = "header.max", .type = MR_OPTION_SIZE, .initial = "16KiB", .min = 256, .max = 1048576,
     .text = "The largest request line and headers together.", AT(header_bytes_max)},
    {.key = "connections.max", .type = MR_OPTION_INTEGER, .initial = "10000", .min = 1, .max = 1000000, .unit = "connections",
     .text = "Connections of one loop; more are answered 503 and closed. Fewer if the limit of open files (ulimit -Hn) leaves less, which the log says at start.", AT(connections_max)},
    {.key = "pipeline.max", .type = MR_OPTION_INTEGER, .initial = "64", .min = 1, .max = 10000, .unit = "requests",
     .text = "Unanswered requests of one connection before reading from it pauses.", AT(pipeline_max)},
    {.key = "in_flight.max", .type = MR_OPTION_INTEGER, .initial = "20000", .min = 1, .max = 10000000, .unit = "requests",
     .text = "Unanswered requests of one loop; more are answered 503.", AT(in_flight_max)},
    {.key = "in_flight.bytes.max", .type = MR_OPTION_SIZE, .initial = "64MiB", .min = 65536, .max = 1099511627776,
     .text = "Memory of unanswered and partly read requests of one loop; more are answered 503.", AT(in_flight_bytes_max)},
    {.key = "idle.timeout", .type = MR_OPTION_DURATION, .initial = "75s", .min = 100, .max = 86400000,
     .text = "A connection without a request is closed after this time.", AT(idle_ms)},
    {.key = "request.timeout", .type = MR_OPTION_DURATION, .initial = "20s", .min = 100, .max = 3600000,
     .text = "From the first byte of a request to its last; then 408.", AT(request_ms)},
    {.key = "write.timeout", .type = MR_OPTION_DURATION, .initial = "10s", .min = 100, .max = 3600000,
     .text = "A client that doesn't take its answers is given up after this time.", AT(write_ms)},
    {.key = "answer.timeout", .type = MR_OPTION_DURATION, .initial = "2750ms", .min = 50, .max = 600000,
     .text = "From the last byte of a request to its answer; without Kafka's word by then: 504.", AT(answer_ms)},
    {.key = "batch.max", .type = MR_OPTION_INTEGER, .initial = "1000", .min = 1, .max = 10000, .unit = "events",
     .text = "Events of one request, a batch of CloudEvents; more are answered 413.", AT(batch_max)},
    MR_OPTION_END,
};
/* clang-format on */

const struct mr_option_group bridge_option_groups[BRIDGE_OPTION_GROUPS] = {
    {table, 0},
    {mr_producer_options, offsetof(struct bridge_options, producer)},
};
