// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    PROBE_AFTER_S = 60, /* of silence; of TCP */
    PROBE_EVERY_S = 15,
    PROBES = 4,
    TYPE_AND_QOS = 0xF6, /* of a packet's first byte */
    PUBLISH_OF_QOS_2 = 0x34,
};

int mqtt_socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void mqtt_socket_keep_alive(int fd)
{
    const int on = 1;
    const int idle_s = PROBE_AFTER_S;
    const int between_s = PROBE_EVERY_S;
    const int count = PROBES;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

void mqtt_socket_cork(int fd, int on)
{
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    }
}

enum mqtt_next mqtt_socket_next(int fd)
{
    uint8_t first = 0;
    ssize_t got = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return MQTT_NEXT_NONE;
    }
    return got == 1 && (first & TYPE_AND_QOS) == PUBLISH_OF_QOS_2 ? MQTT_NEXT_QOS_2
                                                                  : MQTT_NEXT_OTHER;
}
