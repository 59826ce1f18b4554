// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kit/mem.h"
#include "net/http_internal.h"
#include "net/http_status.h"

enum { ANSWER_BYTES_KEPT = 1024 };

static struct http_request *take_spare(struct http_server *server)
{
    struct http_request *request = server->spare;
    if (request != NULL) {
        server->spare = request->next;
        server->spare_count--;
        return request;
    }
    request = mem_zalloc(sizeof *request);
    if (request != NULL) {
        http_reader_init(&request->reader, &server->config.limits);
        buf_init(&request->answer, HTTP_ANSWER_BYTES_MAX);
    }
    return request;
}

struct http_request *http_request_new(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct http_request *request = take_spare(server);
    if (request == NULL) {
        return NULL;
    }
    request->magic = HTTP_REQUEST_MAGIC;
    request->server = server;
    request->connection = connection;
    request->next = NULL;
    request->is_counted = false;
    request->is_continued = false;
    request->is_judged = false;
    request->is_answered = false;
    request->is_closing = false;
    request->is_http_1_0 = false;
    http_request_count_bytes(request);
    return request;
}

void http_request_destroy(struct http_request *request)
{
    http_reader_done(&request->reader);
    buf_done(&request->answer);
    mem_free(request);
}

void http_request_free(struct http_request *request)
{
    struct http_server *server = request->server;
    MAGIC_CHECK(request, HTTP_REQUEST_MAGIC);
    request->magic = 0;
    assert(server->bytes >= request->bytes_held);
    server->bytes -= request->bytes_held;
    request->bytes_held = 0;
    if (server->is_closing || server->spare_count >= HTTP_SPARE_REQUESTS_MAX) {
        http_request_destroy(request);
        return;
    }
    http_reader_reset(&request->reader);
    if (request->answer.capacity > ANSWER_BYTES_KEPT) {
        buf_done(&request->answer);
    }
    buf_clear(&request->answer);
    request->next = server->spare;
    server->spare = request;
    server->spare_count++;
}

void http_request_count_bytes(struct http_request *request)
{
    size_t held = sizeof *request + request->reader.head.capacity + request->reader.body.capacity +
                  request->answer.capacity;
    request->server->bytes += held;
    request->server->bytes -= request->bytes_held;
    request->bytes_held = held;
}

size_t http_server_request_bytes_max(const struct http_limits *limits)
{
    return sizeof(struct http_request) + limits->head_bytes_max + limits->body_bytes_max +
           ANSWER_BYTES_KEPT;
}

struct mr_slice http_request_method(const struct http_request *request)
{
    return http_reader_method(&request->reader);
}

struct mr_slice http_request_path(const struct http_request *request)
{
    return http_reader_path(&request->reader);
}

struct mr_slice http_request_query(const struct http_request *request)
{
    return http_reader_query(&request->reader);
}

struct mr_slice http_request_header(const struct http_request *request, const char *name,
                                    unsigned *ret_count)
{
    return http_reader_header(&request->reader, name, ret_count);
}

bool http_request_header_at(const struct http_request *request, unsigned index,
                            struct mr_slice *ret_name, struct mr_slice *ret_value)
{
    return http_reader_header_at(&request->reader, index, ret_name, ret_value);
}

struct mr_slice http_request_body(const struct http_request *request)
{
    return http_reader_body(&request->reader);
}

bool http_request_is_whole(const struct http_request *request)
{
    return request->reader.state == HTTP_READER_COMPLETE;
}

uint64_t http_request_came_ms(const struct http_request *request)
{
    return request->came_ms;
}

static struct http_client_address peer_of(const uv_tcp_t *tcp)
{
    struct http_client_address client = {0};
    struct sockaddr_storage address;
    int len = (int)sizeof address;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &len) != 0) {
        return client;
    }
    if (address.ss_family == AF_INET) {
        memcpy(client.bytes, &((struct sockaddr_in *)&address)->sin_addr, 4);
    } else if (address.ss_family == AF_INET6) {
        client.is_v6 = true;
        memcpy(client.bytes, &((struct sockaddr_in6 *)&address)->sin6_addr, 16);
    }
    return client;
}

struct http_client_address http_request_client_address(const struct http_request *request)
{
    struct http_connection *connection = request->connection;
    if (connection == NULL) {
        return (struct http_client_address){0};
    }
    if (!connection->is_client_known) {
        connection->client = peer_of(&connection->tcp);
        connection->is_client_known = true;
    }
    return connection->client;
}

/* The fields that describe the content, the program's own, and the content. RFC 9110 8.6: a 204
 * has no Content-Length; 9.3.2: HEAD gets the fields only. */
static void store_answer(struct http_request *request, const struct http_answer *answer)
{
    struct mr_buf *out = &request->answer;
    bool has_content = answer->content_type != NULL;
    if (has_content) {
        (void)buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", answer->content_type,
                       answer->body.len);
    } else if (answer->status >= 200 && answer->status != 204) {
        (void)buf_add_str(out, "Content-Length: 0\r\n");
    }
    if (answer->headers != NULL) {
        (void)buf_add_str(out, answer->headers);
    }
    (void)buf_add_str(out, "\r\n");
    if (has_content && !mr_slice_is(http_request_method(request), MR_SLICE("HEAD"))) {
        (void)buf_add_slice(out, answer->body);
    }
}

void http_request_answer(struct http_request *request, const struct http_answer *answer)
{
    struct http_server *server = request->server;
    MAGIC_CHECK(request, HTTP_REQUEST_MAGIC);
    assert(!request->is_answered);
    request->is_answered = true;
    if (request->is_counted) {
        server->in_flight--;
    }
    if (request->connection == NULL) {
        http_request_free(request);
        http_server_wake(server);
        http_server_check_end(server);
        return;
    }
    request->status = answer->status;
    request->is_closing = answer->close || !request->reader.keep_alive;
    request->is_http_1_0 = request->reader.http_1_0;
    store_answer(request, answer);
    /* The answer may have to wait for those before it; the request's own memory need not. */
    http_reader_reset(&request->reader);
    http_request_count_bytes(request);
    http_server_mark_dirty(request->connection);
}

void http_request_refuse(struct http_request *request, int status, const char *reason)
{
    struct mr_buf problem;
    struct http_answer answer = {
        .status = status,
        .content_type = HTTP_PROBLEM_MEDIA_TYPE,
        .headers = status == 503 ? "Retry-After: 1\r\n" : NULL,
        .close = request->reader.state != HTTP_READER_COMPLETE,
    };
    if (request->server->config.on_refusal != NULL) {
        request->server->config.on_refusal(status, request->server->user);
    }
    buf_init(&problem, 1024);
    (void)http_problem_write(&problem, status, mr_slice_of(reason), mr_slice(NULL, 0));
    if (problem.failed != 0) {
        answer.content_type = NULL;
    }
    answer.body = buf_slice(&problem);
    http_request_answer(request, &answer);
    buf_done(&problem);
}

/* RFC 9110 5.6.7: IMF-fixdate. */
static void refresh_date(struct http_server *server)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const char *name = server->config.server_name;
    time_t now = time(NULL);
    struct tm utc;
    if (now == server->date || gmtime_r(&now, &utc) == NULL) {
        return;
    }
    server->date = now;
    (void)snprintf(server->date_lines, sizeof server->date_lines,
                   "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n%s%.100s%s", days[utc.tm_wday],
                   utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                   utc.tm_sec, name == NULL ? "" : "Server: ", name == NULL ? "" : name,
                   name == NULL ? "" : "\r\n");
}

/* RFC 9112 4. Without printf, which was a twentieth of an answer's instructions. */
static void add_status_line(struct mr_buf *out, int status)
{
    assert(status >= 100 && status <= 999);
    (void)buf_add_str(out, "HTTP/1.1 ");
    (void)buf_add_char(out, (char)('0' + status / 100));
    (void)buf_add_char(out, (char)('0' + status / 10 % 10));
    (void)buf_add_char(out, (char)('0' + status % 10));
    (void)buf_add_char(out, ' ');
    (void)buf_add_str(out, http_status_text(status));
    (void)buf_add_str(out, "\r\n");
}

int http_request_write_answer(struct http_request *request, bool is_closing)
{
    struct http_server *server = request->server;
    struct mr_buf *out = &request->connection->out;
    refresh_date(server);
    add_status_line(out, request->status);
    (void)buf_add_str(out, server->date_lines);
    if (is_closing) {
        (void)buf_add_str(out, "Connection: close\r\n");
    } else if (request->is_http_1_0) {
        (void)buf_add_str(out, "Connection: keep-alive\r\n");
    }
    (void)buf_add_slice(out, buf_slice(&request->answer));
    return request->answer.failed != 0 ? request->answer.failed : out->failed;
}
