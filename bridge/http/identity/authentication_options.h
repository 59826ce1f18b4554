// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_AUTHENTICATION_OPTIONS_H
#define IDENTITY_AUTHENTICATION_OPTIONS_H

/* What the options about who may send must be among themselves. */

#include "bridge/http/bridge_options.h"

/* Part of bridge_check. Reads the devices file. */
void authentication_options_check(const struct bridge_options *options, struct mr_check *check);

/* Warn of an address where whoever reaches it may write, or where passwords can be read. */
void authentication_options_warn(const struct bridge_options *options,
                                 const struct mr_address *address, bool has_tls);

#endif
