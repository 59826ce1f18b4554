// SPDX-License-Identifier: Apache-2.0
/* The dialect of drogue-cloud's first HTTP endpoint:
 *     POST /publish/{device}/{channel}[/{suffix...}]?model_id=&application=&as=&data_schema=&time=
 * The content is stored as it came. docs/millrace-http-dialects.md has the table. */
#include <string.h>

#include "bridge/http/dialects/draft.h"

#define PREFIX   "/publish/"
#define EXPECTED "POST /publish/{device}/{channel}"

enum parameter { MODEL, APPLICATION, AS, DATA_SCHEMA, TIME, PARAMETERS };

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
    sender.application = draft_slice(draft, parameters[APPLICATION].value);
    sender.device = draft_slice(draft, spans[0]);
    sender.as = draft_slice(draft, parameters[AS].value);
    sender.channel = draft_slice(draft, spans[1]);
    if (draft_check_text(draft, "device", sender.device) != 0 ||
        draft_check_text(draft, "channel", sender.channel) != 0) {
        return -1;
    }
    return draft_set_sender(draft, &sender);
}

static int fill(struct draft *draft)
{
    struct draft_parameter parameters[PARAMETERS] = {
        [MODEL] = {.name = "model_id"}, [APPLICATION] = {.name = "application"},
        [AS] = {.name = "as"},          [DATA_SCHEMA] = {.name = "data_schema"},
        [TIME] = {.name = "time"},
    };
    int rc = draft_read_query(draft, parameters, PARAMETERS);
    rc = rc == 0 ? set_sender(draft, parameters) : rc;
    rc = rc == 0 ? draft_set_model(draft, draft_slice(draft, parameters[MODEL].value)) : rc;
    rc = rc == 0 ? draft_set_id(draft) : rc;
    rc = rc == 0 ? draft_set_time(draft, draft_slice(draft, parameters[TIME].value)) : rc;
    rc = rc == 0 ? draft_set_content(draft) : rc;
    return rc == 0 ? draft_set_schema(draft, draft_slice(draft, parameters[DATA_SCHEMA].value))
                   : rc;
}

static bool is_mine(struct mr_slice path)
{
    return path.len >= sizeof PREFIX - 1 && memcmp(path.ptr, PREFIX, sizeof PREFIX - 1) == 0;
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    struct draft draft;
    int rc;
    /* Decoding never makes longer; names, values, path and a quoted id are each decoded once. */
    draft_init(&draft, request, event, ret_refusal,
               request->path.len + request->query.len + IDENTITY_NAME_BYTES_MAX + 1);
    rc = fill(&draft);
    draft_done(&draft);
    return rc;
}

const struct dialect dialect_publish = {
    .is_mine = is_mine,
    .read = read_request,
};
