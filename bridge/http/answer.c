// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/answer.h"

#include <stdio.h>

#include "kit/buf.h"
#include "net/http_status.h"

#define SAME_ID "again with the same id, as Idempotency-Key or, if it is a CloudEvent, as its own"

enum { PROBLEM_BYTES_MAX = 16 * 1024, ID_HEADER_BYTES_MAX = 4096, RETRY_AFTER_BYTES = 48 };

/* The answer with this content, unless memory was missing for it: the status says the most
 * important thing. */
static int answer_content(struct http_request *request, struct http_answer *answer,
                          const struct mr_buf *problem)
{
    answer->content_type = problem->failed == 0 ? HTTP_PROBLEM_MEDIA_TYPE : NULL;
    answer->body = buf_slice(problem);
    http_request_answer(request, answer);
    return answer->status;
}

static int answer_problem(struct http_request *request, int status, struct mr_slice detail,
                          struct mr_slice id, const char *headers)
{
    struct mr_buf problem;
    struct http_answer answer = {.status = status, .headers = headers};
    buf_init(&problem, PROBLEM_BYTES_MAX);
    (void)http_problem_write(&problem, status, detail, id);
    (void)answer_content(request, &answer, &problem);
    buf_done(&problem);
    return status;
}

/* RFC 9110 10.2.3. Returns `line`. */
static const char *retry_after(int64_t after_ms, char line[RETRY_AFTER_BYTES])
{
    int64_t seconds = (after_ms + 999) / 1000;
    (void)snprintf(line, RETRY_AFTER_BYTES, "Retry-After: %lld\r\n",
                   (long long)(seconds < 1 ? 1 : seconds));
    return line;
}

/* CloudEvents HTTP binding 3.1.3.2: space, `"`, `%` and all outside U+0021-007E as %XX. */
static void add_header_value(struct mr_buf *out, struct mr_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
            (void)buf_add_char(out, value.ptr[i]);
        } else {
            (void)buf_addf(out, "%%%02X", c);
        }
    }
}

static int answer_unknown(struct http_request *request, const char *detail, struct mr_slice id)
{
    struct mr_buf headers;
    int status;
    buf_init(&headers, ID_HEADER_BYTES_MAX);
    (void)buf_add_str(&headers, "ce-id: ");
    add_header_value(&headers, id);
    (void)buf_add_str(&headers, "\r\n");
    (void)buf_add_char(&headers, '\0');
    status = answer_problem(request, 504, mr_slice_of(detail), id,
                            headers.failed == 0 ? headers.ptr : NULL);
    buf_done(&headers);
    return status;
}

int answer_too_late(struct http_request *request, struct mr_slice id)
{
    return answer_unknown(
        request, "Kafka has not answered in time: the event may be stored. It may be sent " SAME_ID,
        id);
}

static int answer_busy(struct http_request *request, const struct mr_outcome *outcome)
{
    char retry[RETRY_AFTER_BYTES];
    char detail[400];
    (void)snprintf(detail, sizeof detail, "The event is not stored; send it again later: %.300s",
                   outcome->reason);
    return answer_problem(request, 503, mr_slice_of(detail), mr_slice(NULL, 0),
                          retry_after(outcome->retry_after_ms, retry));
}

static int answer_rejected(struct http_request *request, const struct mr_outcome *outcome)
{
    char detail[400];
    (void)snprintf(detail, sizeof detail, "The event can't be stored as it is: %.300s",
                   outcome->reason);
    return answer_problem(request, outcome->too_large ? 413 : 422, mr_slice_of(detail),
                          mr_slice(NULL, 0), NULL);
}

int answer_stored(struct http_request *request)
{
    http_request_answer(request, &(struct http_answer){.status = 202});
    return 202;
}

int answer_outcome(struct http_request *request, const struct mr_outcome *outcome,
                   struct mr_slice id)
{
    char detail[400];
    switch (outcome->kind) {
        case MR_STORED:
            return answer_stored(request);
        case MR_REJECTED:
            return answer_rejected(request, outcome);
        case MR_BUSY:
            return answer_busy(request, outcome);
        case MR_UNKNOWN:
        default:
            (void)snprintf(detail, sizeof detail,
                           "The event may be stored (%.200s). It may be sent " SAME_ID,
                           outcome->reason);
            return answer_unknown(request, detail, id);
    }
}

int answer_not_stored(struct http_request *request)
{
    http_request_answer(request, &(struct http_answer){.status = 204});
    return 204;
}

int answer_options(struct http_request *request, const char *allow)
{
    http_request_answer(request, &(struct http_answer){.status = 204, .headers = allow});
    return 204;
}

int answer_refusal(struct http_request *request, const struct refusal *refusal)
{
    char retry[RETRY_AFTER_BYTES];
    bool is_for_later = refusal->status == 503 || refusal->status == 429;
    return answer_problem(
        request, refusal->status, mr_slice_of(refusal->detail), mr_slice(NULL, 0),
        is_for_later ? retry_after(refusal->retry_after_ms, retry) : refusal->headers);
}

int answer_batch(struct http_request *request, const struct batch_outcomes *outcomes,
                 const struct mr_buf *report)
{
    char retry[RETRY_AFTER_BYTES];
    struct http_answer answer = {.status = batch_outcomes_status(outcomes)};
    if (answer.status == 202) {
        return answer_stored(request);
    }
    if (answer.status == 503) {
        answer.headers = retry_after(outcomes->retry_after_ms, retry);
    }
    return answer_content(request, &answer, report);
}
