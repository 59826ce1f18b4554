// SPDX-License-Identifier: Apache-2.0
#include "net/http_status.h"

#include <millrace/macros.h>

#include "event/json_scan.h"

static const struct {
    int status;
    const char *text;
} texts[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

int http_problem_begin(struct mr_buf *out, int status, struct mr_slice detail)
{
    (void)buf_addf(out, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
                   http_status_text(status), status);
    return json_write_string(detail, out);
}

int http_problem_write(struct mr_buf *out, int status, struct mr_slice detail, struct mr_slice id)
{
    (void)http_problem_begin(out, status, detail);
    if (id.ptr != NULL) {
        (void)buf_add_str(out, ",\"id\":");
        (void)json_write_string(id, out);
    }
    return buf_add_str(out, "}\n");
}
