// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_CREDENTIALS_H
#define INFLUX_CREDENTIALS_H

/* How InfluxDB knows us: a user and a password (1.x) or a token (2.x). Secrets that came from files
 * are read again when InfluxDB refuses them: who mends that by a new one in its place (as
 * Kubernetes does with a Secret) needs no restart. */

#include <stdbool.h>

#include "consumers/influx/influx_options.h"

struct credentials {
    const struct influx_options *options;
    char *password;      /* NULL: none */
    char *token;         /* NULL: none */
    char *authorization; /* the header with the token; NULL: none */
};

/* With what `options` (borrowed) have. Errors: MR_ENOMEM. */
int credentials_init(struct credentials *credentials, const struct influx_options *options);

/* Wipes the secrets. */
void credentials_done(struct credentials *credentials);

/* True: there is another secret now. What can't be read, or is empty, changes nothing. */
bool credentials_read_again(struct credentials *credentials);

#endif
