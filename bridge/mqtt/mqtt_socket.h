// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_SOCKET_H
#define MQTT_MQTT_SOCKET_H

/* What we do with libmosquitto's socket besides it. Nothing here blocks. */

/* Its error, an errno, which it then forgets; 0: none. */
int mqtt_socket_error(int fd);

/* The system, too, asks whether the other side is there: a broker may have turned MQTT's keep alive
 * off. Errors are of no matter. */
void mqtt_socket_keep_alive(int fd);

/* 1: what is written is kept together until 0. A closed one (-1) is left alone. */
void mqtt_socket_cork(int fd, int on);

enum mqtt_next {
    MQTT_NEXT_NONE,  /* nothing has come */
    MQTT_NEXT_QOS_2, /* PUBLISH with QoS 2 */
    MQTT_NEXT_OTHER, /* or the end, or an error */
};

/* What the next packet is (MQTT 5.0, 2.1.1 and 3.3.1), without reading it. To be asked between two
 * packets only. */
enum mqtt_next mqtt_socket_next(int fd);

#endif
