// SPDX-License-Identifier: Apache-2.0
/* Happy path: a connection comes -> a second one is made to the target -> bytes read on one side
 * are written to the other, and a side isn't read while its last bytes are still being written to
 * the other. What can go wrong: the target refuses, or a side ends or fails: both are closed
 * (Kafka's protocol has no half-closed connections). Over CONNECTIONS_MAX a new connection is
 * closed at once. */
#include "cli/relay.h"

#include <assert.h>
#include <stdbool.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    RELAY_MAGIC = 0x72656c61,
    LINK_MAGIC = 0x6c696e6b,
    CONNECTIONS_MAX = 1000,
    CHUNK_BYTES = 64 * 1024,
    BACKLOG = 128,
};

struct relay {
    unsigned magic;
    uv_tcp_t listener;
    struct sockaddr_in target;
    struct link *links;
    unsigned link_count;
    bool closing;
};

struct link;

/* One direction: what is read here is written to the peer. */
struct side {
    struct link *link;
    struct side *peer;
    uv_tcp_t tcp;
    uv_write_t write;
    char *chunk;
};

struct link {
    unsigned magic;
    struct relay *relay;
    struct link *next, *prev;
    struct side client, target;
    uv_connect_t connect;
    unsigned open_handles;
    bool closing;
};

static void relay_free_if_done(struct relay *relay)
{
    if (relay->closing && relay->link_count == 0 &&
        !uv_is_active((uv_handle_t *)&relay->listener) && relay->listener.data == NULL) {
        relay->magic = 0;
        mem_free(relay);
    }
}

static void on_side_closed(uv_handle_t *handle)
{
    struct side *side = handle->data;
    struct link *link = side->link;
    struct relay *relay = link->relay;
    MAGIC_CHECK(link, LINK_MAGIC);
    assert(link->open_handles > 0);
    if (--link->open_handles > 0) {
        return;
    }
    if (link->prev != NULL) {
        link->prev->next = link->next;
    } else {
        relay->links = link->next;
    }
    if (link->next != NULL) {
        link->next->prev = link->prev;
    }
    relay->link_count--;
    mem_free(link->client.chunk);
    mem_free(link->target.chunk);
    link->magic = 0;
    mem_free(link);
    relay_free_if_done(relay);
}

static void link_close(struct link *link)
{
    if (link->closing) {
        return;
    }
    link->closing = true;
    uv_close((uv_handle_t *)&link->client.tcp, on_side_closed);
    uv_close((uv_handle_t *)&link->target.tcp, on_side_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct side *side = handle->data;
    (void)suggested;
    *ret_buf = uv_buf_init(side->chunk, CHUNK_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
    struct side *side = write->data;
    MAGIC_CHECK(side->link, LINK_MAGIC);
    if (side->link->closing) {
        return;
    }
    if (status < 0 || uv_read_start((uv_stream_t *)&side->tcp, on_alloc, on_read) < 0) {
        link_close(side->link);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct side *side = stream->data;
    uv_buf_t bytes;
    MAGIC_CHECK(side->link, LINK_MAGIC);
    if (count == 0) {
        return;
    }
    if (count < 0) {
        link_close(side->link);
        return;
    }
    bytes = uv_buf_init(buf->base, (unsigned)count);
    (void)uv_read_stop(stream);
    side->write.data = side;
    if (uv_write(&side->write, (uv_stream_t *)&side->peer->tcp, &bytes, 1, on_written) < 0) {
        link_close(side->link);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct link *link;
    MAGIC_CAST(link, connect->data, LINK_MAGIC);
    if (link->closing) {
        return;
    }
    if (status < 0 || uv_read_start((uv_stream_t *)&link->client.tcp, on_alloc, on_read) < 0 ||
        uv_read_start((uv_stream_t *)&link->target.tcp, on_alloc, on_read) < 0) {
        link_close(link);
    }
}

static int side_init(struct side *side, struct link *link, struct side *peer)
{
    int rc;
    side->link = link;
    side->peer = peer;
    side->chunk = mem_alloc(CHUNK_BYTES);
    if (side->chunk == NULL) {
        return UV_ENOMEM;
    }
    rc = uv_tcp_init(link->relay->listener.loop, &side->tcp);
    if (rc == 0) {
        side->tcp.data = side;
        link->open_handles++;
    }
    return rc;
}

static void link_abort(struct link *link)
{
    if (link->open_handles > 0) {
        link->closing = true;
        uv_close((uv_handle_t *)&link->client.tcp, on_side_closed);
        return;
    }
    /* Nothing of libuv's holds it yet: pretend that one handle has just closed. */
    link->open_handles = 1;
    link->client.link = link;
    link->client.tcp.data = &link->client;
    on_side_closed((uv_handle_t *)&link->client.tcp);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct relay *relay;
    struct link *link;
    MAGIC_CAST(relay, listener->data, RELAY_MAGIC);
    if (status < 0) {
        return;
    }
    link = mem_zalloc(sizeof *link);
    if (link == NULL) {
        return;
    }
    *link = (struct link){.magic = LINK_MAGIC, .relay = relay, .next = relay->links};
    if (relay->links != NULL) {
        relay->links->prev = link;
    }
    relay->links = link;
    relay->link_count++;
    if (side_init(&link->client, link, &link->target) < 0 ||
        side_init(&link->target, link, &link->client) < 0) {
        link_abort(link);
        return;
    }
    link->connect.data = link;
    if (uv_accept(listener, (uv_stream_t *)&link->client.tcp) < 0 ||
        relay->link_count > CONNECTIONS_MAX ||
        uv_tcp_connect(&link->connect, &link->target.tcp, (struct sockaddr *)&relay->target,
                       on_connected) < 0) {
        link_close(link);
    }
}

static int listen_on(struct relay *relay, const struct mr_address *address)
{
    struct sockaddr_storage bind_to;
    int rc = uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)&bind_to);
    if (rc < 0) {
        rc = uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)&bind_to);
    }
    if (rc == 0) {
        rc = uv_tcp_bind(&relay->listener, (struct sockaddr *)&bind_to, 0);
    }
    return rc < 0 ? rc : uv_listen((uv_stream_t *)&relay->listener, BACKLOG, on_connection);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct relay *relay;
    MAGIC_CAST(relay, handle->data, RELAY_MAGIC);
    handle->data = NULL;
    relay_free_if_done(relay);
}

int relay_open(uv_loop_t *loop, const struct mr_address *listen, uint16_t target_port,
               struct relay **ret_relay, struct mr_error *err)
{
    int rc;
    struct relay *relay = mem_zalloc(sizeof *relay);
    if (relay == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    relay->magic = RELAY_MAGIC;
    (void)uv_ip4_addr("127.0.0.1", target_port, &relay->target);
    rc = uv_tcp_init(loop, &relay->listener);
    if (rc < 0) {
        mem_free(relay);
        return mr_error_set(err, MR_ENET, "socket: %s", uv_strerror(rc));
    }
    relay->listener.data = relay;
    rc = listen_on(relay, listen);
    if (rc < 0) {
        relay_close(relay);
        return mr_error_set(err, MR_ENET, "can't listen on %s:%u: %s", listen->host,
                            (unsigned)listen->port, uv_strerror(rc));
    }
    *ret_relay = relay;
    return 0;
}

void relay_close(struct relay *relay)
{
    MAGIC_CHECK(relay, RELAY_MAGIC);
    if (relay->closing) {
        return;
    }
    relay->closing = true;
    for (struct link *link = relay->links; link != NULL; link = link->next) {
        link_close(link);
    }
    uv_close((uv_handle_t *)&relay->listener, on_listener_closed);
}
