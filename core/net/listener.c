// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

bool listener_is_loopback(const struct mr_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
    }
    if (inet_pton(AF_INET6, address->host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    }
    return strcmp(address->host, "localhost") == 0;
}

/* As IPv6, an IPv4 one mapped. False: a name. */
static bool read_host(const struct mr_address *address, struct in6_addr *ret_host)
{
    char mapped[MR_HOST_BYTES + 8];
    const char *host = strcasecmp(address->host, "localhost") == 0 ? "127.0.0.1" : address->host;
    (void)snprintf(mapped, sizeof mapped, "::ffff:%s", host);
    return inet_pton(AF_INET6, host, ret_host) == 1 || inet_pton(AF_INET6, mapped, ret_host) == 1;
}

static bool is_any(const struct in6_addr *host)
{
    static const unsigned char zeros[4];
    return IN6_IS_ADDR_UNSPECIFIED(host) ||
           (IN6_IS_ADDR_V4MAPPED(host) && memcmp(&host->s6_addr[12], zeros, sizeof zeros) == 0);
}

bool listener_overlaps(const struct mr_address *one, const struct mr_address *other)
{
    struct in6_addr hosts[2];
    bool is_known = read_host(one, &hosts[0]);
    bool is_other_known = read_host(other, &hosts[1]);
    if (one->port != other->port || one->port == 0) {
        return false;
    }
    return strcasecmp(one->host, other->host) == 0 || (is_known && is_any(&hosts[0])) ||
           (is_other_known && is_any(&hosts[1])) ||
           (is_known && is_other_known && IN6_ARE_ADDR_EQUAL(&hosts[0], &hosts[1]));
}

void listener_format(const struct mr_address *address, char ret_text[LISTENER_TEXT_BYTES])
{
    bool is_v6 = strchr(address->host, ':') != NULL;
    (void)snprintf(ret_text, LISTENER_TEXT_BYTES, "%s%s%s:%u", is_v6 ? "[" : "", address->host,
                   is_v6 ? "]" : "", (unsigned)address->port);
}

static int resolve(const struct mr_address *address, struct addrinfo **ret_list,
                   struct mr_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char service[8];
    int rc;
    (void)snprintf(service, sizeof service, "%u", (unsigned)address->port);
    rc = getaddrinfo(address->host[0] == '\0' ? NULL : address->host, service, &hints, ret_list);
    if (rc == EAI_MEMORY) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    return rc == 0 ? 0 : mr_error_set(err, MR_ENET, "%s", gai_strerror(rc));
}

/* 0 or an errno. */
static int listen_on(int fd, const struct addrinfo *info, bool reuse_port)
{
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, LISTENER_BACKLOG) != 0) {
        return errno;
    }
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0) {
        return 0;
    }
    if (name.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&name)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)&name)->sin_port);
}

/* A name's first address. 0 or an errno. */
static int open_first(const struct addrinfo *info, bool reuse_port, int *ret_fd)
{
    int rc;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    rc = listen_on(fd, info, reuse_port);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int listener_open(const struct mr_address *address, bool reuse_port, int *ret_fd,
                  uint16_t *ret_port, struct mr_error *err)
{
    struct addrinfo *list = NULL;
    char text[LISTENER_TEXT_BYTES];
    int fd = -1;
    int rc = resolve(address, &list, err);
    listener_format(address, text);
    if (rc != 0) {
        (void)mr_error_wrap(err, "listen on %s", text);
        return rc;
    }
    rc = open_first(list, reuse_port, &fd);
    freeaddrinfo(list);
    if (rc != 0) {
        return mr_error_set(err, MR_ENET, "listen on %s: %s", text, strerror(rc));
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return 0;
}

int listener_check_free(const struct mr_address *address, struct mr_error *err)
{
    uint16_t port;
    int fd;
    int rc = listener_open(address, false, &fd, &port, err);
    if (rc == 0) {
        (void)close(fd);
    }
    return rc;
}

static int accept_one(int fd)
{
    int client;
    do {
        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (client < 0 && (errno == EINTR || errno == ECONNABORTED));
    return client;
}

int listener_accept(int fd, int *spare_fd, bool *ret_is_short)
{
    int client = accept_one(fd);
    *ret_is_short =
        client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (!*ret_is_short || *spare_fd < 0) {
        return client;
    }
    (void)close(*spare_fd);
    client = accept_one(fd);
    if (client >= 0) {
        (void)close(client);
    }
    *spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return -1;
}
