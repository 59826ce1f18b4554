// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_TLS_CLIENT_H
#define TESTS_LIB_TLS_CLIENT_H

/* OpenSSL's client on a blocking socket to 127.0.0.1, and answers read one by one. Waits end after
 * RAW_DEADLINE_S; what isn't as expected fails the test. */

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "lib/certificates.h"
#include "lib/raw_client.h"

struct tls_client_spec {
    int version;             /* TLS1_3_VERSION, ...; 0: any */
    const struct cert *ca;   /* who must have signed the server's certificate; NULL: anybody */
    const struct cert *cert; /* shown if asked for; NULL: none */
    SSL_SESSION *session;    /* to go on with; NULL: a new one */
};

struct tls_client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    int alert; /* what the server has refused the handshake with, RFC 8446 6; 0: nothing */
};

/* False: the handshake failed; it must be closed all the same. In TLS 1.3 a client learns only
 * with what it reads next that its certificate isn't accepted: tls_client_is_refused. */
bool tls_client_try(struct tls_client *client, uint16_t port, const struct tls_client_spec *spec);
void tls_client_open(struct tls_client *client, uint16_t port, const struct tls_client_spec *spec);
void tls_client_close(struct tls_client *client);

/* It is refused, during the handshake or with the first read, with this alert. */
void tls_client_expect_refused(uint16_t port, const struct tls_client_spec *spec, int alert);

void tls_client_put_bytes(struct tls_client *client, const void *bytes, size_t len);
void tls_client_put(struct tls_client *client, const char *text);
void tls_client_put_get(struct tls_client *client, const char *target);

/* One answer; the content is freed with free. */
void tls_client_get_reply(struct tls_client *client, struct raw_reply *ret_reply);
/* With this status and content (NULL: any). */
void tls_client_expect(struct tls_client *client, int status, const char *body);
/* The server's close_notify, then the connection's end. */
void tls_client_expect_end(struct tls_client *client);

/* The serial number of the server's certificate. */
long tls_client_serial(const struct tls_client *client);

#endif
