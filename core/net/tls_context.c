// SPDX-License-Identifier: Apache-2.0
#include "net/tls_context.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum { TLS_CONTEXT_MAGIC = 0x54435458, SECURITY_LEVEL = 2, TICKETS = 1 };

/* What a client may announce for its certificates: OpenSSL allocates it before they come. */
enum { CLIENT_CHAIN_BYTES_MAX = 32 * 1024 };

/* The first ones are the cheapest where AES is done by the processor; a client that prefers ChaCha
 * has none of that, and gets it (SSL_OP_PRIORITIZE_CHACHA). */
static const char ciphers_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";
/* OpenSSL wants one where clients show certificates. It may be the same for all contexts: a ticket
 * of another doesn't open with this one's key. */
static const unsigned char session_context[] = "millrace";
static const unsigned char protocol[] = "\x08http/1.1";

struct tls_context {
    unsigned magic;
    atomic_uint references;
    SSL_CTX *ssl;
    int64_t not_before;
    int64_t not_after;
};

/* A file that is being read: for the errors. */
struct source {
    const char *path;
    struct mr_error *err;
};

/* What OpenSSL says, from its first error on: later ones only follow from it. */
static const char *reason(void)
{
    unsigned long first = ERR_peek_error();
    const char *text = first == 0 ? NULL : ERR_reason_error_string(first);
    return text == NULL ? "OpenSSL gives no reason" : text;
}

static int refuse(const struct source *source, const char *what)
{
    unsigned long first = ERR_peek_error();
    if (first != 0 && ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE) {
        return mr_error_set(source->err, MR_ENOMEM, "%.200s: out of memory", source->path);
    }
    return mr_error_set(source->err, MR_ECONFIG, "%.200s: %s", source->path, what);
}

static int refuse_with_reason(const struct source *source, const char *what)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s (%s)", what, reason());
    return refuse(source, text);
}

static int open_source(const struct source *source, BIO **ret_bio)
{
    struct stat stat_of;
    FILE *file = fopen(source->path, "re");
    if (file == NULL) {
        return refuse(source, strerror(errno));
    }
    if (fstat(fileno(file), &stat_of) != 0 || !S_ISREG(stat_of.st_mode)) {
        (void)fclose(file);
        return refuse(source, "not a regular file");
    }
    if (stat_of.st_size > TLS_FILE_BYTES_MAX) {
        (void)fclose(file);
        return refuse(source, "larger than 4 MiB");
    }
    *ret_bio = BIO_new_fp(file, BIO_CLOSE);
    if (*ret_bio == NULL) {
        (void)fclose(file);
        return refuse(source, "out of memory");
    }
    return 0;
}

/* The end of a file of PEM blocks is told as an error too. */
static bool is_end_of_file(void)
{
    unsigned long last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

static int64_t unix_seconds(const ASN1_TIME *time)
{
    int days = 0;
    int seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool is_known = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    return is_known ? (int64_t)days * 86400 + seconds : 0;
}

static int use_leaf(struct tls_context *context, const struct source *source, BIO *bio)
{
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    int rc = 0;
    if (leaf == NULL) {
        return is_end_of_file() ? refuse(source, "no certificate in it, in PEM form")
                                : refuse_with_reason(source, "not a certificate in PEM form");
    }
    context->not_before = unix_seconds(X509_get0_notBefore(leaf));
    context->not_after = unix_seconds(X509_get0_notAfter(leaf));
    if (SSL_CTX_use_certificate(context->ssl, leaf) != 1) {
        rc = refuse_with_reason(source, "the certificate can't be used");
    }
    X509_free(leaf);
    return rc;
}

/* Those that follow are sent with it. */
static int add_chain(struct tls_context *context, const struct source *source, BIO *bio)
{
    X509 *next;
    for (int count = 1; (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; count++) {
        if (count >= TLS_CHAIN_MAX || SSL_CTX_add0_chain_cert(context->ssl, next) != 1) {
            X509_free(next);
            return count >= TLS_CHAIN_MAX
                       ? refuse(source, "more than 16 certificates")
                       : refuse_with_reason(source, "a certificate of the chain can't be used");
        }
    }
    return is_end_of_file()
               ? 0
               : refuse_with_reason(source, "what follows the certificate is not one in PEM form");
}

static int use_certificate(struct tls_context *context, const struct source *source)
{
    BIO *bio;
    int rc = open_source(source, &bio);
    if (rc != 0) {
        return rc;
    }
    rc = use_leaf(context, source, bio);
    if (rc == 0) {
        rc = add_chain(context, source, bio);
    }
    (void)BIO_free(bio);
    return rc;
}

/* Never ask the terminal. */
static int on_pass_phrase(char *ret_phrase, int size, int is_writing, void *user)
{
    bool *is_asked = user;
    (void)is_writing;
    *is_asked = true;
    if (size > 0) {
        ret_phrase[0] = '\0';
    }
    return -1;
}

static int use_key(struct tls_context *context, const struct source *source)
{
    X509 *certificate = SSL_CTX_get0_certificate(context->ssl); /* NULL: it could not be used */
    bool is_encrypted = false;
    EVP_PKEY *key;
    BIO *bio;
    int rc = open_source(source, &bio);
    if (rc != 0) {
        return rc;
    }
    key = PEM_read_bio_PrivateKey(bio, NULL, on_pass_phrase, &is_encrypted);
    if (key == NULL && is_encrypted) {
        rc = refuse(source, "protected by a pass phrase: give a key without one");
    } else if (key == NULL) {
        rc = refuse(source, "no private key in it, in PEM form");
    } else if (certificate != NULL && X509_check_private_key(certificate, key) != 1) {
        rc = refuse(source, "does not belong to the certificate");
    } else if (certificate != NULL && SSL_CTX_use_PrivateKey(context->ssl, key) != 1) {
        rc = refuse_with_reason(source, "the key can't be used");
    }
    EVP_PKEY_free(key);
    (void)BIO_free(bio);
    return rc;
}

/* Trusted, and named to clients so that they choose among theirs. */
static int trust_one(struct tls_context *context, const struct source *source, X509 *ca)
{
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context->ssl), ca) != 1 ||
        SSL_CTX_add_client_CA(context->ssl, ca) != 1) {
        return refuse_with_reason(source, "a certificate can't be used");
    }
    return 0;
}

static int trust_clients(struct tls_context *context, const struct source *source)
{
    X509 *ca;
    BIO *bio;
    int count = 0;
    int rc = open_source(source, &bio);
    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        rc = trust_one(context, source, ca);
        X509_free(ca);
        count++;
    }
    if (rc == 0 && !is_end_of_file()) {
        rc = refuse_with_reason(source, "not certificates in PEM form");
    } else if (rc == 0 && count == 0) {
        rc = refuse(source, "no certificate in it, in PEM form");
    }
    (void)BIO_free(bio);
    return rc;
}

static int use_crl(struct tls_context *context, const struct source *source)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    X509_CRL *crl;
    BIO *bio;
    int count = 0;
    int rc = open_source(source, &bio);
    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        if (X509_STORE_add_crl(store, crl) != 1) {
            rc = refuse_with_reason(source, "a list can't be used");
        }
        X509_CRL_free(crl);
        count++;
    }
    if (rc == 0 && !is_end_of_file()) {
        rc = refuse_with_reason(source, "not a list of revoked certificates in PEM form");
    } else if (rc == 0 && count == 0) {
        rc = refuse(source, "no list of revoked certificates (CRL) in it, in PEM form");
    } else if (rc == 0 && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) != 1) {
        rc = refuse_with_reason(source, "the list can't be used");
    }
    (void)BIO_free(bio);
    return rc;
}

/* RFC 7301 3.2: nothing in common ends the handshake. */
static int on_alpn(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_len,
                   const unsigned char *offered, unsigned offered_len, void *user)
{
    const unsigned len = sizeof protocol - 1;
    (void)ssl;
    (void)user;
    for (unsigned at = 0; at < offered_len; at += 1U + offered[at]) {
        if (offered_len - at >= len && memcmp(offered + at, protocol, len) == 0) {
            *ret_chosen = offered + at + 1;
            *ret_len = (unsigned char)(len - 1);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A session whose client certificate has ended since isn't resumed: there is a whole handshake
 * instead, for which the client may have a new one. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_len, SSL_TICKET_STATUS status, void *user)
{
    bool is_good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    X509 *peer = session == NULL ? NULL : SSL_SESSION_get0_peer(session);
    (void)ssl;
    (void)name;
    (void)name_len;
    (void)user;
    if (!is_good || (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static bool set_up(SSL_CTX *ssl, const struct tls_context_config *config)
{
    int version = config->version_min == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    int verify = config->client == TLS_CLIENT_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (config->client == TLS_CLIENT_REQUIRED) {
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    (void)SSL_CTX_clear_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT |
                                         SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
                                         SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(ssl, TLS_TICKET_S);
    SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    (void)SSL_CTX_set_max_cert_list(ssl, CLIENT_CHAIN_BYTES_MAX);
    SSL_CTX_set_verify(ssl, verify, NULL);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    return SSL_CTX_set_min_proto_version(ssl, version) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, ciphers_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, ciphers_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set_num_tickets(ssl, TICKETS) == 1 &&
           SSL_CTX_set_session_ticket_cb(ssl, NULL, on_ticket, NULL) == 1 &&
           SSL_CTX_set_session_id_context(ssl, session_context, sizeof session_context - 1) == 1;
}

static int use_file(struct tls_context *context, const char *path, enum tls_file file,
                    struct mr_error *err)
{
    static int (*const uses[TLS_FILES])(struct tls_context *, const struct source *) = {
        [TLS_FILE_CERTIFICATE] = use_certificate,
        [TLS_FILE_KEY] = use_key,
        [TLS_FILE_CLIENT_CA] = trust_clients,
        [TLS_FILE_CLIENT_CRL] = use_crl,
    };
    const struct source source = {.path = path, .err = err};
    int rc;
    ERR_clear_error();
    rc = uses[file](context, &source);
    ERR_clear_error();
    return rc;
}

static int files_of(const struct tls_context_config *config)
{
    return config->client == TLS_CLIENT_NONE ? TLS_FILE_KEY + 1 : TLS_FILES;
}

static int use_files(struct tls_context *context, const struct tls_context_config *config,
                     enum tls_file *ret_file, struct mr_error *err)
{
    for (int i = 0; i < files_of(config); i++) {
        int rc;
        if (i == TLS_FILE_CLIENT_CRL && config->files[i] == NULL) {
            continue;
        }
        *ret_file = (enum tls_file)i;
        rc = config->files[i] == NULL ? mr_error_set(err, MR_ECONFIG, "no file is given")
                                      : use_file(context, config->files[i], *ret_file, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Without the files. Errors: MR_ENOMEM. */
static int begin(const struct tls_context_config *config, struct tls_context **ret_context,
                 struct mr_error *err)
{
    struct tls_context *context = mem_zalloc(sizeof *context);
    if (context == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    context->magic = TLS_CONTEXT_MAGIC;
    atomic_init(&context->references, 1);
    ERR_clear_error();
    context->ssl = SSL_CTX_new(TLS_server_method());
    if (context->ssl == NULL || !set_up(context->ssl, config)) {
        (void)mr_error_set(err, MR_ENOMEM, "OpenSSL can't be set up (%s)", reason());
        ERR_clear_error();
        tls_context_unref(context);
        return MR_ENOMEM;
    }
    *ret_context = context;
    return 0;
}

int tls_context_new(const struct tls_context_config *config, struct tls_context **ret_context,
                    enum tls_file *ret_file, struct mr_error *err)
{
    struct tls_context *context;
    int rc;
    *ret_file = TLS_FILE_CERTIFICATE;
    rc = begin(config, &context, err);
    if (rc != 0) {
        return rc;
    }
    rc = use_files(context, config, ret_file, err);
    if (rc != 0) {
        tls_context_unref(context);
        return rc;
    }
    *ret_context = context;
    return 0;
}

int tls_context_check(const struct tls_context_config *config,
                      struct mr_error ret_errors[TLS_FILES], struct mr_error *err)
{
    struct tls_context *context;
    int rc = begin(config, &context, err);
    memset(ret_errors, 0, TLS_FILES * sizeof ret_errors[0]);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < files_of(config); i++) {
        if (config->files[i] != NULL) {
            (void)use_file(context, config->files[i], (enum tls_file)i, &ret_errors[i]);
        }
    }
    tls_context_unref(context);
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    MAGIC_CHECK(context, TLS_CONTEXT_MAGIC);
    (void)atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    MAGIC_CHECK(context, TLS_CONTEXT_MAGIC);
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) == 1) {
        context->magic = 0;
        SSL_CTX_free(context->ssl);
        mem_free(context);
    }
}

int64_t tls_context_not_after(const struct tls_context *context)
{
    return context->not_after;
}

bool tls_context_is_outdated(const struct tls_context *context)
{
    int64_t now = (int64_t)time(NULL);
    return now < context->not_before || now > context->not_after;
}

SSL_CTX *tls_context_ssl(const struct tls_context *context)
{
    return context->ssl;
}
