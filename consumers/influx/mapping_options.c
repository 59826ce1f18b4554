// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/mapping_options.h"

const struct mr_option mapping_keys[] = {
    {.key = "match",
     .type = MR_OPTION_STRING,
     .text = "Which events: attribute:pattern, several with blanks between them, all of which must "
             "hold; in a pattern * is any text and ? one character. Without it every event."},
    {.key = "name",
     .type = MR_OPTION_STRING,
     .text = "Where the measurement's name comes from: a path or an attribute. Without it, it is "
             "the section's NAME."},
    {.key = "field.*",
     .type = MR_OPTION_STRING,
     .env = "FIELD_*",
     .text = "A field: SOURCE [float|integer|unsigned|string|boolean] [required]. The source is a "
             "path into the payload ($.a.b[0]), into the element of each (@.a), or an attribute."},
    {.key = "tag.*",
     .type = MR_OPTION_STRING,
     .env = "TAG_*",
     .text = "A tag: SOURCE [required]. The tags application and device are there without being "
             "named; `-` leaves one out."},
    {.key = "type.*", .type = MR_OPTION_STRING, .env = "TYPE_FIELD_*"},
    {.key = "time",
     .type = MR_OPTION_STRING,
     .text = "The point's time: SOURCE [rfc3339|s|ms|us|ns] [optional]. Without it, it is the "
             "event's."},
    {.key = "each",
     .type = MR_OPTION_STRING,
     .text = "An array in the payload, each of whose elements becomes a point: $.readings[*]."},
    MR_OPTION_END,
};
