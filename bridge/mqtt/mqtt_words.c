// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_words.h"

#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mqtt_error_text(int rc, int error)
{
    switch (rc) {
        case MOSQ_ERR_ERRNO:
            return error == 0 ? "the connection has ended" : strerror(error);
        case MOSQ_ERR_TLS:
            return error == 0 ? MQTT_NO_TLS : strerror(error);
        case MOSQ_ERR_CONN_LOST:
            return "the broker closed the connection";
        case MOSQ_ERR_KEEPALIVE:
            return "the broker doesn't answer a ping";
        case MOSQ_ERR_PROTOCOL:
        case MOSQ_ERR_MALFORMED_PACKET:
        case MOSQ_ERR_MALFORMED_UTF8:
            return "the broker sent what is not right by MQTT";
        default:
            return mosquitto_strerror(rc);
    }
}

void mqtt_reason_text(const char *code_text, const mosquitto_property *properties,
                      char ret_text[MQTT_WORDS_BYTES])
{
    char *words = NULL;
    if (mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &words, false) !=
            NULL &&
        words != NULL) {
        (void)snprintf(ret_text, MQTT_WORDS_BYTES, "%s (%s)", code_text, words);
        free(words);
    } else {
        (void)snprintf(ret_text, MQTT_WORDS_BYTES, "%s", code_text);
    }
}
