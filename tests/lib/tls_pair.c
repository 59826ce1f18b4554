// SPDX-License-Identifier: Apache-2.0
#include "lib/tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

struct tls_context *tls_fixture_context(const struct tls_fixture *f, enum tls_client_auth client)
{
    struct tls_context_config config = {.client = client};
    struct tls_context *context;
    struct mr_error err;
    enum tls_file file;
    config.files[TLS_FILE_CERTIFICATE] = cert_path(&f->folder, "server.pem");
    config.files[TLS_FILE_KEY] = cert_path(&f->folder, "server.key");
    config.files[TLS_FILE_CLIENT_CA] = cert_path(&f->folder, "ca.pem");
    if (tls_context_new(&config, &context, &file, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return context;
}

int tls_fixture_make(void **state)
{
    static struct tls_fixture f;
    static const char *const subject[] = {"C",  "DE",        "O", "M\xc3\xbchle, Nord",
                                          "CN", "#d1+\"x\"", NULL};
    cert_folder_make(&f.folder);
    cert_make(&f.ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&f.server, &(struct cert_spec){.common_name = "localhost", .issuer = &f.ca});
    cert_make(&f.client, &(struct cert_spec){.subject = subject, .issuer = &f.ca});
    cert_write(cert_path(&f.folder, "server.pem"), &f.server, NULL);
    cert_write_key(cert_path(&f.folder, "server.key"), &f.server, NULL);
    cert_write(cert_path(&f.folder, "ca.pem"), &f.ca, NULL);
    f.context = tls_fixture_context(&f, TLS_CLIENT_NONE);
    f.optional = tls_fixture_context(&f, TLS_CLIENT_OPTIONAL);
    *state = &f;
    return 0;
}

int tls_fixture_done(void **state)
{
    struct tls_fixture *f = *state;
    tls_context_unref(f->context);
    tls_context_unref(f->optional);
    cert_done(&f->ca);
    cert_done(&f->server);
    cert_done(&f->client);
    cert_folder_remove(&f->folder);
    return 0;
}

void pair_make(struct tls_pair *pair, const struct tls_context *context, int version)
{
    *pair = (struct tls_pair){.stream = tls_stream_new(context), .piece = SIZE_MAX};
    assert_non_null(pair->stream);
    pair->context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_min_proto_version(pair->context, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(pair->context, version), 1);
    SSL_CTX_set_security_level(pair->context, 0); /* it may offer what is to be refused */
    pair->client = SSL_new(pair->context);
    pair->to_client = BIO_new(BIO_s_mem());
    pair->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(pair->client, pair->to_client, pair->from_client);
    SSL_set_connect_state(pair->client);
    buf_init(&pair->got, PLAIN_BYTES);
}

void pair_done(struct tls_pair *pair)
{
    tls_stream_free(pair->stream);
    SSL_free(pair->client);
    SSL_CTX_free(pair->context);
    buf_done(&pair->got);
    ERR_clear_error();
}

void pair_feed(struct tls_fixture *f, struct tls_pair *pair, const char *bytes, size_t len)
{
    size_t got = tls_stream_feed(pair->stream, bytes, len, f->plain);
    assert_true(got <= len + TLS_RECORD_BYTES_MAX);
    assert_int_equal(ERR_peek_error(), 0); /* the thread's queue is left empty, whatever came */
    assert_int_equal(buf_add(&pair->got, f->plain, got), 0);
}

void pair_carry_to_client(struct tls_pair *pair)
{
    struct mr_buf *out = tls_stream_out(pair->stream);
    if (out->len > 0) {
        assert_int_equal(BIO_write(pair->to_client, out->ptr, (int)out->len), out->len);
        buf_clear(out);
    }
}

/* What the client has written so far. */
void pair_carry_to_server(struct tls_fixture *f, struct tls_pair *pair)
{
    char *bytes;
    size_t len = (size_t)BIO_get_mem_data(pair->from_client, &bytes);
    for (size_t at = 0; at < len;) {
        size_t piece = pair->piece < len - at ? pair->piece : len - at;
        char *exact = malloc(piece); /* so that a read past it is seen by the sanitizer */
        assert_non_null(exact);
        memcpy(exact, bytes + at, piece);
        pair_feed(f, pair, exact, piece);
        free(exact);
        at += piece;
    }
    (void)BIO_reset(pair->from_client);
}

/* Until nothing moves. Returns what the client says of the handshake (1: complete). */
int pair_shake_hands(struct tls_fixture *f, struct tls_pair *pair)
{
    int rc = -1;
    for (int i = 0; i < 6; i++) {
        rc = SSL_do_handshake(pair->client);
        ERR_clear_error();
        pair_carry_to_server(f, pair);
        pair_carry_to_client(pair);
    }
    return rc;
}

void pair_client_writes(struct tls_pair *pair, const char *bytes, size_t len)
{
    size_t written;
    assert_int_equal(SSL_write_ex(pair->client, bytes, len, &written), 1);
    assert_int_equal(written, len);
}

void pair_client_reads(struct tls_pair *pair, const char *bytes, size_t len)
{
    char *got = malloc(len);
    size_t at = 0;
    assert_non_null(got);
    while (at < len) {
        size_t part;
        assert_int_equal(SSL_read_ex(pair->client, got + at, len - at, &part), 1);
        at += part;
    }
    assert_memory_equal(got, bytes, len);
    free(got);
}

void pair_show_certificate(const struct tls_pair *pair, const struct cert *cert)
{
    assert_int_equal(SSL_use_certificate(pair->client, cert->x509), 1);
    assert_int_equal(SSL_use_PrivateKey(pair->client, cert->key), 1);
}
