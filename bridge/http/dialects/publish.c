// SPDX-License-Identifier: Apache-2.0
/* The dialect of drogue-cloud's first HTTP endpoint:
 *     POST /publish/{device}/{channel}[/{suffix...}]?model_id=&application=&as=&data_schema=&time=
 * The content is stored as it came. docs/millrace-http-dialects.md has the table. */
#include <string.h>

#include "bridge/http/dialects/draft.h"

#define PREFIX   "/publish/"
#define EXPECTED "POST /publish/{device}/{channel}"

static int set_sender(struct draft *draft, const struct draft_parameter *parameters)
{
    struct mr_slice path = draft->request->path;
    struct mr_slice device = mr_slice(path.ptr + sizeof PREFIX - 1, path.len - (sizeof PREFIX - 1));
    struct mr_slice channel;
    struct draft_span spans[2];
    struct draft_sender sender = {.missing = "device: missing"};
    draft_split(&device, &channel);
    if (device.len == 0) {
        return draft_refuse(draft, 404, "a device is missing: " EXPECTED);
    }
    if (channel.len == 0 || channel.ptr[0] == '/') {
        return draft_refuse(draft, 404, "a channel is missing: " EXPECTED);
    }
    if (draft_decode(draft, "device", device, false, &spans[0]) != 0 ||
        draft_decode(draft, "channel", channel, false, &spans[1]) != 0) {
        return -1;
    }
    sender.application = draft_slice(draft, parameters[DRAFT_APPLICATION].value);
    sender.device = draft_slice(draft, spans[0]);
    sender.as = draft_slice(draft, parameters[DRAFT_AS].value);
    sender.channel = draft_slice(draft, spans[1]);
    if (draft_check_text(draft, "device", sender.device) != 0 ||
        draft_check_text(draft, "channel", sender.channel) != 0) {
        return -1;
    }
    return draft_set_sender(draft, &sender);
}

static int set_sender_and_model(struct draft *draft, const struct draft_parameter *parameters)
{
    return set_sender(draft, parameters) == 0
               ? draft_set_model(draft, draft_slice(draft, parameters[DRAFT_OWN].value))
               : -1;
}

static int fill(struct draft *draft)
{
    return draft_fill_plain(draft, "model_id", set_sender_and_model);
}

static bool is_mine(struct mr_slice path)
{
    return path.len >= sizeof PREFIX - 1 && memcmp(path.ptr, PREFIX, sizeof PREFIX - 1) == 0;
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    /* Decoding never makes longer; names, values, path and a quoted id are each decoded once. */
    return draft_run(request, event, ret_refusal,
                     request->path.len + request->query.len + DIALECT_ID_BYTES_MAX + 1, fill);
}

const struct dialect dialect_publish = {
    .is_mine = is_mine,
    .read = read_request,
};
