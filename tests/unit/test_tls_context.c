// SPDX-License-Identifier: Apache-2.0
/* A context of files: what is refused is told by the file's name, and never shows what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "lib/certificates.h"
#include "lib/heap.h"
#include "net/tls_context.h"

struct fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct cert stranger;
    char certificate[CERT_PATH_BYTES];
    char key[CERT_PATH_BYTES];
    char ca_file[CERT_PATH_BYTES];
    char crl[CERT_PATH_BYTES];
    struct tls_context_config config;
};

static void keep_path(const struct fixture *f, char *ret_path, const char *name)
{
    (void)snprintf(ret_path, CERT_PATH_BYTES, "%.100s/%.50s", f->folder.path, name);
}

static int set_up(void **state)
{
    static struct fixture f;
    const long revoked[] = {77};
    cert_folder_make(&f.folder);
    cert_make(&f.ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&f.server, &(struct cert_spec){.common_name = "localhost", .issuer = &f.ca});
    cert_make(&f.stranger, &(struct cert_spec){.common_name = "stranger", .issuer = &f.ca});
    keep_path(&f, f.certificate, "server.pem");
    keep_path(&f, f.key, "server.key");
    keep_path(&f, f.ca_file, "ca.pem");
    keep_path(&f, f.crl, "ca.crl");
    cert_write(f.certificate, &f.server, &f.ca);
    cert_write_key(f.key, &f.server, NULL);
    cert_write(f.ca_file, &f.ca, NULL);
    cert_write_crl(f.crl, &f.ca, revoked, 1);
    f.config = (struct tls_context_config){
        .files = {[TLS_FILE_CERTIFICATE] = f.certificate, [TLS_FILE_KEY] = f.key}};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cert_done(&f->ca);
    cert_done(&f->server);
    cert_done(&f->stranger);
    cert_folder_remove(&f->folder);
    return 0;
}

/* Refused, with "path: what", because of that file. */
static void assert_refused(const struct tls_context_config *config, enum tls_file expected_file,
                           const char *what)
{
    struct tls_context *context = NULL;
    struct mr_error err;
    enum tls_file file;
    char expected[400];
    assert_int_equal(tls_context_new(config, &context, &file, &err), MR_ECONFIG);
    assert_null(context);
    assert_int_equal(file, expected_file);
    (void)snprintf(expected, sizeof expected, "%s: %s", config->files[file], what);
    assert_string_equal(err.text, expected);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for whoever comes next */
}

static struct tls_context *assert_taken(const struct tls_context_config *config)
{
    struct tls_context *context = NULL;
    struct mr_error err = {.text = ""};
    enum tls_file file;
    if (tls_context_new(config, &context, &file, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(ERR_peek_error(), 0);
    return context;
}

static void test_files_that_are_right(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    struct tls_context *context = assert_taken(&config);
    STACK_OF(X509) *chain = NULL;
    SSL_CTX *ssl = tls_context_ssl(context);
    assert_int_equal(SSL_CTX_get0_chain_certs(ssl, &chain), 1);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_int_equal(SSL_CTX_get_min_proto_version(ssl), TLS1_2_VERSION);
    assert_false(tls_context_is_outdated(context));
    tls_context_unref(tls_context_ref(context));
    tls_context_unref(context);

    config.version_min = TLS_VERSION_1_3;
    config.client = TLS_CLIENT_REQUIRED;
    config.files[TLS_FILE_CLIENT_CA] = f->ca_file;
    config.files[TLS_FILE_CLIENT_CRL] = f->crl;
    context = assert_taken(&config);
    ssl = tls_context_ssl(context);
    assert_int_equal(SSL_CTX_get_min_proto_version(ssl), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_get_verify_mode(ssl),
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    assert_int_equal(sk_X509_NAME_num(SSL_CTX_get_client_CA_list(ssl)), 1);
    tls_context_unref(context);
}

static void test_only_forward_secret_aead_suites(void **state)
{
    struct fixture *f = *state;
    struct tls_context *context = assert_taken(&f->config);
    SSL *ssl = SSL_new(tls_context_ssl(context));
    STACK_OF(SSL_CIPHER) *suites = SSL_get_ciphers(ssl);
    assert_int_equal(sk_SSL_CIPHER_num(suites), 9);
    for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
        const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);
        int exchange = SSL_CIPHER_get_kx_nid(suite);
        assert_int_equal(SSL_CIPHER_is_aead(suite), 1);
        assert_true(exchange == NID_kx_any /* 1.3 */ || exchange == NID_kx_ecdhe);
    }
    SSL_free(ssl);
    tls_context_unref(context);
}

static void test_files_that_are_missing_or_no_files(void **state)
{
    struct fixture *f = *state;
    char path[CERT_PATH_BYTES];
    struct tls_context *context;
    struct mr_error err;
    enum tls_file file;
    for (int i = 0; i < TLS_FILES; i++) {
        struct tls_context_config config = f->config;
        config.client = TLS_CLIENT_OPTIONAL;
        config.files[TLS_FILE_CLIENT_CA] = f->ca_file;
        config.files[TLS_FILE_CLIENT_CRL] = f->crl;
        keep_path(f, path, "none");
        config.files[i] = path;
        assert_refused(&config, (enum tls_file)i, "No such file or directory");
        config.files[i] = f->folder.path;
        assert_refused(&config, (enum tls_file)i, "not a regular file");
        config.files[i] = NULL;
        if (i != TLS_FILE_CLIENT_CRL) {
            assert_int_equal(tls_context_new(&config, &context, &file, &err), MR_ECONFIG);
            assert_int_equal(file, i);
        }
    }
}

static void test_files_without_what_they_should_have(void **state)
{
    static const char *const missing[TLS_FILES] = {
        [TLS_FILE_CERTIFICATE] = "no certificate in it, in PEM form",
        [TLS_FILE_KEY] = "no private key in it, in PEM form",
        [TLS_FILE_CLIENT_CA] = "no certificate in it, in PEM form",
        [TLS_FILE_CLIENT_CRL] = "no list of revoked certificates (CRL) in it, in PEM form",
    };
    static const char *const texts[] = {"", "nothing of the sort\n",
                                        "-----BEGIN OTHER-----\nAAAA\n-----END OTHER-----\n"};
    struct fixture *f = *state;
    char path[CERT_PATH_BYTES];
    keep_path(f, path, "wrong");
    for (int i = 0; i < TLS_FILES; i++) {
        struct tls_context_config config = f->config;
        config.client = TLS_CLIENT_OPTIONAL;
        config.files[TLS_FILE_CLIENT_CA] = f->ca_file;
        config.files[TLS_FILE_CLIENT_CRL] = f->crl;
        config.files[i] = path;
        for (size_t k = 0; k < MR_COUNT_OF(texts); k++) {
            cert_write_text(path, texts[k]);
            assert_refused(&config, (enum tls_file)i, missing[i]);
        }
    }
}

/* "hidden" stands for what must not be shown. */
static void test_broken_pem_is_refused_and_not_shown(void **state)
{
    static const char *const kinds[TLS_FILES] = {"CERTIFICATE", "PRIVATE KEY", "CERTIFICATE",
                                                 "X509 CRL"};
    struct fixture *f = *state;
    char path[CERT_PATH_BYTES];
    keep_path(f, path, "broken");
    for (int i = 0; i < TLS_FILES; i++) {
        struct tls_context_config config = f->config;
        struct tls_context *context;
        struct mr_error err;
        enum tls_file file;
        char text[200];
        config.client = TLS_CLIENT_OPTIONAL;
        config.files[TLS_FILE_CLIENT_CA] = f->ca_file;
        config.files[TLS_FILE_CLIENT_CRL] = f->crl;
        config.files[i] = path;
        (void)snprintf(text, sizeof text, "-----BEGIN %s-----\nhidden++\n-----END %s-----\n",
                       kinds[i], kinds[i]);
        cert_write_text(path, text);
        assert_int_equal(tls_context_new(&config, &context, &file, &err), MR_ECONFIG);
        assert_int_equal(file, i);
        assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
        assert_null(strstr(err.text, "hidden"));
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void test_keys_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    char path[CERT_PATH_BYTES];
    keep_path(f, path, "other.key");
    config.files[TLS_FILE_KEY] = path;
    cert_write_key(path, &f->stranger, NULL);
    assert_refused(&config, TLS_FILE_KEY, "does not belong to the certificate");
    cert_write_key(path, &f->server, "secret");
    assert_refused(&config, TLS_FILE_KEY, "protected by a pass phrase: give a key without one");
}

static void test_all_that_is_wrong_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    struct mr_error errors[TLS_FILES];
    char text[CERT_PATH_BYTES], missing[CERT_PATH_BYTES];
    keep_path(f, text, "text");
    keep_path(f, missing, "missing");
    cert_write_text(text, "nothing of the sort\n");
    config.client = TLS_CLIENT_OPTIONAL;
    config.files[TLS_FILE_CLIENT_CA] = f->ca_file;
    assert_int_equal(tls_context_check(&config, errors, NULL), 0);
    for (int i = 0; i < TLS_FILES; i++) {
        assert_int_equal(errors[i].code, 0);
    }
    config.files[TLS_FILE_CERTIFICATE] = missing;
    assert_int_equal(tls_context_check(&config, errors, NULL), 0);
    assert_int_equal(errors[TLS_FILE_CERTIFICATE].code, MR_ECONFIG);
    assert_int_equal(errors[TLS_FILE_KEY].code, 0); /* whether it belongs to it isn't known */
    config.files[TLS_FILE_KEY] = text;
    config.files[TLS_FILE_CLIENT_CA] = missing;
    config.files[TLS_FILE_CLIENT_CRL] = text;
    assert_int_equal(tls_context_check(&config, errors, NULL), 0);
    assert_non_null(strstr(errors[TLS_FILE_CERTIFICATE].text, "missing: No such file"));
    assert_non_null(strstr(errors[TLS_FILE_KEY].text, "text: no private key in it"));
    assert_non_null(strstr(errors[TLS_FILE_CLIENT_CA].text, "missing: No such file"));
    assert_non_null(strstr(errors[TLS_FILE_CLIENT_CRL].text, "text: no list of revoked"));
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_a_weak_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    char path[CERT_PATH_BYTES];
    struct cert weak = {.key = EVP_RSA_gen(1024), .x509 = X509_new()};
    assert_int_equal(X509_set_pubkey(weak.x509, weak.key), 1);
    X509_gmtime_adj(X509_getm_notBefore(weak.x509), -10);
    X509_gmtime_adj(X509_getm_notAfter(weak.x509), 1000);
    assert_true(X509_sign(weak.x509, weak.key, EVP_sha256()) > 0);
    keep_path(f, path, "weak.pem");
    cert_write(path, &weak, NULL);
    config.files[TLS_FILE_CERTIFICATE] = path;
    assert_refused(&config, TLS_FILE_CERTIFICATE,
                   "the certificate can't be used (ee key too small)");
    cert_done(&weak);
}

static void test_a_file_or_chain_that_is_too_long(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    char path[CERT_PATH_BYTES];
    FILE *file;
    keep_path(f, path, "long.pem");
    config.files[TLS_FILE_CERTIFICATE] = path;
    file = fopen(path, "we");
    assert_non_null(file);
    for (int i = 0; i < TLS_CHAIN_MAX + 1; i++) {
        assert_int_equal(PEM_write_X509(file, i == 0 ? f->server.x509 : f->ca.x509), 1);
    }
    (void)fclose(file);
    assert_refused(&config, TLS_FILE_CERTIFICATE, "more than 16 certificates");
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fseek(file, TLS_FILE_BYTES_MAX, SEEK_SET), 0);
    assert_int_equal(fputc('\n', file), '\n');
    (void)fclose(file);
    assert_refused(&config, TLS_FILE_CERTIFICATE, "larger than 4 MiB");
}

static void test_an_outdated_certificate_is_taken_and_told(void **state)
{
    struct fixture *f = *state;
    struct tls_context_config config = f->config;
    const int spans[][2] = {{-7200, -60}, {3600, 7200}};
    char path[CERT_PATH_BYTES];
    char key[CERT_PATH_BYTES];
    keep_path(f, path, "old.pem");
    keep_path(f, key, "old.key");
    config.files[TLS_FILE_CERTIFICATE] = path;
    config.files[TLS_FILE_KEY] = key;
    for (size_t i = 0; i < MR_COUNT_OF(spans); i++) {
        struct tls_context *context;
        struct cert old;
        int64_t end = (int64_t)time(NULL) + spans[i][1];
        cert_make(&old, &(struct cert_spec){.common_name = "localhost",
                                            .issuer = &f->ca,
                                            .from_s = spans[i][0],
                                            .to_s = spans[i][1]});
        cert_write(path, &old, NULL);
        cert_write_key(key, &old, NULL);
        context = assert_taken(&config);
        assert_true(tls_context_is_outdated(context));
        assert_in_range(tls_context_not_after(context), (uint64_t)end - 5, (uint64_t)end + 60);
        tls_context_unref(context);
        cert_done(&old);
    }
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct tls_context *context;
    struct mr_error err;
    struct mr_error errors[TLS_FILES];
    enum tls_file file;
    heap_fail_at(1);
    assert_int_equal(tls_context_new(&f->config, &context, &file, &err), MR_ENOMEM);
    heap_fail_at(1);
    assert_int_equal(tls_context_check(&f->config, errors, &err), MR_ENOMEM);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_are_right),
        cmocka_unit_test(test_only_forward_secret_aead_suites),
        cmocka_unit_test(test_files_that_are_missing_or_no_files),
        cmocka_unit_test(test_files_without_what_they_should_have),
        cmocka_unit_test(test_broken_pem_is_refused_and_not_shown),
        cmocka_unit_test(test_keys_that_do_not_fit),
        cmocka_unit_test(test_all_that_is_wrong_is_told_at_once),
        cmocka_unit_test(test_a_weak_key_is_refused),
        cmocka_unit_test(test_a_file_or_chain_that_is_too_long),
        cmocka_unit_test(test_an_outdated_certificate_is_taken_and_told),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
