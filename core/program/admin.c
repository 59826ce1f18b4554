// SPDX-License-Identifier: Apache-2.0
#include "program/admin.h"

#include <millrace/log.h>

#include "base/metrics.h"
#include "kit/magic.h"
#include "kit/mem.h"
#include "net/descriptors.h"
#include "net/http_server.h"
#include "program/process_metrics.h"

#define ADMIN_MAGIC 0xAD317A3Bu

enum {
    CONNECTIONS_MIN = 4,
    CONNECTIONS_MAX = 64,
    PIPELINE_MAX = 4,
    IN_FLIGHT_MAX = 64,
    IN_FLIGHT_BYTES_MAX = 1024 * 1024,
    HEAD_BYTES_MAX = 16 * 1024,
    BODY_BYTES_MAX = 4 * 1024,
    IDLE_MS = 120 * 1000, /* longer than the usual scrape interval */
    REQUEST_MS = 10 * 1000,
    WRITE_MS = 10 * 1000,
    METRICS_BYTES_MAX = 32 * 1024 * 1024,
    READY_BYTES_MAX = 16 * 1024,
};

#define TEXT_TYPE "text/plain; charset=utf-8"

struct admin {
    unsigned magic;
    const struct readiness *readiness;
    struct http_server *server;
};

static void answer_text(struct http_request *request, int status, const char *text)
{
    http_request_answer(
        request, &(struct http_answer){
                     .status = status, .content_type = TEXT_TYPE, .body = mr_slice_of(text)});
}

static void answer_metrics(struct http_request *request)
{
    struct mr_buf body;
    buf_init(&body, METRICS_BYTES_MAX);
    (void)metrics_write(&body);
    if (process_metrics_write(&body) != 0) {
        answer_text(request, 503, "out of memory, or too many metrics\n");
    } else {
        http_request_answer(request,
                            &(struct http_answer){.status = 200,
                                                  .content_type = "text/plain; version=0.0.4",
                                                  .body = buf_slice(&body)});
    }
    buf_done(&body);
}

static void answer_ready(const struct admin *admin, struct http_request *request)
{
    struct mr_buf body;
    if (readiness_is_ready(admin->readiness)) {
        answer_text(request, 200, "ready\n");
        return;
    }
    buf_init(&body, READY_BYTES_MAX);
    if (readiness_write(admin->readiness, &body) != 0) {
        answer_text(request, 503, "not ready\n");
    } else {
        http_request_answer(
            request, &(struct http_answer){
                         .status = 503, .content_type = TEXT_TYPE, .body = buf_slice(&body)});
    }
    buf_done(&body);
}

static void on_request(struct http_request *request, void *user)
{
    const struct admin *admin;
    struct mr_slice method = http_request_method(request);
    struct mr_slice path = http_request_path(request);
    bool metrics = mr_slice_is(path, MR_SLICE("/metrics"));
    bool health = mr_slice_is(path, MR_SLICE("/healthz"));
    MAGIC_CAST(admin, user, ADMIN_MAGIC);
    if (!metrics && !health && !mr_slice_is(path, MR_SLICE("/readyz"))) {
        answer_text(request, 404, "there are /metrics, /healthz and /readyz\n");
    } else if (!mr_slice_is(method, MR_SLICE("GET")) && !mr_slice_is(method, MR_SLICE("HEAD"))) {
        http_request_answer(request, &(struct http_answer){.status = 405,
                                                           .content_type = TEXT_TYPE,
                                                           .body = MR_SLICE("GET or HEAD\n"),
                                                           .headers = "Allow: GET, HEAD\r\n"});
    } else if (metrics) {
        answer_metrics(request);
    } else if (health) {
        answer_text(request, 200, "ok\n");
    } else {
        answer_ready(admin, request);
    }
}

/* A part of the descriptors that leaves the most to what the program is there for. */
static size_t connections_of(size_t limit)
{
    size_t share = limit / 8;
    share = share < CONNECTIONS_MIN ? CONNECTIONS_MIN : share;
    return share > CONNECTIONS_MAX ? CONNECTIONS_MAX : share;
}

/* Those over it that get an answer. */
static size_t turned_away_of(size_t limit)
{
    size_t count = connections_of(limit) / 8;
    return count < 1 ? 1 : count;
}

size_t admin_descriptors(size_t limit)
{
    return connections_of(limit) + turned_away_of(limit);
}

int admin_open(uv_loop_t *loop, const struct mr_address *address, const struct readiness *readiness,
               struct admin **ret_admin, struct mr_error *err)
{
    size_t limit = descriptors_limit();
    const struct http_server_config config = {
        .listeners = {{.address = *address}},
        .listener_count = 1,
        .connections_max = (int64_t)connections_of(limit),
        .turned_away_max = (int64_t)turned_away_of(limit),
        .pipeline_max = PIPELINE_MAX,
        .in_flight_max = IN_FLIGHT_MAX,
        .in_flight_bytes_max = IN_FLIGHT_BYTES_MAX,
        .limits = {.head_bytes_max = HEAD_BYTES_MAX, .body_bytes_max = BODY_BYTES_MAX},
        .idle_ms = IDLE_MS,
        .request_ms = REQUEST_MS,
        .write_ms = WRITE_MS,
    };
    struct admin *admin = mem_zalloc(sizeof *admin);
    int rc;
    if (admin == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    admin->magic = ADMIN_MAGIC;
    admin->readiness = readiness;
    rc = http_server_open(loop, &config, on_request, admin, &admin->server, err);
    if (rc != 0) {
        mem_free(admin);
        (void)mr_error_wrap(err, "admin listener (change it with --admin.listen=ADDRESS:PORT)");
        return rc;
    }
    mr_log(MR_LOG_INFO, "admin listening", MR_STR("host", address->host),
           MR_INT("port", http_server_port(admin->server, 0)));
    *ret_admin = admin;
    return 0;
}

static void on_closed(void *user)
{
    struct admin *admin;
    MAGIC_CAST(admin, user, ADMIN_MAGIC);
    admin->magic = 0;
    mem_free(admin);
}

void admin_close(struct admin *admin)
{
    if (admin != NULL) {
        http_server_close(admin->server, on_closed, admin);
    }
}
