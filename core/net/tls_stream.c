// SPDX-License-Identifier: Apache-2.0
/* OpenSSL reads and writes through a BIO of our own: it reads what tls_stream_feed was given, and
 * writes into `out`, so that nothing is copied on the way in, and there is no limit but ours on the
 * way out. Its error queue belongs to the thread, not to the connection: it is emptied before and
 * after every call. */
#include "net/tls_stream.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    TLS_STREAM_MAGIC = 0x54535452,
    ALERT_ILLEGAL_PARAMETER = 47, /* RFC 8446 6 */
    ALERT_DECODE_ERROR = 50,
};

struct tls_stream {
    unsigned magic;
    SSL *ssl;
    enum tls_stream_state state;
    enum tls_outcome outcome;
    bool is_out_ended; /* close_notify was written */
    const char *in;    /* of tls_stream_feed, while it runs */
    size_t in_len;
    struct tls_hello hello;
    enum tls_hello_verdict hello_verdict;
    struct mr_buf out;
    char *subject; /* NULL: none */
    char reason[TLS_REASON_BYTES];
};

/* OpenSSL acts on a record when the whole of it was read: what is refused here it never sees. */
static bool is_refused(struct tls_stream *stream, const char *bytes, size_t len)
{
    if (stream->state == TLS_STREAM_HANDSHAKING && stream->hello_verdict == TLS_HELLO_GOOD) {
        bool is_1_3 = SSL_version(stream->ssl) == TLS1_3_VERSION;
        stream->hello_verdict = tls_hello_see(&stream->hello, is_1_3, bytes, len);
    }
    return stream->hello_verdict != TLS_HELLO_GOOD;
}

static int on_bio_read(BIO *bio, char *ret_bytes, size_t len, size_t *ret_len)
{
    struct tls_stream *stream;
    MAGIC_CAST(stream, BIO_get_data(bio), TLS_STREAM_MAGIC);
    BIO_clear_retry_flags(bio);
    len = len < stream->in_len ? len : stream->in_len;
    *ret_len = len;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (is_refused(stream, stream->in, len)) {
        *ret_len = 0;
        return -1;
    }
    memcpy(ret_bytes, stream->in, len);
    stream->in += len;
    stream->in_len -= len;
    return 1;
}

static int on_bio_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
    struct tls_stream *stream;
    MAGIC_CAST(stream, BIO_get_data(bio), TLS_STREAM_MAGIC);
    BIO_clear_retry_flags(bio);
    if (buf_add(&stream->out, bytes, len) != 0) {
        *ret_len = 0;
        return -1;
    }
    *ret_len = len;
    return 1;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* Made once, and kept as long as the process lives. NULL: out of memory. */
static BIO_METHOD *method;

static void make_method(void)
{
    int type = BIO_get_new_index();
    BIO_METHOD *made = type < 0 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "millrace");
    if (made != NULL && BIO_meth_set_read_ex(made, on_bio_read) == 1 &&
        BIO_meth_set_write_ex(made, on_bio_write) == 1 &&
        BIO_meth_set_ctrl(made, on_bio_ctrl) == 1) {
        method = made;
    } else {
        BIO_meth_free(made);
    }
}

/* The BIO belongs to `ssl` afterwards. */
static bool attach(struct tls_stream *stream)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;
    (void)pthread_once(&once, make_method);
    bio = method == NULL ? NULL : BIO_new(method);
    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    return true;
}

/* OpenSSL 3.5 allocates here, and says only in the queue of errors that it had no memory. */
static bool set_accept_state(SSL *ssl)
{
    ERR_clear_error();
    SSL_set_accept_state(ssl);
    return ERR_peek_error() == 0;
}

struct tls_stream *tls_stream_new(const struct tls_context *context)
{
    struct tls_stream *stream = mem_zalloc(sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->magic = TLS_STREAM_MAGIC;
    stream->state = TLS_STREAM_HANDSHAKING;
    stream->outcome = TLS_ABANDONED;
    buf_init(&stream->out, TLS_OUT_BYTES_MAX);
    stream->ssl = SSL_new(tls_context_ssl(context));
    if (stream->ssl == NULL || !attach(stream) || !set_accept_state(stream->ssl)) {
        ERR_clear_error();
        tls_stream_free(stream);
        return NULL;
    }
    return stream;
}

void tls_stream_free(struct tls_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    MAGIC_CHECK(stream, TLS_STREAM_MAGIC);
    SSL_free(stream->ssl);
    buf_done(&stream->out);
    mem_free(stream->subject);
    stream->magic = 0;
    mem_free(stream);
}

enum tls_stream_state tls_stream_state(const struct tls_stream *stream)
{
    return stream->state;
}

const char *tls_stream_reason(const struct tls_stream *stream)
{
    return stream->reason;
}

enum tls_outcome tls_stream_outcome(const struct tls_stream *stream)
{
    return stream->outcome;
}

struct mr_buf *tls_stream_out(struct tls_stream *stream)
{
    return &stream->out;
}

struct mr_slice tls_stream_subject(const struct tls_stream *stream)
{
    return stream->subject == NULL ? mr_slice(NULL, 0) : mr_slice_of(stream->subject);
}

bool tls_stream_is_midway(const struct tls_stream *stream)
{
    return strcmp(SSL_rstate_string(stream->ssl), "RB") == 0 || SSL_has_pending(stream->ssl) == 1;
}

size_t tls_stream_held(const struct tls_stream *stream)
{
    size_t held = tls_stream_is_midway(stream) ? TLS_HELD_BYTES : 0;
    if (stream->state == TLS_STREAM_HANDSHAKING) {
        held += TLS_HANDSHAKE_BYTES + stream->hello.announced;
    }
    return held;
}

static enum tls_outcome outcome_of(unsigned long error)
{
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
        return TLS_ERROR;
    }
    switch (ERR_GET_REASON(error)) {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return TLS_BAD_CERTIFICATE;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        case SSL_R_NO_APPLICATION_PROTOCOL:
            return TLS_MISMATCH;
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
            return TLS_PLAINTEXT;
        default:
            return ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET ? TLS_ALERT : TLS_ERROR;
    }
}

static void fail_with(struct tls_stream *stream, enum tls_outcome outcome, const char *reason)
{
    if (stream->state == TLS_STREAM_HANDSHAKING) {
        stream->outcome = outcome;
    }
    stream->state = TLS_STREAM_FAILED;
    (void)snprintf(stream->reason, sizeof stream->reason, "%s", reason);
}

/* As the error queue tells. */
static void fail(struct tls_stream *stream)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
    long verdict = SSL_get_verify_result(stream->ssl);
    if (stream->out.failed != 0) {
        reason = mr_code_text((enum mr_code)stream->out.failed);
    } else if (ERR_GET_LIB(error) == ERR_LIB_SSL && verdict != X509_V_OK &&
               ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        reason = X509_verify_cert_error_string(verdict);
    }
    fail_with(stream, outcome_of(error), reason == NULL ? "OpenSSL gives no reason" : reason);
}

/* In the clear, as all is before the server's hello and after its request for another. */
static void fail_hello(struct tls_stream *stream)
{
    bool is_too_long = stream->hello_verdict == TLS_HELLO_TOO_LONG;
    const char alert[] = {
        0x15,
        0x03,
        0x03,
        0x00,
        0x02,
        0x02, /* RFC 8446 5.1, 6: fatal */
        is_too_long ? ALERT_ILLEGAL_PARAMETER : ALERT_DECODE_ERROR,
    };
    (void)buf_add(&stream->out, alert, sizeof alert);
    fail_with(stream, TLS_ERROR,
              is_too_long ? "a ClientHello of more than 16 KiB is announced"
                          : "the first record does not begin with a ClientHello");
}

/* The whole text, or NULL: out of memory, or too long. */
static char *subject_text(X509_NAME *name)
{
    const unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    char *text = NULL;
    long len = -1;
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, form) >= 0) {
        len = BIO_get_mem_data(bio, &bytes);
    }
    if (len >= 0 && len <= TLS_SUBJECT_BYTES_MAX) {
        text = mem_strndup(len == 0 ? "" : bytes, (size_t)len);
    }
    (void)BIO_free(bio);
    return text;
}

/* The certificate was verified, now or when the session began that is resumed. */
static void admit(struct tls_stream *stream)
{
    X509 *peer = SSL_get0_peer_certificate(stream->ssl);
    X509_NAME *name = peer == NULL ? NULL : X509_get_subject_name(peer);
    if (peer != NULL && SSL_get_verify_result(stream->ssl) != X509_V_OK) {
        fail_with(stream, TLS_BAD_CERTIFICATE, "the certificate was not verified");
        return;
    }
    if (name != NULL) {
        stream->subject = subject_text(name);
        if (stream->subject == NULL) {
            fail_with(stream, TLS_BAD_CERTIFICATE, "no memory for the subject, or it is too long");
            return;
        }
    }
    stream->outcome = TLS_COMPLETED;
    stream->state = TLS_STREAM_OPEN;
}

static void shake_hands(struct tls_stream *stream)
{
    int rc = SSL_do_handshake(stream->ssl);
    if (rc == 1) {
        admit(stream);
    } else if (stream->hello_verdict != TLS_HELLO_GOOD) {
        fail_hello(stream);
    } else if (SSL_get_error(stream->ssl, rc) != SSL_ERROR_WANT_READ) {
        fail(stream);
    }
}

/* Returns how much plaintext there is; 0: no whole record is left, or the state has changed. */
static size_t read_plain(struct tls_stream *stream, char *ret_plain, size_t room)
{
    size_t len = 0;
    int rc = SSL_read_ex(stream->ssl, ret_plain, room, &len);
    int error;
    if (rc == 1) {
        return len;
    }
    error = SSL_get_error(stream->ssl, rc);
    if (error == SSL_ERROR_ZERO_RETURN) {
        stream->state = TLS_STREAM_ENDED;
    } else if (error != SSL_ERROR_WANT_READ) {
        fail(stream);
    }
    return 0;
}

size_t tls_stream_feed(struct tls_stream *stream, const char *bytes, size_t len, char *ret_plain)
{
    size_t room = len + TLS_RECORD_BYTES_MAX;
    size_t at = 0;
    size_t got = 1;
    MAGIC_CHECK(stream, TLS_STREAM_MAGIC);
    stream->in = bytes;
    stream->in_len = len;
    ERR_clear_error();
    if (stream->state == TLS_STREAM_HANDSHAKING) {
        shake_hands(stream);
    }
    while (stream->state == TLS_STREAM_OPEN && got > 0) {
        assert(at < room);
        got = read_plain(stream, ret_plain + at, room - at);
        at += got;
    }
    if (stream->state == TLS_STREAM_OPEN && stream->out.failed != 0) {
        fail(stream);
    }
    ERR_clear_error();
    stream->in = NULL;
    stream->in_len = 0;
    return at;
}

int tls_stream_write(struct tls_stream *stream, const char *bytes, size_t len)
{
    size_t written;
    MAGIC_CHECK(stream, TLS_STREAM_MAGIC);
    assert(stream->state != TLS_STREAM_HANDSHAKING);
    if (stream->state == TLS_STREAM_FAILED || stream->is_out_ended) {
        return MR_ECLOSED;
    }
    ERR_clear_error();
    if (len > 0 && SSL_write_ex(stream->ssl, bytes, len, &written) != 1) {
        int failed = stream->out.failed;
        fail(stream);
        ERR_clear_error();
        return failed != 0 ? failed : MR_ECLOSED;
    }
    return 0;
}

void tls_stream_end(struct tls_stream *stream)
{
    bool is_able = stream->state == TLS_STREAM_OPEN || stream->state == TLS_STREAM_ENDED;
    MAGIC_CHECK(stream, TLS_STREAM_MAGIC);
    if (is_able && !stream->is_out_ended) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl);
        ERR_clear_error();
        stream->is_out_ended = true;
    }
}
