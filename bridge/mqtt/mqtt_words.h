// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_WORDS_H
#define MQTT_MQTT_WORDS_H

/* Why a connection failed, in words. */

#include <mosquitto.h>

enum { MQTT_WORDS_BYTES = 224 };

#define MQTT_NO_TLS "no TLS is spoken there, or none that both know"

/* Of what the library returned; `error`: errno then. */
const char *mqtt_error_text(int rc, int error);

/* "not authorized", or that and the broker's own words (MQTT 5.0, 3.2.2.3.9). */
void mqtt_reason_text(const char *code_text, const mosquitto_property *properties,
                      char ret_text[MQTT_WORDS_BYTES]);

#endif
