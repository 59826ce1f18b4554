// SPDX-License-Identifier: Apache-2.0
#include "lib/dialect_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/target.h"
#include "lib/heap.h"

enum { TEXT_BYTES_MAX = 2 * 1024 * 1024, FILE_BYTES_MAX = 64 * 1024 };

static struct mr_slice header_of(const void *from, const char *name, unsigned *ret_count)
{
    return http_reader_header(from, name, ret_count);
}

static bool header_at(const void *from, unsigned index, struct mr_slice *ret_name,
                      struct mr_slice *ret_value)
{
    return http_reader_header_at(from, index, ret_name, ret_value);
}

struct dialect_request dialect_request_of(const struct dialect_fixture *f)
{
    return (struct dialect_request){
        .method = http_reader_method(&f->reader),
        .path = http_reader_path(&f->reader),
        .query = http_reader_query(&f->reader),
        .body = http_reader_body(&f->reader),
        .header = header_of,
        .header_at = header_at,
        .from = &f->reader,
        .identity = f->identity,
    };
}

void dialect_read_again(struct dialect_fixture *f)
{
    const struct dialect_request request = dialect_request_of(f);
    f->rc = f->dialect->read(&request, f->event, &f->refusal);
}

void dialect_request_bytes(struct dialect_fixture *f, const char *method, const char *target,
                           const char *headers, struct mr_slice body)
{
    const struct http_limits limits = {.head_bytes_max = 65536, .body_bytes_max = 1048576};
    char *text = malloc(TEXT_BYTES_MAX);
    int len;
    assert_non_null(text);
    len =
        snprintf(text, TEXT_BYTES_MAX, "%s %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                 method, target, headers, body.len);
    assert_true(len > 0 && (size_t)len + body.len < TEXT_BYTES_MAX);
    if (body.len > 0) {
        memcpy(text + len, body.ptr, body.len);
    }
    http_reader_init(&f->reader, &limits);
    assert_int_equal(http_reader_feed(&f->reader, text, (size_t)len + body.len),
                     (size_t)len + body.len);
    assert_int_equal(f->reader.state, HTTP_READER_COMPLETE);
    free(text);
    assert_true(f->dialect->is_mine(http_reader_path(&f->reader)));
    f->refusal = (struct refusal){0};
    f->event = mr_event_new();
    assert_non_null(f->event);
    dialect_read_again(f);
}

void dialect_request(struct dialect_fixture *f, const char *method, const char *target,
                     const char *headers, const char *body)
{
    dialect_request_bytes(f, method, target, headers, mr_slice_of(body == NULL ? "" : body));
}

void dialect_done(struct dialect_fixture *f)
{
    mr_event_free(f->event);
    http_reader_done(&f->reader);
}

void dialect_accept(struct dialect_fixture *f, const char *target, const char *headers,
                    const char *body)
{
    struct mr_error err;
    dialect_request(f, "POST", target, headers, body);
    if (f->rc != 0) {
        fail_msg("%s: %d %s", target, f->refusal.status, f->refusal.detail);
    }
    assert_int_equal(mr_event_complete(f->event, &err), 0);
}

void dialect_refuse(struct dialect_fixture *f, int status, const char *detail, const char *target,
                    const char *headers, const char *body)
{
    dialect_request(f, "POST", target, headers, body);
    assert_int_equal(f->rc, -1);
    if (f->refusal.status != status || strstr(f->refusal.detail, detail) == NULL) {
        fail_msg("%s: %d '%s', not %d '%s'", target, f->refusal.status, f->refusal.detail, status,
                 detail);
    }
}

void dialect_assert(const struct dialect_fixture *f, const char *name, const char *expected)
{
    struct mr_slice value = mr_event_string(f->event, name);
    if (!mr_slice_is(value, mr_slice_of(expected)) || (value.ptr == NULL) != (expected == NULL)) {
        fail_msg("%s is '%.*s', not '%s'", name, MR_SLICE_ARG(value),
                 expected == NULL ? "absent" : expected);
    }
}

void dialect_not_stored(struct dialect_fixture *f, const char *target, const char *body)
{
    dialect_request(f, "POST", target, "Content-Type: application/json\r\n", body);
    if (f->rc != DIALECT_NOT_STORED) {
        fail_msg("%s: %d %d %s", body, f->rc, f->refusal.status, f->refusal.detail);
    }
    assert_int_equal(mr_event_count(f->event), 0);
}

void dialect_refuse_each(struct dialect_fixture *f, const struct dialect_refused *cases)
{
    for (; cases->target != NULL; cases++) {
        dialect_request(f, "POST", cases->target, cases->headers, cases->body);
        if (f->rc != DIALECT_REFUSED || f->refusal.status != cases->status ||
            strstr(f->refusal.detail, cases->named) == NULL) {
            fail_msg("%s %s %.200s: %d %d '%s'", cases->target, cases->headers, cases->body, f->rc,
                     f->refusal.status, f->refusal.detail);
        }
        dialect_done(f);
    }
}

void dialect_allow_only(struct dialect_fixture *f, const char *target, const char *allow)
{
    static const char *const methods[] = {"GET",    "HEAD",  "OPTIONS", "POST",
                                          "DELETE", "PATCH", "PUT",     "TRACE"};
    for (size_t i = 0; i < MR_COUNT_OF(methods); i++) {
        struct dialect_request request;
        struct target answer;
        enum target_kind found;
        dialect_request(f, methods[i], target, "", "{}");
        request = dialect_request_of(f);
        found = target_find(&request, &f->dialect, 1, &answer);
        if (strcmp(methods[i], "OPTIONS") == 0) {
            assert_int_equal(found, TARGET_OPTIONS);
            assert_string_equal(answer.allow, allow);
        } else if (strstr(allow, methods[i]) != NULL) {
            assert_int_equal(found, TARGET_FOUND);
            assert_ptr_equal(answer.dialect, f->dialect);
        } else {
            assert_int_equal(found, TARGET_REFUSED);
            assert_int_equal(answer.refusal.status, 405);
            assert_string_equal(answer.refusal.headers, allow);
        }
        dialect_done(f);
    }
}

void dialect_run_out_of_memory(struct dialect_fixture *f, const char *target, const char *headers,
                               const char *body, unsigned least)
{
    unsigned n = 1;
    dialect_accept(f, target, headers, body);
    mr_event_free(f->event);
    for (;; n++) {
        heap_fail_at(0);
        f->event = mr_event_new();
        assert_non_null(f->event);
        heap_fail_at(n);
        dialect_read_again(f);
        mr_event_free(f->event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
        assert_int_equal(f->rc, DIALECT_REFUSED);
        assert_int_equal(f->refusal.status, 503);
    }
    assert_int_equal(f->rc, DIALECT_EVENT);
    assert_true(n > least);
    heap_restore();
    http_reader_done(&f->reader);
}

char *dialect_read_file(const char *path)
{
    char *text = malloc(FILE_BYTES_MAX + 1);
    FILE *file = fopen(path, "rb");
    size_t len;
    assert_non_null(text);
    assert_non_null(file);
    len = fread(text, 1, FILE_BYTES_MAX, file);
    assert_true(len > 0 && len < FILE_BYTES_MAX);
    (void)fclose(file);
    text[len] = '\0';
    return text;
}

void dialect_assert_integer(const struct dialect_fixture *f, const char *name, int32_t expected)
{
    const struct mr_attribute *attribute = mr_event_find(f->event, mr_slice_of(name));
    assert_non_null(attribute);
    assert_int_equal(attribute->type, MR_VALUE_INTEGER);
    assert_int_equal(attribute->integer, expected);
}

void dialect_assert_true(const struct dialect_fixture *f, const char *name)
{
    const struct mr_attribute *attribute = mr_event_find(f->event, mr_slice_of(name));
    assert_non_null(attribute);
    assert_int_equal(attribute->type, MR_VALUE_BOOLEAN);
    assert_true(attribute->boolean);
}

void dialect_assert_absent(const struct dialect_fixture *f, const char *name)
{
    assert_null(mr_event_find(f->event, mr_slice_of(name)));
}
