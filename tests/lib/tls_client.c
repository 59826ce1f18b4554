// SPDX-License-Identifier: Apache-2.0
#include "lib/tls_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

static void keep_alert(struct tls_client *client)
{
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    client->alert = reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
    ERR_clear_error();
}

static SSL_CTX *make_context(const struct tls_client_spec *spec)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0); /* it may offer what is to be refused */
    assert_int_equal(SSL_CTX_set_min_proto_version(context, spec->version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(context, spec->version), 1);
    if (spec->ca != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), spec->ca->x509), 1);
    }
    if (spec->cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(context, spec->cert->x509), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(context, spec->cert->key), 1);
    }
    return context;
}

bool tls_client_try(struct tls_client *client, uint16_t port, const struct tls_client_spec *spec)
{
    int rc;
    client->alert = 0;
    client->fd = raw_connect(port);
    client->context = make_context(spec);
    client->ssl = SSL_new(client->context);
    assert_non_null(client->ssl);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
    if (spec->session != NULL) {
        assert_int_equal(SSL_set_session(client->ssl, spec->session), 1);
    }
    ERR_clear_error();
    rc = SSL_connect(client->ssl);
    if (rc != 1) {
        keep_alert(client);
    }
    return rc == 1;
}

void tls_client_open(struct tls_client *client, uint16_t port, const struct tls_client_spec *spec)
{
    if (!tls_client_try(client, port, spec)) {
        fail_msg("the handshake failed, alert %d", client->alert);
    }
}

void tls_client_close(struct tls_client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    (void)close(client->fd);
}

void tls_client_expect_refused(uint16_t port, const struct tls_client_spec *spec, int alert)
{
    struct tls_client client;
    if (tls_client_try(&client, port, spec)) {
        char byte;
        assert_true(SSL_read(client.ssl, &byte, 1) <= 0);
        keep_alert(&client);
    }
    assert_int_equal(client.alert, alert);
    tls_client_close(&client);
}

void tls_client_put_bytes(struct tls_client *client, const void *bytes, size_t len)
{
    size_t written;
    ERR_clear_error();
    assert_int_equal(SSL_write_ex(client->ssl, bytes, len, &written), 1);
}

void tls_client_put(struct tls_client *client, const char *text)
{
    tls_client_put_bytes(client, text, strlen(text));
}

void tls_client_put_get(struct tls_client *client, const char *target)
{
    char text[4000];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    tls_client_put(client, text);
}

static void get_bytes(struct tls_client *client, char *ret_bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t got;
        ERR_clear_error();
        assert_int_equal(SSL_read_ex(client->ssl, ret_bytes + at, len - at, &got), 1);
        at += got;
    }
}

void tls_client_get_reply(struct tls_client *client, struct raw_reply *ret_reply)
{
    size_t len = 0;
    memset(ret_reply, 0, sizeof *ret_reply);
    while (len < 4 || memcmp(ret_reply->head + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len < RAW_HEAD_BYTES - 1);
        get_bytes(client, ret_reply->head + len, 1);
        len++;
    }
    raw_begin_body(ret_reply);
    get_bytes(client, ret_reply->body, ret_reply->body_len);
}

void tls_client_expect(struct tls_client *client, int status, const char *body)
{
    struct raw_reply reply;
    tls_client_get_reply(client, &reply);
    if (reply.status != status) {
        fail_msg("expected %d, got %s%s", status, reply.head, reply.body);
    }
    if (body != NULL) {
        assert_string_equal(reply.body, body);
    }
    free(reply.body);
}

void tls_client_expect_end(struct tls_client *client)
{
    char byte;
    ssize_t got;
    ERR_clear_error();
    assert_int_equal(SSL_read(client->ssl, &byte, 1), 0);
    assert_int_equal(SSL_get_error(client->ssl, 0), SSL_ERROR_ZERO_RETURN);
    got = recv(client->fd, &byte, 1, 0);
    assert_int_equal(got, 0);
}

long tls_client_serial(const struct tls_client *client)
{
    X509 *x509 = SSL_get0_peer_certificate(client->ssl);
    assert_non_null(x509);
    return ASN1_INTEGER_get(X509_get0_serialNumber(x509));
}
