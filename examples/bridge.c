// SPDX-License-Identifier: Apache-2.0
/* Your own bridge: each UDP datagram is an event; "stored" comes back once Kafka has it, else the
 * reason. cc bridge.c $(pkg-config --cflags --libs millrace) -o my-bridge && ./my-bridge
 *     echo '{"celsius":21.5}' | nc -u -w 1 127.0.0.1 8089 */
#include <millrace/program.h>
#include <stdlib.h>

struct exchange { /* one datagram, from its arrival to its answer */
    struct mr_send send;
    struct sockaddr_in peer;
};

struct options {
    struct mr_producer_options producer;
    struct mr_address listen;
};

static const struct mr_option own_options[] = {
    {.key = "listen",
     .type = MR_OPTION_ADDRESS,
     .initial = "127.0.0.1:8089",
     .text = "Where datagrams come in.",
     .offset = offsetof(struct options, listen)},
    MR_OPTION_END,
};

static uv_udp_t udp;

static void answer(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct exchange *exchange = (struct exchange *)send;
    const char *text = outcome->kind == MR_STORED ? "stored" : outcome->reason;
    uv_buf_t bytes = uv_buf_init((char *)text, (unsigned)strlen(text));
    if (!uv_is_closing((uv_handle_t *)&udp)) { /* after the drain's deadline it is */
        (void)uv_udp_try_send(&udp, &bytes, 1, (struct sockaddr *)&exchange->peer);
    }
    free(exchange);
}

static void on_datagram(uv_udp_t *handle, ssize_t len, const uv_buf_t *buf,
                        const struct sockaddr *peer, unsigned flags)
{
    struct mr_event *event = len > 0 && flags == 0 ? mr_event_new() : NULL;
    struct exchange *exchange = event != NULL ? calloc(1, sizeof *exchange) : NULL;
    if (exchange != NULL) {
        (void)mr_event_from_device(event, MR_SLICE("udp"), MR_SLICE("anyone"), MR_SLICE("reading"),
                                   NULL);
        (void)mr_event_set(event, MR_SLICE("datacontenttype"), MR_SLICE("application/json"), NULL);
        (void)mr_event_complete(event, NULL);
        mr_event_set_data(event, mr_slice(buf->base, (size_t)len));
        exchange->send.on_settled = answer;
        memcpy(&exchange->peer, peer, sizeof exchange->peer);
        mr_send(mr_program_port(handle->data), &exchange->send, event); /* unfit ones are refused */
    }
    mr_event_free(event);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char datagram[65536];
    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(datagram, sizeof datagram);
}

static int start(struct mr_program *program, struct mr_error *err)
{
    const struct options *options = mr_program_options(program);
    struct sockaddr_in address;
    (void)uv_ip4_addr(options->listen.host, options->listen.port, &address);
    (void)uv_udp_init(mr_program_loop(program), &udp);
    udp.data = program;
    if (uv_udp_bind(&udp, (struct sockaddr *)&address, 0) < 0 ||
        uv_udp_recv_start(&udp, on_alloc, on_datagram) < 0) {
        return mr_error_set(err, MR_ENET, "can't listen on %s:%u", options->listen.host,
                            options->listen.port);
    }
    return mr_program_producer(program, &options->producer, NULL, err);
}

static void drain(struct mr_program *program)
{
    (void)uv_udp_recv_stop(&udp);
    mr_program_drained(program); /* the frame waits for what was sent */
}

static void stop(struct mr_program *program)
{
    (void)program;
    uv_close((uv_handle_t *)&udp, NULL);
}

int main(int argc, char **argv)
{
    static const struct mr_option_group groups[] = {{.table = mr_producer_options},
                                                    {.table = own_options}};
    static const struct mr_program_spec spec = {
        .name = "my-bridge",
        .section = "my",
        .summary = "Turns UDP datagrams into events.",
        .admin_listen = "127.0.0.1:9108",
        .groups = groups,
        .group_count = 2,
        .options_size = sizeof(struct options),
        .start = start,
        .drain = drain,
        .stop = stop,
    };
    return mr_program_main(argc, argv, &spec);
}
