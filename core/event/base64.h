// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_BASE64_H
#define EVENT_BASE64_H

/* Base64 (RFC 4648 4, with padding). Pure. */

#include "kit/buf.h"

/* Errors: as buf_add. */
int base64_encode(struct mr_slice bytes, struct mr_buf *out);

/* Into memory of at least text.len / 4 * 3 bytes, which may be the text's own. Strict: no white
 * space, padding required, unused bits zero. Errors: MR_EFORMAT; the memory may have been written
 * to then, `ret_len` is untouched. */
int base64_decode_to(struct mr_slice text, char *to, size_t *ret_len, struct mr_error *err);

#endif
