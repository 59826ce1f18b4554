// SPDX-License-Identifier: Apache-2.0
/* The server's end against OpenSSL's client, in memory: bytes are carried between the two in pieces
 * of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/certificates.h"
#include "lib/heap.h"
#include "net/tls_stream.h"

enum { PLAIN_BYTES = 1024 * 1024, BIG = 300 * 1000 };

struct fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct cert client;
    struct tls_context *context;  /* client certificates: none */
    struct tls_context *optional; /* signed by `ca` */
    char plain[PLAIN_BYTES];
};

/* Both ends. */
struct pair {
    struct tls_stream *stream;
    SSL_CTX *context;
    SSL *client;
    BIO *to_client;
    BIO *from_client;
    size_t piece; /* bytes carried to the server at once */
    struct mr_buf got;
};

static struct tls_context *make_context(const struct fixture *f, enum tls_client_auth client)
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

static int set_up(void **state)
{
    static struct fixture f;
    static const char *const subject[] = {"C",  "DE",        "O", "M\xc3\xbchle, Nord",
                                          "CN", "#d1+\"x\"", NULL};
    cert_folder_make(&f.folder);
    cert_make(&f.ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&f.server, &(struct cert_spec){.common_name = "localhost", .issuer = &f.ca});
    cert_make(&f.client, &(struct cert_spec){.subject = subject, .issuer = &f.ca});
    cert_write(cert_path(&f.folder, "server.pem"), &f.server, NULL);
    cert_write_key(cert_path(&f.folder, "server.key"), &f.server, NULL);
    cert_write(cert_path(&f.folder, "ca.pem"), &f.ca, NULL);
    f.context = make_context(&f, TLS_CLIENT_NONE);
    f.optional = make_context(&f, TLS_CLIENT_OPTIONAL);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tls_context_unref(f->context);
    tls_context_unref(f->optional);
    cert_done(&f->ca);
    cert_done(&f->server);
    cert_done(&f->client);
    cert_folder_remove(&f->folder);
    return 0;
}

static void pair_make(struct pair *pair, const struct tls_context *context, int version)
{
    *pair = (struct pair){.stream = tls_stream_new(context), .piece = SIZE_MAX};
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

static void pair_done(struct pair *pair)
{
    tls_stream_free(pair->stream);
    SSL_free(pair->client);
    SSL_CTX_free(pair->context);
    buf_done(&pair->got);
    ERR_clear_error();
}

static void feed(struct fixture *f, struct pair *pair, const char *bytes, size_t len)
{
    size_t got = tls_stream_feed(pair->stream, bytes, len, f->plain);
    assert_true(got <= len + TLS_RECORD_BYTES_MAX);
    assert_int_equal(ERR_peek_error(), 0); /* the thread's queue is left empty, whatever came */
    assert_int_equal(buf_add(&pair->got, f->plain, got), 0);
}

static void carry_to_client(struct pair *pair)
{
    struct mr_buf *out = tls_stream_out(pair->stream);
    if (out->len > 0) {
        assert_int_equal(BIO_write(pair->to_client, out->ptr, (int)out->len), out->len);
        buf_clear(out);
    }
}

/* What the client has written so far. */
static void carry_to_server(struct fixture *f, struct pair *pair)
{
    char *bytes;
    size_t len = (size_t)BIO_get_mem_data(pair->from_client, &bytes);
    for (size_t at = 0; at < len;) {
        size_t piece = pair->piece < len - at ? pair->piece : len - at;
        char *exact = malloc(piece); /* so that a read past it is seen by the sanitizer */
        assert_non_null(exact);
        memcpy(exact, bytes + at, piece);
        feed(f, pair, exact, piece);
        free(exact);
        at += piece;
    }
    (void)BIO_reset(pair->from_client);
}

/* Until nothing moves. Returns what the client says of the handshake (1: complete). */
static int shake_hands(struct fixture *f, struct pair *pair)
{
    int rc = -1;
    for (int i = 0; i < 6; i++) {
        rc = SSL_do_handshake(pair->client);
        ERR_clear_error();
        carry_to_server(f, pair);
        carry_to_client(pair);
    }
    return rc;
}

static void client_writes(struct pair *pair, const char *bytes, size_t len)
{
    size_t written;
    assert_int_equal(SSL_write_ex(pair->client, bytes, len, &written), 1);
    assert_int_equal(written, len);
}

static void assert_client_reads(struct pair *pair, const char *bytes, size_t len)
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

/* The alert that the client has been sent, RFC 8446 6; 0: none. */
static int alert_of(struct pair *pair)
{
    char byte;
    int rc = SSL_read(pair->client, &byte, 1);
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_REASON(error);
    assert_true(rc <= 0);
    ERR_clear_error();
    return reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
}

static void test_both_ways_in_pieces_of_any_size(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t pieces[] = {1, 2, 7, 1000, SIZE_MAX};
    static char big[BIG];
    struct fixture *f = *state;
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    for (size_t i = 0; i < MR_COUNT_OF(versions) * MR_COUNT_OF(pieces); i++) {
        struct pair pair;
        pair_make(&pair, f->context, versions[i % MR_COUNT_OF(versions)]);
        pair.piece = pieces[i / MR_COUNT_OF(versions)];
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_HANDSHAKING);
        assert_int_equal(shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_COMPLETED);
        assert_null(tls_stream_subject(pair.stream).ptr);
        client_writes(&pair, "hello", 5);
        client_writes(&pair, big, BIG);
        carry_to_server(f, &pair);
        assert_int_equal(pair.got.len, BIG + 5);
        assert_memory_equal(pair.got.ptr, "hello", 5);
        assert_memory_equal(pair.got.ptr + 5, big, BIG);
        assert_false(tls_stream_is_midway(pair.stream));
        assert_int_equal(tls_stream_write(pair.stream, big, BIG), 0);
        assert_int_equal(tls_stream_write(pair.stream, "", 0), 0);
        carry_to_client(&pair);
        assert_client_reads(&pair, big, BIG);
        pair_done(&pair);
    }
}

/* RFC 8446 6.1: each side ends its own; the other may go on. */
static void test_close_notify_both_ways(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        struct pair pair;
        char byte;
        pair_make(&pair, f->context, versions[i]);
        assert_int_equal(shake_hands(f, &pair), 1);
        client_writes(&pair, "last", 4);
        assert_int_equal(SSL_shutdown(pair.client), 0);
        carry_to_server(f, &pair);
        assert_int_equal(pair.got.len, 4);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_ENDED);
        feed(f, &pair, "whatever", 8);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_ENDED);
        assert_int_equal(tls_stream_write(pair.stream, "answer", 6), 0);
        tls_stream_end(pair.stream);
        tls_stream_end(pair.stream);
        assert_int_equal(tls_stream_write(pair.stream, "x", 1), MR_ECLOSED);
        carry_to_client(&pair);
        assert_client_reads(&pair, "answer", 6);
        assert_int_equal(SSL_read(pair.client, &byte, 1), 0);
        assert_int_equal(SSL_get_error(pair.client, 0), SSL_ERROR_ZERO_RETURN);
        pair_done(&pair);
    }
}

static void test_ending_during_the_handshake_says_nothing(void **state)
{
    struct fixture *f = *state;
    struct tls_stream *stream = tls_stream_new(f->context);
    tls_stream_end(stream);
    assert_int_equal(tls_stream_out(stream)->len, 0);
    tls_stream_free(stream);
}

/* A record that is half here takes memory, one that is whole none. */
static void test_a_record_that_does_not_end(void **state)
{
    struct fixture *f = *state;
    struct pair pair;
    char *bytes;
    size_t len;
    pair_make(&pair, f->context, TLS1_3_VERSION);
    assert_int_equal(shake_hands(f, &pair), 1);
    client_writes(&pair, "hello", 5);
    len = (size_t)BIO_get_mem_data(pair.from_client, &bytes);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(tls_stream_is_midway(pair.stream), i > 0);
        assert_int_equal(pair.got.len, 0);
        feed(f, &pair, bytes + i, 1);
    }
    assert_int_equal(pair.got.len, 5);
    assert_false(tls_stream_is_midway(pair.stream));
    pair_done(&pair);
}

/* One byte differs at each place of a record: nothing comes of it but an alert. */
static void test_forged_records(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        for (size_t at = 0;; at++) {
            struct pair pair;
            char *bytes;
            size_t len;
            pair_make(&pair, f->context, versions[i]);
            assert_int_equal(shake_hands(f, &pair), 1);
            client_writes(&pair, "hello", 5);
            len = (size_t)BIO_get_mem_data(pair.from_client, &bytes);
            if (at == len) {
                pair_done(&pair);
                break;
            }
            bytes[at] ^= 0x10;
            feed(f, &pair, bytes, len);
            assert_int_equal(pair.got.len, 0);
            if (tls_stream_state(pair.stream) == TLS_STREAM_FAILED) {
                assert_true(tls_stream_out(pair.stream)->len > 0);
                assert_int_equal(tls_stream_write(pair.stream, "x", 1), MR_ECLOSED);
                assert_true(strlen(tls_stream_reason(pair.stream)) > 0);
                assert_int_equal(tls_stream_outcome(pair.stream), TLS_COMPLETED);
            } else { /* its length: it waits for more */
                assert_true(at == 3 || at == 4);
                assert_true(tls_stream_is_midway(pair.stream));
            }
            pair_done(&pair);
        }
    }
}

static void test_what_is_no_tls(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum tls_outcome outcome;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, TLS_PLAINTEXT},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18, TLS_ERROR},
        {"\x16\x03\x01\xff\xff\x01\0\0\0\0\0\0", 12, TLS_ERROR},     /* longer than a record is */
        {"\x16\x03\x01\0\x04\x01\xff\xff\xff\0\0\0", 12, TLS_ERROR}, /* a hello of 16 MiB */
        {"\x17\x03\x03\0\x01\0", 6, TLS_ERROR},                      /* data before the handshake */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct pair pair;
        pair_make(&pair, f->context, TLS1_3_VERSION);
        feed(f, &pair, cases[i].bytes, cases[i].len);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
        assert_int_equal(tls_stream_outcome(pair.stream), cases[i].outcome);
        feed(f, &pair, "more", 4);
        assert_int_equal(pair.got.len, 0);
        pair_done(&pair);
    }
}

/* RFC 8446 6.2: 70 is protocol_version, 40 handshake_failure. */
static void test_old_versions_and_suites_are_refused(void **state)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    static const char *const suites[] = {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                                         "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"};
    struct fixture *f = *state;
    struct pair pair;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        pair_make(&pair, f->context, versions[i]);
        assert_int_not_equal(shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        pair_done(&pair);
    }
    for (size_t i = 0; i < MR_COUNT_OF(suites); i++) {
        pair_make(&pair, f->context, TLS1_2_VERSION);
        assert_int_equal(SSL_set_cipher_list(pair.client, suites[i]), 1);
        assert_int_not_equal(shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        pair_done(&pair);
    }
}

/* RFC 7301 3.2; 120 is no_application_protocol. */
static void test_alpn(void **state)
{
    static const struct {
        const char *offer;
        unsigned len;
        const char *chosen; /* NULL: refused */
    } cases[] = {
        {"", 0, ""},
        {"\x08http/1.1", 9, "http/1.1"},
        {"\x02h2\x08http/1.1", 12, "http/1.1"},
        {"\x02h2", 3, NULL},
        {"\x08http/1.0", 9, NULL},
        {"\x09http/1.1x", 10, NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        const unsigned char *chosen;
        unsigned len;
        struct pair pair;
        int rc;
        pair_make(&pair, f->context, TLS1_2_VERSION);
        if (cases[i].len > 0) {
            assert_int_equal(SSL_set_alpn_protos(pair.client, (const unsigned char *)cases[i].offer,
                                                 cases[i].len),
                             0);
        }
        rc = shake_hands(f, &pair);
        SSL_get0_alpn_selected(pair.client, &chosen, &len);
        if (cases[i].chosen != NULL) {
            assert_int_equal(rc, 1);
            assert_int_equal(len, strlen(cases[i].chosen));
            assert_memory_equal(chosen, cases[i].chosen, len);
        } else {
            assert_int_not_equal(rc, 1);
            assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        }
        pair_done(&pair);
    }
}

/* In TLS 1.2 a client may ask for it; the answer is no (RFC 5246 7.2.2, no_renegotiation). */
static void test_renegotiation_is_refused(void **state)
{
    struct fixture *f = *state;
    struct pair pair;
    pair_make(&pair, f->context, TLS1_2_VERSION);
    assert_int_equal(shake_hands(f, &pair), 1);
    assert_int_equal(SSL_get_secure_renegotiation_support(pair.client), 1);
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    (void)SSL_do_handshake(pair.client);
    ERR_clear_error();
    carry_to_server(f, &pair);
    carry_to_client(&pair);
    (void)SSL_do_handshake(pair.client);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    pair_done(&pair);
}

static void show_certificate(const struct pair *pair, const struct cert *cert)
{
    assert_int_equal(SSL_use_certificate(pair->client, cert->x509), 1);
    assert_int_equal(SSL_use_PrivateKey(pair->client, cert->key), 1);
}

/* RFC 4514 2.1: the last part comes first; 2.4: '#' at the beginning, '+', '"' and ',' are escaped.
 */
static void test_the_subject_of_the_client(void **state)
{
    struct fixture *f = *state;
    struct mr_slice subject;
    struct pair pair;
    pair_make(&pair, f->optional, TLS1_3_VERSION);
    show_certificate(&pair, &f->client);
    assert_int_equal(shake_hands(f, &pair), 1);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
    subject = tls_stream_subject(pair.stream);
    assert_true(mr_slice_is(subject, MR_SLICE("CN=\\#d1\\+\\\"x\\\",O=M\xc3\xbchle\\, Nord,C=DE")));
    pair_done(&pair);
    pair_make(&pair, f->optional, TLS1_3_VERSION);
    assert_int_equal(shake_hands(f, &pair), 1);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
    assert_null(tls_stream_subject(pair.stream).ptr);
    pair_done(&pair);
}

/* Also where none is asked for: one that is shown must be right. RFC 8446 6.2: 45 is
 * certificate_expired, 48 unknown_ca. */
static void test_certificates_that_are_not_accepted(void **state)
{
    struct fixture *f = *state;
    struct cert stranger;
    struct cert expired;
    const struct {
        const struct cert *cert;
        int alert;
        const char *reason;
    } cases[] = {{&stranger, 48, "self-signed certificate"},
                 {&expired, 45, "certificate has expired"}};
    cert_make(&stranger, &(struct cert_spec){.common_name = "Test CA"});
    cert_make(&expired, &(struct cert_spec){
                            .common_name = "old", .issuer = &f->ca, .from_s = -7200, .to_s = -60});
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct pair pair;
        pair_make(&pair, f->optional, TLS1_3_VERSION);
        show_certificate(&pair, cases[i].cert);
        (void)shake_hands(f, &pair);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_BAD_CERTIFICATE);
        assert_string_equal(tls_stream_reason(pair.stream), cases[i].reason);
        assert_int_equal(alert_of(&pair), cases[i].alert);
        assert_null(tls_stream_subject(pair.stream).ptr);
        pair_done(&pair);
    }
    cert_done(&stranger);
    cert_done(&expired);
}

/* The session that the client has been given, to go on with. */
static SSL_SESSION *take_session(struct pair *pair)
{
    char byte;
    (void)SSL_read(pair->client, &byte, 1); /* in TLS 1.3 tickets follow the handshake */
    ERR_clear_error();
    /* As if it had ended well: OpenSSL forgets the others. */
    SSL_set_shutdown(pair->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return SSL_get1_session(pair->client);
}

/* Whether a session that began with `first` is resumed with `second`. */
static bool is_resumed(struct fixture *f, const struct tls_context *first,
                       const struct tls_context *second, int version)
{
    struct pair pair;
    SSL_SESSION *session;
    bool resumed;
    pair_make(&pair, first, version);
    show_certificate(&pair, &f->client);
    assert_int_equal(shake_hands(f, &pair), 1);
    session = take_session(&pair);
    pair_done(&pair);
    pair_make(&pair, second, version);
    assert_int_equal(SSL_set_session(pair.client, session), 1);
    assert_int_equal(shake_hands(f, &pair), 1);
    resumed = SSL_session_reused(pair.client) == 1;
    assert_int_equal(tls_stream_subject(pair.stream).ptr != NULL, resumed);
    SSL_SESSION_free(session);
    pair_done(&pair);
    return resumed;
}

/* A ticket keeps the certificate's subject; another context takes none of it. */
static void test_a_ticket_is_good_for_its_own_context(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = *state;
    struct tls_context *other = make_context(f, TLS_CLIENT_OPTIONAL);
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        assert_true(is_resumed(f, f->optional, f->optional, versions[i]));
        assert_false(is_resumed(f, f->optional, other, versions[i]));
    }
    tls_context_unref(other);
}

static void test_the_client_does_not_trust_us(void **state)
{
    struct fixture *f = *state;
    struct pair pair;
    pair_make(&pair, f->context, TLS1_3_VERSION);
    SSL_set_verify(pair.client, SSL_VERIFY_PEER, NULL);
    (void)shake_hands(f, &pair);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
    assert_int_equal(tls_stream_outcome(pair.stream), TLS_ALERT);
    assert_string_equal(tls_stream_reason(pair.stream), "tlsv1 alert unknown ca");
    pair_done(&pair);
}

/* Our own memory; the peer's view is a connection that ends. */
static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    for (unsigned n = 1;; n++) {
        struct pair pair;
        bool is_made;
        heap_fail_at(n);
        pair.stream = tls_stream_new(f->optional);
        is_made = pair.stream != NULL;
        tls_stream_free(pair.stream);
        if (is_made) {
            heap_fail_at(0);
            pair_make(&pair, f->optional, TLS1_3_VERSION);
            show_certificate(&pair, &f->client);
            heap_fail_at(n);
            (void)shake_hands(f, &pair);
            if (tls_stream_state(pair.stream) == TLS_STREAM_OPEN &&
                tls_stream_write(pair.stream, "hello", 5) == 0) {
                carry_to_client(&pair);
            } else {
                assert_true(heap_failed());
                assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
            }
            pair_done(&pair);
        }
        if (!heap_failed()) {
            break;
        }
    }
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

/* OpenSSL's memory: the n-th allocation of what it does for us fails. */
static unsigned openssl_left;
static bool openssl_failed;

static void *openssl_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (openssl_left > 0 && --openssl_left == 0) {
        openssl_failed = true;
        return NULL;
    }
    return malloc(bytes);
}

static void *openssl_realloc(void *ptr, size_t bytes, const char *file, int line)
{
    if (ptr == NULL) {
        return openssl_malloc(bytes, file, line);
    }
    if (openssl_left > 0 && --openssl_left == 0) {
        openssl_failed = true;
        return NULL;
    }
    return realloc(ptr, bytes);
}

static void openssl_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/* The server's steps alone; the client's memory doesn't fail. Returns whether all went well. */
static bool serve(struct fixture *f, struct pair *pair, unsigned n)
{
    char *bytes;
    size_t len;
    bool is_fine = true;
    for (int i = 0; i < 4 && is_fine; i++) {
        (void)SSL_do_handshake(pair->client);
        ERR_clear_error();
        len = (size_t)BIO_get_mem_data(pair->from_client, &bytes);
        openssl_left = n;
        (void)tls_stream_feed(pair->stream, bytes, len, f->plain);
        n = openssl_left;
        openssl_left = 0;
        (void)BIO_reset(pair->from_client);
        carry_to_client(pair);
        is_fine = tls_stream_state(pair->stream) != TLS_STREAM_FAILED;
    }
    if (is_fine && tls_stream_state(pair->stream) == TLS_STREAM_OPEN) {
        openssl_left = n;
        is_fine = tls_stream_write(pair->stream, "hello", 5) == 0;
        tls_stream_end(pair->stream);
        openssl_left = 0;
    }
    assert_int_equal(ERR_peek_error(), 0);
    return is_fine && tls_stream_state(pair->stream) == TLS_STREAM_OPEN;
}

static void test_openssl_out_of_memory(void **state)
{
    struct fixture *f = *state;
    unsigned broken = 0;
    unsigned n = 0;
    do {
        struct pair pair;
        openssl_failed = false;
        pair_make(&pair, f->optional, TLS1_3_VERSION);
        show_certificate(&pair, &f->client);
        n += n < 200 ? 1 : 7; /* each of the first, then some of thousands */
        broken += !serve(f, &pair, n);
        pair_done(&pair);
    } while (openssl_failed);
    assert_true(n > 1000 && broken > 50);
    for (n = 1;; n++) {
        struct tls_stream *stream;
        openssl_failed = false;
        openssl_left = n;
        stream = tls_stream_new(f->optional);
        openssl_left = 0;
        tls_stream_free(stream);
        assert_int_equal(ERR_peek_error(), 0);
        if (!openssl_failed) {
            assert_non_null(stream);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_in_pieces_of_any_size),
        cmocka_unit_test(test_close_notify_both_ways),
        cmocka_unit_test(test_ending_during_the_handshake_says_nothing),
        cmocka_unit_test(test_a_record_that_does_not_end),
        cmocka_unit_test(test_forged_records),
        cmocka_unit_test(test_what_is_no_tls),
        cmocka_unit_test(test_old_versions_and_suites_are_refused),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_the_subject_of_the_client),
        cmocka_unit_test(test_certificates_that_are_not_accepted),
        cmocka_unit_test(test_a_ticket_is_good_for_its_own_context),
        cmocka_unit_test(test_the_client_does_not_trust_us),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_openssl_out_of_memory),
    };
    /* Before OpenSSL has any. */
    assert_int_equal(CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free), 1);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
