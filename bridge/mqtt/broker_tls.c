// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/broker_tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    BROKER_TLS_MAGIC = 0x42544c53,
    REASON_BYTES = 200,
    ALPN_BYTES_MAX = 255, /* RFC 7301, 3.1 */
    ADDRESS_BYTES = 16,   /* of IPv6 */
};

struct broker_tls {
    unsigned magic;
    SSL_CTX *context;
    char host[MR_HOST_BYTES];
    bool is_address; /* no name is asked for then (RFC 6066, 3) */
    char reason[REASON_BYTES];
};

const char *broker_tls_reason(const struct broker_tls *tls)
{
    return tls->reason;
}

struct ssl_ctx_st *broker_tls_context(const struct broker_tls *tls)
{
    return tls->context;
}

void broker_tls_prepare(const struct broker_tls *tls)
{
    if (tls != NULL) {
        ERR_clear_error();
    }
}

static struct broker_tls *tls_of(const SSL *ssl)
{
    struct broker_tls *tls;
    MAGIC_CAST(tls, SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)), BROKER_TLS_MAGIC);
    return tls;
}

/* ---- what OpenSSL calls ---- */

/* The first thing that is wrong is the reason. */
static int on_verify(int is_right, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct broker_tls *tls = tls_of(ssl);
    if (!is_right && tls->reason[0] == '\0') {
        (void)snprintf(tls->reason, sizeof tls->reason, "the broker's certificate is refused: %s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    }
    return is_right;
}

/* OpenSSL 3.0 has no text for the one that a broker sends most. */
static const char *alert_text(int value)
{
    return (value & 0xff) == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required"
                                                         : SSL_alert_desc_string_long(value);
}

/* Before the first byte is made of it, the handshake gets the name that libmosquitto doesn't know.
 * An alert is the broker's reason. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct broker_tls *tls = tls_of(ssl);
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && SSL_in_before(ssl)) {
        (void)SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, tls->is_address ? NULL : tls->host);
    }
    if ((where & SSL_CB_ALERT) != 0 && (where & SSL_CB_READ) != 0 &&
        (value & 0xff) != SSL_AD_CLOSE_NOTIFY && tls->reason[0] == '\0') {
        (void)snprintf(tls->reason, sizeof tls->reason, "the broker refuses TLS: %s",
                       alert_text(value));
    }
}

/* A key under a pass phrase would be asked for at the terminal. */
static int on_pass_phrase(char *buf, int size, int is_writing, void *user)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)user;
    return 0;
}

/* ---- files and settings ---- */

static int file_error(const char *key, const char *file, struct mr_error *err)
{
    unsigned long code = ERR_peek_error(); /* the first is the cause */
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    (void)mr_error_set(err, MR_ECONFIG, "%s: %s: %s", key, file,
                       reason == NULL ? "can't be used" : reason);
    ERR_clear_error();
    return MR_ECONFIG;
}

static int load_ca(SSL_CTX *context, const struct bridge_options *options, struct mr_error *err)
{
    const char *file = bridge_text(options->tls_ca);
    ERR_clear_error();
    if (file == NULL) {
        (void)SSL_CTX_set_default_verify_paths(context);
        ERR_clear_error();
        return 0;
    }
    return SSL_CTX_load_verify_locations(context, file, NULL) == 1
               ? 0
               : file_error("tls.ca", file, err);
}

static int load_own(SSL_CTX *context, const struct bridge_options *options, struct mr_error *err)
{
    const char *certificate = bridge_text(options->tls_certificate);
    const char *key = bridge_text(options->tls_key);
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(context, on_pass_phrase);
    if (certificate == NULL || key == NULL) {
        return 0;
    }
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        return file_error("tls.certificate", certificate, err);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return file_error("tls.key", key, err);
    }
    return 0;
}

static int set_alpn(SSL_CTX *context, const char *name, struct mr_error *err)
{
    unsigned char list[1 + ALPN_BYTES_MAX];
    size_t len = name == NULL ? 0 : strlen(name);
    if (len == 0) {
        return 0;
    }
    if (len > ALPN_BYTES_MAX) {
        return mr_error_set(err, MR_ECONFIG, "tls.alpn: expected %d bytes or less", ALPN_BYTES_MAX);
    }
    list[0] = (unsigned char)len;
    memcpy(list + 1, name, len);
    return SSL_CTX_set_alpn_protos(context, list, (unsigned)len + 1) == 0
               ? 0
               : mr_error_set(err, MR_ENOMEM, "TLS");
}

static int set_name(struct broker_tls *tls, bool is_verified, struct mr_error *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->context);
    int rc = 1;
    if (is_verified) {
        rc = tls->is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, tls->host)
                             : X509_VERIFY_PARAM_set1_host(param, tls->host, 0);
    }
    return rc == 1 ? 0 : mr_error_set(err, MR_ECONFIG, "broker: no name that TLS can verify");
}

static int fill(struct broker_tls *tls, const struct bridge_options *options, struct mr_error *err)
{
    unsigned char address[ADDRESS_BYTES];
    int rc;
    (void)snprintf(tls->host, sizeof tls->host, "%s", options->broker.host);
    tls->is_address =
        inet_pton(AF_INET, tls->host, address) == 1 || inet_pton(AF_INET6, tls->host, address) == 1;
    (void)SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                             SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(tls->context, on_info);
    rc = load_ca(tls->context, options, err);
    if (rc == 0) {
        rc = load_own(tls->context, options, err);
    }
    if (rc == 0) {
        rc = set_alpn(tls->context, options->tls_alpn, err);
    }
    return rc == 0 ? set_name(tls, options->tls_verify_name, err) : rc;
}

int broker_tls_new(const struct bridge_options *options, struct broker_tls **ret_tls,
                   struct mr_error *err)
{
    int rc;
    struct broker_tls *tls = mem_zalloc(sizeof *tls);
    if (tls == NULL) {
        return mr_error_set(err, MR_ENOMEM, "TLS");
    }
    tls->magic = BROKER_TLS_MAGIC;
    tls->context = SSL_CTX_new(TLS_client_method());
    rc = tls->context == NULL ? mr_error_set(err, MR_ENOMEM, "TLS") : fill(tls, options, err);
    if (rc != 0) {
        broker_tls_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

void broker_tls_free(struct broker_tls *tls)
{
    if (tls != NULL) {
        MAGIC_CHECK(tls, BROKER_TLS_MAGIC);
        SSL_CTX_free(tls->context);
        tls->magic = 0;
        mem_free(tls);
    }
}

/* ---- before anything starts ---- */

struct file_option {
    const char *key;
    const char *name;
};

static void check_use(const struct bridge_options *options, const struct file_option files[3],
                      struct mr_check *check)
{
    for (size_t i = 0; i < 3; i++) {
        if (!options->tls && files[i].name != NULL) {
            mr_check_problem(check, NULL, files[i].key, "is not used: tls must be true");
        }
    }
    if (!options->tls && bridge_text(options->tls_alpn) != NULL) {
        mr_check_problem(check, NULL, "tls.alpn", "is not used: tls must be true");
    }
    if (files[1].name != NULL && files[2].name == NULL) {
        mr_check_problem(check, NULL, "tls.key", "must be given: the key of tls.certificate");
    }
    if (files[2].name != NULL && files[1].name == NULL) {
        mr_check_problem(check, NULL, "tls.certificate", "must be given with tls.key");
    }
}

void broker_tls_check(const struct bridge_options *options, struct mr_check *check)
{
    const struct file_option files[3] = {
        {"tls.ca", bridge_text(options->tls_ca)},
        {"tls.certificate", bridge_text(options->tls_certificate)},
        {"tls.key", bridge_text(options->tls_key)},
    };
    struct broker_tls *tls = NULL;
    struct mr_error err;
    bool are_names = true;
    check_use(options, files, check);
    for (size_t i = 0; i < 3; i++) {
        /* What stands in a key's file must not end up where a file's name is shown. */
        are_names = mr_check_file_name(check, NULL, files[i].key, files[i].name) && are_names;
    }
    if (options->tls && are_names && broker_tls_new(options, &tls, &err) != 0) {
        mr_check_problem(check, NULL, NULL, "[mqtt] %s", err.text);
    }
    broker_tls_free(tls);
}
