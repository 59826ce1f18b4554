// SPDX-License-Identifier: Apache-2.0
/* The dialect of drogue-cloud's HTTP endpoint:
 *     POST /v1/{channel}[/{suffix...}]?application=&device=&as=&data_schema=&time=
 * Payload-agnostic: the content is stored as it came. docs/millrace-http-dialects.md has the table.
 */
#include <string.h>

#include "bridge/http/dialects/draft.h"

#define PREFIX "/v1/"

static int set_sender(struct draft *draft, const struct draft_parameter *parameters)
{
    struct mr_slice path = draft->request->path;
    struct mr_slice raw = mr_slice(path.ptr + sizeof PREFIX - 1, path.len - (sizeof PREFIX - 1));
    struct draft_span channel;
    struct draft_sender sender = {
        .missing = "device: missing; expected ?device={device}, which says who sent it"};
    if (raw.len == 0 || raw.ptr[0] == '/') {
        return draft_refuse(draft, 404, "a channel is missing: POST /v1/{channel}?device={device}");
    }
    if (draft_decode(draft, "channel", raw, false, &channel) != 0 ||
        draft_check_text(draft, "channel", draft_slice(draft, channel)) != 0) {
        return -1;
    }
    sender.application = draft_slice(draft, parameters[DRAFT_APPLICATION].value);
    sender.device = draft_slice(draft, parameters[DRAFT_OWN].value);
    sender.as = draft_slice(draft, parameters[DRAFT_AS].value);
    sender.channel = draft_slice(draft, channel);
    return draft_set_sender(draft, &sender);
}

static int fill(struct draft *draft)
{
    return draft_fill_plain(draft, "device", set_sender);
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

const struct dialect dialect_drogue = {
    .is_mine = is_mine,
    .read = read_request,
};
