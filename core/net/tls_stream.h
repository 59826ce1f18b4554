// SPDX-License-Identifier: Apache-2.0
#ifndef NET_TLS_STREAM_H
#define NET_TLS_STREAM_H

/* The server's end of one TLS connection, without a network: bytes of the peer in, plaintext out;
 * plaintext in, bytes for the peer out (tls_stream_out). Bytes are given as they come, in any
 * pieces. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

#include "kit/buf.h"
#include "net/tls_context.h"
#include "net/tls_hello.h"

enum {
    TLS_RECORD_BYTES_MAX = 5 + 16384 + 2048, /* RFC 5246 6.2.3; a little less in TLS 1.3 */
    TLS_OUT_BYTES_MAX = 80 * 1024 * 1024,    /* for the peer, and not taken yet */
    TLS_HELD_BYTES = 20 * 1024,              /* OpenSSL's buffer for a record that is half here */
    TLS_HANDSHAKE_BYTES = 20 * 1024,         /* OpenSSL's, of one under way; measured */
    TLS_REASON_BYTES = 120,
    TLS_SUBJECT_BYTES_MAX = 4096,
};

enum tls_stream_state {
    TLS_STREAM_HANDSHAKING,
    TLS_STREAM_OPEN,
    TLS_STREAM_ENDED,  /* the peer has said that it sends no more (close_notify) */
    TLS_STREAM_FAILED, /* tls_stream_reason tells why; an alert may be waiting to be sent */
};

/* How a handshake ended. TIMEOUT, ABANDONED and CROWDED_OUT are for who holds the connection to
 * tell. */
enum tls_outcome {
    TLS_COMPLETED,
    TLS_BAD_CERTIFICATE, /* the client's is missing, or was not accepted */
    TLS_ALERT,           /* the client has ended it, by an alert */
    TLS_MISMATCH,        /* no version, cipher suite or application protocol in common */
    TLS_PLAINTEXT,       /* it spoke HTTP */
    TLS_TIMEOUT,
    TLS_ABANDONED,   /* the connection ended */
    TLS_CROWDED_OUT, /* it was ended because others waited */
    TLS_ERROR,       /* it broke the protocol, or memory was short */
};
enum { TLS_OUTCOMES = TLS_ERROR + 1 };

struct tls_stream;

/* Goes on with `context` as long as it lives. Errors: NULL when out of memory. */
struct tls_stream *tls_stream_new(const struct tls_context *context);
void tls_stream_free(struct tls_stream *stream); /* takes NULL */

enum tls_stream_state tls_stream_state(const struct tls_stream *stream);

/* Why and how it failed: a short text without anything of the peer's but what an alert says. */
const char *tls_stream_reason(const struct tls_stream *stream);
enum tls_outcome tls_stream_outcome(const struct tls_stream *stream);

/* The peer's bytes; all of them are taken. Returns how many bytes of plaintext they made, in
 * `ret_plain`, which has room for `len` + TLS_RECORD_BYTES_MAX bytes; those are good even if the
 * state has changed behind them. Nothing is read any more when it has ended or failed. */
size_t tls_stream_feed(struct tls_stream *stream, const char *bytes, size_t len, char *ret_plain);

/* A record is half here: TLS_HELD_BYTES are held for it. */
bool tls_stream_is_midway(const struct tls_stream *stream);

/* What OpenSSL holds for that, and for a handshake under way with the hello that was announced. */
size_t tls_stream_held(const struct tls_stream *stream);

/* Plaintext for the peer; not during the handshake. The peer may have ended its own side. Errors:
 * MR_ENOMEM, MR_ELIMIT (TLS_OUT_BYTES_MAX), MR_ECLOSED: the stream has failed. */
int tls_stream_write(struct tls_stream *stream, const char *bytes, size_t len);

/* Say that no more is sent (close_notify, RFC 8446 6.1). Nothing during the handshake, after a
 * failure, or twice. */
void tls_stream_end(struct tls_stream *stream);

/* What is to be sent to the peer; the caller takes it from there. */
struct mr_buf *tls_stream_out(struct tls_stream *stream);

/* The subject of the client's certificate, which has been verified, as RFC 4514 writes it (UTF-8,
 * escaped); empty if the certificate's is, absent without a certificate. Lives as long as the
 * stream. */
struct mr_slice tls_stream_subject(const struct tls_stream *stream);

#endif
