// SPDX-License-Identifier: Apache-2.0
#include "event/content_mode.h"

#include "event/format_avro.h"
#include "event/format_json_batch.h"
#include "kit/ascii.h"

static struct mr_slice without_parameters(struct mr_slice type)
{
    for (size_t i = 0; i < type.len; i++) {
        if (type.ptr[i] == ';' || type.ptr[i] == ' ' || type.ptr[i] == '\t') {
            return mr_slice(type.ptr, i);
        }
    }
    return type;
}

enum content_mode content_mode_of(struct mr_slice type)
{
    struct mr_slice bare;
    if (type.ptr == NULL || !ascii_begins_with(type, MR_SLICE(EVENT_MEDIA_TYPE_PREFIX))) {
        return CONTENT_DATA;
    }
    bare = without_parameters(type);
    if (ascii_same(bare, MR_SLICE(EVENT_JSON_MEDIA_TYPE))) {
        return CONTENT_JSON;
    }
    if (ascii_same(bare, MR_SLICE(EVENT_AVRO_MEDIA_TYPE))) {
        return CONTENT_AVRO;
    }
    return ascii_same(bare, MR_SLICE(EVENT_JSON_BATCH_MEDIA_TYPE)) ? CONTENT_BATCH
                                                                   : CONTENT_UNKNOWN;
}
