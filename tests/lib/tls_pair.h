// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_TLS_PAIR_H
#define TESTS_LIB_TLS_PAIR_H

/* A tls_stream and OpenSSL's client, in memory: bytes are carried between the two in pieces of any
 * size. What isn't as expected fails the test. */

#include <openssl/ssl.h>

#include "lib/certificates.h"
#include "net/tls_stream.h"

enum { PLAIN_BYTES = 1024 * 1024 };

struct tls_fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct cert client;
    struct tls_context *context;  /* client certificates: none */
    struct tls_context *optional; /* signed by `ca` */
    char plain[PLAIN_BYTES];
};

/* cmocka's set-up and tear-down of a group; `state` becomes the one fixture. */
int tls_fixture_make(void **state);
int tls_fixture_done(void **state);
struct tls_context *tls_fixture_context(const struct tls_fixture *f, enum tls_client_auth client);

/* Both ends. */
struct tls_pair {
    struct tls_stream *stream;
    SSL_CTX *context;
    SSL *client;
    BIO *to_client;
    BIO *from_client;
    size_t piece; /* bytes carried to the server at once */
    struct mr_buf got;
};

/* The client speaks this version alone, and offers what is weak too. */
void pair_make(struct tls_pair *pair, const struct tls_context *context, int version);
void pair_done(struct tls_pair *pair);
void pair_show_certificate(const struct tls_pair *pair, const struct cert *cert);

/* To the server, whose plaintext is added to `got`; OpenSSL's error queue must be left empty. */
void pair_feed(struct tls_fixture *f, struct tls_pair *pair, const char *bytes, size_t len);
/* What either has written so far, to the other. */
void pair_carry_to_client(struct tls_pair *pair);
void pair_carry_to_server(struct tls_fixture *f, struct tls_pair *pair);
/* Until nothing moves. Returns what the client says of the handshake (1: complete). */
int pair_shake_hands(struct tls_fixture *f, struct tls_pair *pair);

void pair_client_writes(struct tls_pair *pair, const char *bytes, size_t len);
void pair_client_reads(struct tls_pair *pair, const char *bytes, size_t len);

#endif
