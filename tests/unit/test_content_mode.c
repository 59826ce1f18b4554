// SPDX-License-Identifier: Apache-2.0
/* CloudEvents 1.0.2, HTTP binding 3 and MQTT binding 3: the mode by the content type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "event/content_mode.h"

static void the_content_type_says_the_mode(void **state)
{
    static const struct {
        const char *type;
        enum content_mode mode;
    } cases[] = {
        {NULL, CONTENT_DATA},
        {"", CONTENT_DATA},
        {"application/json", CONTENT_DATA},
        {"text/application/cloudevents+json", CONTENT_DATA},
        {"application/cloudevent", CONTENT_DATA},
        {"application/cloudevents+json", CONTENT_JSON},
        {"application/cloudevents+json; charset=utf-8", CONTENT_JSON},
        {"application/cloudevents+json;charset=utf-8", CONTENT_JSON},
        {"application/cloudevents+json\t", CONTENT_JSON},
        {"Application/CloudEvents+JSON", CONTENT_JSON},
        {"application/cloudevents+avro", CONTENT_AVRO},
        {"application/cloudevents-batch+json", CONTENT_BATCH},
        {"application/cloudevents", CONTENT_UNKNOWN},
        {"application/cloudevents+xml", CONTENT_UNKNOWN},
        {"application/cloudevents+jsonx", CONTENT_UNKNOWN},
        {"application/cloudevents-batch+avro", CONTENT_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (content_mode_of(mr_slice_of(cases[i].type)) != cases[i].mode) {
            fail_msg("%s", cases[i].type);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_content_type_says_the_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
