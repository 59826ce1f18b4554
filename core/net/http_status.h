// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_STATUS_H
#define NET_HTTP_STATUS_H

/* Status codes (RFC 9110 15), and problem details (RFC 9457). Pure. */

#include "kit/buf.h"

#define HTTP_PROBLEM_MEDIA_TYPE "application/problem+json"

/* The reason phrase, never NULL. */
const char *http_status_text(int status);

/* Append {"type":"about:blank","title":...,"status":...,"detail":...} (and "id", if `id` is not
 * absent), one line. `detail` and `id` are UTF-8. Errors: as buf_add. */
int http_problem_write(struct mr_buf *out, int status, struct mr_slice detail, struct mr_slice id);

/* The same without "id" and the closing brace, so that further members can follow. */
int http_problem_begin(struct mr_buf *out, int status, struct mr_slice detail);

#endif
