// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_BROKER_TLS_H
#define MQTT_BROKER_TLS_H

/* TLS to the broker: one context for one connection, made of the files as they are then. It asks
 * for the broker by its name (SNI), wants a certificate that is signed by one of tls.ca and, unless
 * tls.verify.name is off, is for that name or address (RFC 6125); TLS 1.2 or 1.3. libmosquitto is
 * given an address in numbers, so that it never looks a name up, and knows nothing of all this. */

#include <millrace/error.h>
#include <millrace/options.h>

#include "bridge/mqtt/bridge_options.h"

struct broker_tls;
struct ssl_ctx_st;

/* Errors: MR_ECONFIG (the text names the option and the file, never anything in it), MR_ENOMEM. */
int broker_tls_new(const struct bridge_options *options, struct broker_tls **ret_tls,
                   struct mr_error *err);
void broker_tls_free(struct broker_tls *tls); /* takes NULL */

/* For MOSQ_OPT_SSL_CTX; lives as long as `tls`. */
struct ssl_ctx_st *broker_tls_context(const struct broker_tls *tls);

/* Before each call of libmosquitto: an error that OpenSSL still remembers from another connection
 * would be taken for this one's. `tls` NULL: nothing happens. */
void broker_tls_prepare(const struct broker_tls *tls);

/* Why the handshake failed, as far as it was a matter of certificates; "" if it was not. */
const char *broker_tls_reason(const struct broker_tls *tls);

/* What is wrong with the options and their files, before anything starts. */
void broker_tls_check(const struct bridge_options *options, struct mr_check *check);

#endif
