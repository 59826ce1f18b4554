// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_OPTIONS_H
#define BRIDGE_HTTP_BRIDGE_OPTIONS_H

#include <stddef.h>

#include <millrace/options.h>
#include <millrace/producer.h>

enum { BRIDGE_LOOPS_MAX = 64 };

/* auth */
enum { BRIDGE_AUTH_NONE, BRIDGE_AUTH_BASIC, BRIDGE_AUTH_CERTIFICATE, BRIDGE_AUTH_ANY };

struct bridge_options {
    struct mr_address listen;
    bool plain;
    struct mr_address tls_listen;
    char *tls_certificate; /* file names: see bridge_file */
    char *tls_key;
    int tls_client; /* enum tls_client_auth */
    char *tls_client_ca;
    char *tls_client_crl;
    int tls_version_min; /* enum tls_version */
    int64_t tls_handshakes_max;
    int auth;
    char *devices; /* a file's name, too */
    char *certificate_device;
    char *certificate_application;
    char *certificate_application_fixed; /* NULL: from the certificate */
    int64_t password_checks_max;
    int64_t password_cache_max;
    int64_t attempts_max; /* 0: not limited */
    int64_t attempts_ms;
    int64_t loops;
    int64_t body_bytes_max;
    int64_t header_bytes_max;
    int64_t connections_max;
    int64_t pipeline_max;
    int64_t in_flight_max;
    int64_t in_flight_bytes_max;
    int64_t idle_ms;
    int64_t request_ms;
    int64_t write_ms;
    int64_t answer_ms;
    int64_t batch_max;
    struct mr_producer_options producer;
};

/* The value of an option that names a file; an empty one is none: NULL. */
static inline const char *bridge_file(const char *name)
{
    return name != NULL && name[0] != '\0' ? name : NULL;
}

/* [http]: our own, then mr_producer_options. */
enum { BRIDGE_OPTION_GROUPS = 2 };
extern const struct mr_option_group bridge_option_groups[BRIDGE_OPTION_GROUPS];

#endif
