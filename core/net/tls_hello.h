// SPDX-License-Identifier: Apache-2.0
#ifndef NET_TLS_HELLO_H
#define NET_TLS_HELLO_H

/* A look at what a client sends in the clear before its handshake is under way. OpenSSL allocates
 * what the header of a message announces, up to 128 KiB for a ClientHello, before any of it has
 * come: here the bound is TLS_HELLO_BYTES_MAX. Pure; bytes are given as they come, in any pieces.
 *
 * Seen are the ClientHello and, after a HelloRetryRequest, the second one (RFC 8446 4.1.2). What
 * follows has bounds of its own in OpenSSL, and is not looked at. */

#include <stdbool.h>
#include <stddef.h>

enum {
    TLS_HELLO_BYTES_MAX = 16 * 1024, /* one with post-quantum key shares has about 1.8 KiB */
    TLS_HELLO_HEADER_BYTES = 5 + 4,  /* of a record and of a message, RFC 8446 5.1, 4 */
};

/* Zeroed: nothing has come. */
struct tls_hello {
    unsigned char header[TLS_HELLO_HEADER_BYTES];
    size_t header_len;
    size_t record_left;
    size_t message_left;
    size_t announced; /* bytes of the ClientHello that came last */
    bool is_over;     /* nothing more is looked at */
};

enum tls_hello_verdict {
    TLS_HELLO_GOOD,
    TLS_HELLO_TOO_LONG,  /* more than TLS_HELLO_BYTES_MAX are announced */
    TLS_HELLO_MALFORMED, /* SSL 2's form, or a record that ends within a message's header */
};

/* `is_1_3`: that version has been agreed upon, in which a ChangeCipherSpec means nothing (RFC 8446
 * 5); in TLS 1.2 what follows one is encrypted. */
enum tls_hello_verdict tls_hello_see(struct tls_hello *hello, bool is_1_3, const char *bytes,
                                     size_t len);

#endif
