// SPDX-License-Identifier: Apache-2.0
#include "lib/certificates.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/temporary.h"

enum { HOUR_S = 3600, PATHS = 8 };

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *text)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_subject(X509 *x509, const struct cert_spec *spec)
{
    const char *const common_name[] = {"CN", spec->common_name, NULL};
    const char *const *at = spec->subject == NULL ? common_name : spec->subject;
    X509_NAME *name = X509_get_subject_name(x509);
    for (; at[0] != NULL; at += 2) {
        assert_int_equal(X509_NAME_add_entry_by_txt(name, at[0], MBSTRING_UTF8,
                                                    (const unsigned char *)at[1], -1, -1, 0),
                         1);
    }
}

void cert_make(struct cert *cert, const struct cert_spec *spec)
{
    const struct cert *issuer = spec->issuer == NULL ? cert : spec->issuer;
    X509 *x509 = X509_new();
    cert->key = EVP_EC_gen("P-256");
    cert->x509 = x509;
    assert_non_null(cert->key);
    assert_non_null(x509);
    assert_int_equal(X509_set_version(x509, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), spec->serial == 0 ? 1 : spec->serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), spec->from_s == 0 ? -HOUR_S : spec->from_s);
    X509_gmtime_adj(X509_getm_notAfter(x509), spec->to_s == 0 ? HOUR_S : spec->to_s);
    assert_int_equal(X509_set_pubkey(x509, cert->key), 1);
    set_subject(x509, spec);
    X509_set_issuer_name(x509, X509_get_subject_name(issuer->x509));
    add_extension(x509, issuer->x509, NID_subject_key_identifier, "hash");
    if (spec->is_authority) {
        add_extension(x509, issuer->x509, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(x509, issuer->x509, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        add_extension(x509, issuer->x509, NID_basic_constraints, "critical,CA:FALSE");
        add_extension(x509, issuer->x509, NID_subject_alt_name,
                      spec->names == NULL ? "DNS:localhost,IP:127.0.0.1" : spec->names);
    }
    assert_true(X509_sign(x509, issuer->key, EVP_sha256()) > 0);
}

void cert_done(struct cert *cert)
{
    EVP_PKEY_free(cert->key);
    X509_free(cert->x509);
}

void cert_folder_make(struct cert_folder *folder)
{
    temporary_name(folder->path, "tls");
    assert_non_null(mkdtemp(folder->path));
}

void cert_folder_remove(struct cert_folder *folder)
{
    DIR *dir = opendir(folder->path);
    const struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(folder->path), 0);
}

const char *cert_path(const struct cert_folder *folder, const char *name)
{
    static char paths[PATHS][CERT_PATH_BYTES + 100];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder->path, name);
    return path;
}

static FILE *open_beside(const char *path, char ret_beside[CERT_PATH_BYTES + 110])
{
    FILE *file;
    (void)snprintf(ret_beside, CERT_PATH_BYTES + 110, "%s.new", path);
    file = fopen(ret_beside, "we");
    assert_non_null(file);
    return file;
}

static void close_and_rename(FILE *file, const char *beside, const char *path)
{
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, path), 0);
}

void cert_write(const char *path, const struct cert *cert, const struct cert *chain)
{
    char beside[CERT_PATH_BYTES + 110];
    FILE *file = open_beside(path, beside);
    assert_int_equal(PEM_write_X509(file, cert->x509), 1);
    if (chain != NULL) {
        assert_int_equal(PEM_write_X509(file, chain->x509), 1);
    }
    close_and_rename(file, beside, path);
}

void cert_write_key(const char *path, const struct cert *cert, const char *pass_phrase)
{
    char beside[CERT_PATH_BYTES + 110];
    FILE *file = open_beside(path, beside);
    assert_int_equal(
        PEM_write_PKCS8PrivateKey(file, cert->key, pass_phrase == NULL ? NULL : EVP_aes_128_cbc(),
                                  pass_phrase, pass_phrase == NULL ? 0 : (int)strlen(pass_phrase),
                                  NULL, NULL),
        1);
    close_and_rename(file, beside, path);
}

void cert_write_text(const char *path, const char *text)
{
    char beside[CERT_PATH_BYTES + 110];
    FILE *file = open_beside(path, beside);
    assert_true(fputs(text, file) >= 0);
    close_and_rename(file, beside, path);
}

static void add_revoked(X509_CRL *crl, long serial, const ASN1_TIME *when)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    assert_int_equal(ASN1_INTEGER_set(number, serial), 1);
    assert_int_equal(X509_REVOKED_set_serialNumber(revoked, number), 1);
    assert_int_equal(X509_REVOKED_set_revocationDate(revoked, (ASN1_TIME *)(uintptr_t)when), 1);
    assert_int_equal(X509_CRL_add0_revoked(crl, revoked), 1);
    ASN1_INTEGER_free(number);
}

void cert_write_crl(const char *path, const struct cert *issuer, const long *serials, size_t count)
{
    char beside[CERT_PATH_BYTES + 110];
    FILE *file = open_beside(path, beside);
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -HOUR_S);
    ASN1_TIME *to = X509_gmtime_adj(NULL, HOUR_S);
    assert_int_equal(X509_CRL_set_version(crl, X509_CRL_VERSION_2), 1);
    assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)), 1);
    assert_int_equal(X509_CRL_set1_lastUpdate(crl, from), 1);
    assert_int_equal(X509_CRL_set1_nextUpdate(crl, to), 1);
    for (size_t i = 0; i < count; i++) {
        add_revoked(crl, serials[i], from);
    }
    assert_int_equal(X509_CRL_sort(crl), 1);
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509_CRL(file, crl), 1);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_CRL_free(crl);
    close_and_rename(file, beside, path);
}
