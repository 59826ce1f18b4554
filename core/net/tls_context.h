// SPDX-License-Identifier: Apache-2.0
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

/* What the connections of a TLS server have in common: its certificate and key, whose client
 * certificates it trusts, and what it agrees to. It never changes: a reload makes another, and
 * connections keep the one that they began with. Session tickets are sealed with a key of the
 * context's own, so that none outlives what it was given for.
 *
 * Agreed to: TLS 1.3, and TLS 1.2 with ECDHE and AEAD (RFC 9325 4.2) in the server's order, groups
 * X25519, P-256 and P-384, ALPN "http/1.1"; no compression, no renegotiation. */

#include <stdbool.h>
#include <stdint.h>

#include <openssl/types.h>

#include <millrace/error.h>

enum {
    TLS_FILE_BYTES_MAX = 4 * 1024 * 1024, /* of each file */
    TLS_CHAIN_MAX = 16,                   /* certificates that are sent */
    TLS_TICKET_S = 3600,                  /* a session can be resumed for so long */
};

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };
enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* Which file an error is about. */
enum tls_file { TLS_FILE_CERTIFICATE, TLS_FILE_KEY, TLS_FILE_CLIENT_CA, TLS_FILE_CLIENT_CRL };
enum { TLS_FILES = TLS_FILE_CLIENT_CRL + 1 };

struct tls_context_config {
    const char *files[TLS_FILES]; /* PEM. The certificate is followed by those between it and its
                                     root. The last two may be NULL unless needed */
    enum tls_client_auth client;  /* other than none needs a client CA; a list of revoked
                                certificates is then looked at if there is one */
    enum tls_version version_min;
};

struct tls_context;

/* The context, with one reference. Errors: MR_ECONFIG, MR_ENOMEM: the text names the file and what
 * is wrong with it, never anything in it ("server.key: does not belong to the certificate"), and
 * `ret_file` tells which one it is. */
int tls_context_new(const struct tls_context_config *config, struct tls_context **ret_context,
                    enum tls_file *ret_file, struct mr_error *err);

/* What is wrong with each of the files, those that are NULL left out: its error has the code 0 if
 * nothing is. Errors: MR_ENOMEM, when not all could be looked at. */
int tls_context_check(const struct tls_context_config *config,
                      struct mr_error ret_errors[TLS_FILES], struct mr_error *err);

/* References may be taken and given back on any thread. unref takes NULL. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* The certificate's end, in seconds since 1970, and whether it is reached or the beginning isn't:
 * clients will refuse it. */
int64_t tls_context_not_after(const struct tls_context *context);
bool tls_context_is_outdated(const struct tls_context *context);

/* For tls_stream.c. */
SSL_CTX *tls_context_ssl(const struct tls_context *context);

#endif
