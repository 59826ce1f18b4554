// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_CERTIFICATES_H
#define TESTS_LIB_CERTIFICATES_H

/* Authorities, certificates and lists of revoked ones, made when they are needed, in a folder of
 * the test's own. What goes wrong fails the test. */

#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

enum { CERT_PATH_BYTES = 200 };

/* A key (P-256) and its certificate. */
struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

struct cert_spec {
    const char *const *subject; /* pairs of a field and UTF-8 text, ended by NULL; or NULL: */
    const char *common_name;
    const char *names;         /* OpenSSL's subjectAltName; NULL: "DNS:localhost,IP:127.0.0.1" */
    const struct cert *issuer; /* NULL: itself */
    long serial;               /* 0: 1 */
    int from_s;                /* valid so many seconds from now on; 0: an hour ago */
    int to_s;                  /* until so many seconds from now; 0: in an hour */
    int is_authority;
};

void cert_make(struct cert *cert, const struct cert_spec *spec);
void cert_done(struct cert *cert);

/* "name" in the folder. */
struct cert_folder {
    char path[CERT_PATH_BYTES];
};
void cert_folder_make(struct cert_folder *folder);
void cert_folder_remove(struct cert_folder *folder);
/* Valid until the test ends: a ring of eight. */
const char *cert_path(const struct cert_folder *folder, const char *name);

/* Written beside and renamed, so that nobody reads a half. `chain` may be NULL. */
void cert_write(const char *path, const struct cert *cert, const struct cert *chain);
void cert_write_key(const char *path, const struct cert *cert, const char *pass_phrase);
void cert_write_text(const char *path, const char *text);
/* What `issuer` has revoked. */
void cert_write_crl(const char *path, const struct cert *issuer, const long *serials, size_t count);

#endif
