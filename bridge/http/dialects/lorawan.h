// SPDX-License-Identifier: Apache-2.0
#ifndef DIALECTS_LORAWAN_H
#define DIALECTS_LORAWAN_H

/* What the webhooks of LoRaWAN network servers share: an uplink that is to become an event.
 * docs/millrace-http-dialects.md has the tables. */

#include "bridge/http/dialects/draft.h"

enum {
    LORAWAN_PORT_MAX = 255, /* LoRaWAN 1.0.4, 4.3.2: one byte */
    LORAWAN_DATA_RATE_BYTES = 32,
    LORAWAN_TEXT_BYTES_MAX = 64, /* of an identifier or a data rate in an extension */
};

#define LORAWAN_COUNTER_MAX UINT32_MAX

/* Of the gateway that heard it best: with the greatest rssi. As the network wrote them; absent if
 * no gateway said. */
struct lorawan_signal {
    struct mr_slice rssi;
    struct mr_slice snr;
    double rssi_number;
};

struct lorawan_uplink {
    struct mr_slice application;
    struct mr_slice device;
    struct mr_slice device_eui; /* absent or empty if it isn't known, like the data rate */
    struct mr_slice data_rate;
    const char *application_what; /* name the members in refusals */
    const char *device_what;
    const char *device_eui_what;
    const char *data_rate_what;
    struct mr_slice times[2]; /* the network's, the best first */
    struct mr_slice id;       /* of the message; absent: made of counter and time */
    bool has_counter;
    uint32_t counter;
    uint8_t port;
    bool is_confirmed;
    bool is_retry;
    struct lorawan_signal signal;
};

enum lorawan_parameter {
    LORAWAN_APPLICATION,
    LORAWAN_MODEL,
    LORAWAN_DATA_SCHEMA,
    LORAWAN_PARAMETERS
};

/* ?application=, ?model_id= and ?data_schema=. */
int lorawan_read_query(struct draft *draft, struct draft_parameter ret[LORAWAN_PARAMETERS]);

/* One gateway's word on how it heard the uplink. `rssi` absent: it said nothing. */
void lorawan_hear(struct lorawan_signal *best, struct mr_slice rssi, double rssi_number,
                  struct mr_slice snr);

/* "SF7BW125", with the bandwidth in kHz. */
void lorawan_data_rate(int64_t spreading_factor, int64_t bandwidth_hz,
                       char ret_text[LORAWAN_DATA_RATE_BYTES]);

/* The application and the device are there. */
int lorawan_check_names(struct draft *draft, const struct lorawan_uplink *uplink);

/* The whole event, whose data is the request's content. The names are checked. */
int lorawan_fill(struct draft *draft, const struct lorawan_uplink *uplink,
                 const struct draft_parameter parameters[LORAWAN_PARAMETERS]);

#endif
