// SPDX-License-Identifier: Apache-2.0
/* data/lorawan/things-stack-*.json are the examples of The Things Stack's documentation, "Data
 * Formats" (https://www.thethingsindustries.com/docs/integrations/data-formats/). "Empty fields are
 * omitted from payloads", it says: no f_port is 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"

#define DATA      TEST_SOURCE_DIR "/tests/unit/data/lorawan/"
#define JSON_TYPE "Content-Type: application/json\r\n"
#define IDS_OF(device)                            \
    "\"end_device_ids\":{\"device_id\":\"" device \
    "\",\"application_ids\":{\"application_id\":\"a\"}}"
#define IDS IDS_OF("d")

static void accept(struct dialect_fixture *f, const char *members)
{
    char body[4096];
    (void)snprintf(body, sizeof body, "{" IDS ",%s}", members);
    dialect_request(f, "POST", "/ttn/v3", JSON_TYPE, body);
    if (f->rc != DIALECT_EVENT) {
        fail_msg("%s: %d %d %s", body, f->rc, f->refusal.status, f->refusal.detail);
    }
}

static void test_the_documented_uplink(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    char *body = dialect_read_file(DATA "things-stack-uplink.json");
    (void)state;
    dialect_accept(&f, "/ttn/v3?model_id=m1", JSON_TYPE, body);
    dialect_assert(&f, "application", "app1");
    dialect_assert(&f, "device", "dev1");
    dialect_assert(&f, "source", "/app1/dev1");
    dialect_assert(&f, "subject", "uplink");
    dialect_assert(&f, "time", "2020-02-12T15:15:45.789585559Z");
    dialect_assert(&f, "id", "as:up:01E0WZGT6Y7657CPFPE5WEYDSQ");
    dialect_assert(&f, "datacontenttype", "application/json");
    dialect_assert(&f, "model", "m1");
    dialect_assert_integer(&f, "lorawanport", 0);
    dialect_assert_integer(&f, "lorawancounter", 1);
    dialect_assert(&f, "lorawandeveui", "0004A30B001C0530");
    dialect_assert(&f, "lorawandatarate", "SF7BW125");
    dialect_assert(&f, "lorawanrssi", "-35");
    dialect_assert(&f, "lorawansnr", "5");
    assert_int_equal(mr_event_count(f.event), 16); /* with specversion and type */
    assert_true(mr_slice_is(mr_event_data(f.event), mr_slice_of(body)));
    dialect_done(&f);
    free(body);
}

/* The kinds are those of ApplicationUp.up (api/ttn/lorawan/v3/messages.proto). */
static void test_other_kinds_are_not_stored(void **state)
{
    static const char *const files[] = {DATA "things-stack-join-accept.json",
                                        DATA "things-stack-downlink-ack.json",
                                        DATA "things-stack-downlink-failed.json"};
    static const char *const bodies[] = {
        "{" IDS ",\"uplink_normalized\":{\"f_port\":1}}",
        "{" IDS ",\"downlink_nack\":{}}",
        "{" IDS ",\"downlink_sent\":{}}",
        "{" IDS ",\"downlink_queued\":{}}",
        "{" IDS ",\"downlink_queue_invalidated\":{}}",
        "{" IDS ",\"location_solved\":{\"service\":\"x\"}}",
        "{" IDS ",\"service_data\":{}}",
        "{" IDS ",\"a_kind_to_come\":{}}",
        "{" IDS ",\"uplink_message\":null}",
        "{" IDS "}",
        "{" IDS ",\"uplink_message\":{\"f_port\":1},\"simulated\":true}",
    };
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(files); i++) {
        char *body = dialect_read_file(files[i]);
        dialect_not_stored(&f, "/ttn/v3", body);
        dialect_done(&f);
        free(body);
    }
    for (size_t i = 0; i < MR_COUNT_OF(bodies); i++) {
        dialect_not_stored(&f, "/ttn/v3", bodies[i]);
        dialect_done(&f);
    }
    accept(&f, "\"uplink_message\":{},\"simulated\":false");
    dialect_done(&f);
}

static void test_what_is_missing_is_left_out(void **state)
{
    static const char *const names[] = {"id",          "time",       "lorawandeveui",
                                        "lorawanrssi", "lorawansnr", "lorawandatarate",
                                        "gateway",     "model",      "lorawanconfirmed"};
    static const char *const members[] = {
        "\"uplink_message\":{}",
        "\"correlation_ids\":[],\"received_at\":null,\"uplink_message\":{\"rx_metadata\":[],"
        "\"settings\":{\"data_rate\":{\"fsk\":{\"bit_rate\":50000}}}}",
        "\"correlation_ids\":[\"gs:uplink:1\",\"as:up:\",\"as:u\"],\"uplink_message\":{"
        "\"settings\":"
        "{\"data_rate\":{\"lora\":{\"bandwidth\":125000}}}}",
    };
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(members); i++) {
        accept(&f, members[i]);
        dialect_assert_integer(&f, "lorawanport", 0);
        dialect_assert_integer(&f, "lorawancounter", 0);
        for (size_t k = 0; k < MR_COUNT_OF(names); k++) {
            dialect_assert_absent(&f, names[k]);
        }
        dialect_done(&f);
    }
}

static void test_time_and_id(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    accept(&f,
           "\"received_at\":\"2026-01-02T03:04:06Z\",\"uplink_message\":{\"f_cnt\":7,"
           "\"received_at\":\"2026-01-02T03:04:05Z\"}");
    dialect_assert(&f, "time", "2026-01-02T03:04:05Z");
    dialect_assert(&f, "id", "7@2026-01-02T03:04:05Z");
    dialect_done(&f);
    accept(&f,
           "\"received_at\":\"2026-01-02T03:04:06Z\",\"uplink_message\":{\"f_cnt\":7,"
           "\"received_at\":\"soon\",\"rx_metadata\":[{\"time\":\"2026-01-02T03:04:04Z\"}]}");
    dialect_assert(&f, "time", "2026-01-02T03:04:06Z");
    dialect_assert(&f, "id", NULL);
    dialect_done(&f);
    accept(&f,
           "\"uplink_message\":{},\"correlation_ids\":[\"gs:uplink:1\",\"as:up:2\","
           "\"as:up:3\"]");
    dialect_assert(&f, "id", "as:up:2");
    dialect_assert(&f, "time", NULL);
    dialect_done(&f);
    dialect_accept(&f, "/ttn/v3", "Idempotency-Key: k\r\n",
                   "{" IDS ",\"correlation_ids\":[\"as:up:2\"],\"uplink_message\":{}}");
    dialect_assert(&f, "id", "k");
    dialect_done(&f);
}

static void test_the_data_rate_is_named_as_in_lorawan(void **state)
{
    static const struct {
        const char *lora;
        const char *name;
    } cases[] = {
        {"\"bandwidth\":125000,\"spreading_factor\":12", "SF12BW125"},
        {"\"spreading_factor\":7,\"bandwidth\":250000", "SF7BW250"},
        {"\"bandwidth\":812500,\"spreading_factor\":9", "SF9BW812.5"},
        {"\"bandwidth\":41670,\"spreading_factor\":9", "SF9BW41.67"},
        {"\"bandwidth\":4294967295,\"spreading_factor\":4294967295", "SF4294967295BW4294967.295"},
    };
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    char members[256];
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        (void)snprintf(members, sizeof members,
                       "\"uplink_message\":{\"confirmed\":true,\"settings\":{\"data_rate\":{"
                       "\"lora\":{%s,\"coding_rate\":\"4/5\"}}}}",
                       cases[i].lora);
        accept(&f, members);
        dialect_assert(&f, "lorawandatarate", cases[i].name);
        dialect_assert_true(&f, "lorawanconfirmed");
        dialect_done(&f);
    }
}

static void test_the_gateway_that_heard_best_is_kept(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    accept(&f,
           "\"uplink_message\":{\"rx_metadata\":[{\"rssi\":-93,\"snr\":1.5},{\"rssi\":-55,"
           "\"channel_rssi\":-54,\"snr\":9.75},{\"rssi\":-110,\"snr\":-12}]}");
    dialect_assert(&f, "lorawanrssi", "-55");
    dialect_assert(&f, "lorawansnr", "9.75");
    dialect_done(&f);
}

static void test_what_is_proven_wins(void **state)
{
    struct dialect_fixture f = {
        .dialect = &dialect_things_stack,
        .identity = {
            .application = MR_SLICE("a"), .device = MR_SLICE("ttn"), .speaks_for = MR_SLICE("d*")}};
    (void)state;
    accept(&f, "\"uplink_message\":{}");
    dialect_assert(&f, "source", "/a/d");
    dialect_assert(&f, "gateway", "ttn");
    dialect_done(&f);
    dialect_refuse(&f, 403, "application: not the one", "/ttn/v3?application=other", JSON_TYPE,
                   "{" IDS ",\"uplink_message\":{}}");
    dialect_done(&f);
    dialect_refuse(&f, 403, "end_device_ids.device_id:", "/ttn/v3", JSON_TYPE,
                   "{" IDS_OF("e") ",\"uplink_message\":{}}");
    dialect_done(&f);
    f.identity.application = MR_SLICE("farm");
    dialect_refuse(&f, 403, "end_device_ids.application_ids.application_id: not the one", "/ttn/v3",
                   JSON_TYPE, "{" IDS ",\"uplink_message\":{}}");
    dialect_done(&f);
    dialect_accept(&f, "/ttn/v3?application=farm", JSON_TYPE, "{" IDS ",\"uplink_message\":{}}");
    dialect_assert(&f, "source", "/farm/d");
    dialect_done(&f);
}

static void test_what_is_wrong_is_refused_by_name(void **state)
{
#define BODY(body, named)                      \
    {                                          \
        "/ttn/v3", JSON_TYPE, body, 400, named \
    }
#define UPLINK(members, named) BODY("{" IDS ",\"uplink_message\":{" members "}}", named)
    static const struct dialect_refused cases[] = {
        BODY("", "content: no JSON"),
        BODY("\x08\x01", "content: no JSON"), /* the format "Protocol Buffers" */
        BODY("{}", "end_device_ids.application_ids.application_id: must not be empty"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":1}", "end_device_ids"), /* v2's */
        BODY("{\"end_device_ids\":{\"device_id\":\"d\"}}", "application_id: must not be empty"),
        BODY("{\"end_device_ids\":{\"application_ids\":{\"application_id\":\"a\"}}}",
             "end_device_ids.device_id: must not be empty"),
        BODY("{" IDS_OF("") "}", "end_device_ids.device_id: must not be empty"),
        BODY("{" IDS_OF("\\u0001") "}", "end_device_ids.device_id: must be UTF-8"),
        BODY("{\"end_device_ids\":[]}", "end_device_ids: expected an object"),
        BODY("{\"end_device_ids\":{\"application_ids\":\"a\"}}",
             "end_device_ids.application_ids: expected an object"),
        BODY("{\"end_device_ids\":{\"dev_eui\":1}}", "end_device_ids.dev_eui: expected a string"),
        BODY("{" IDS "," IDS "}", "end_device_ids: given twice"),
        BODY("{" IDS ",\"correlation_ids\":\"as:up:1\"}", "correlation_ids: expected an array"),
        BODY("{" IDS ",\"correlation_ids\":[1]}", "correlation_ids: expected an array of strings"),
        BODY("{" IDS ",\"correlation_ids\":[\"as:up:\xc2\x85\"],\"uplink_message\":{}}",
             "correlation_ids"),
        BODY("{" IDS ",\"received_at\":1}", "received_at: expected a string"),
        BODY("{" IDS ",\"simulated\":\"yes\"}", "simulated: expected true or false"),
        BODY("{" IDS ",\"uplink_message\":[]}", "uplink_message: expected an object"),
        BODY("{" IDS ",\"uplink_message\":{},\"uplink_message\":{}}",
             "uplink_message: given twice"),
        UPLINK("\"f_port\":256", "uplink_message.f_port: expected an integer from 0 to 255"),
        UPLINK("\"f_cnt\":-1", "uplink_message.f_cnt: expected an integer"),
        UPLINK("\"f_cnt\":1e3", "uplink_message.f_cnt: expected an integer"),
        UPLINK("\"f_cnt\":1,\"f_cnt\":1", "uplink_message.f_cnt: given twice"),
        UPLINK("\"confirmed\":0", "uplink_message.confirmed: expected true or false"),
        UPLINK("\"received_at\":{}", "uplink_message.received_at: expected a string"),
        UPLINK("\"rx_metadata\":{}", "uplink_message.rx_metadata: expected an array of objects"),
        UPLINK("\"rx_metadata\":[[]]", "uplink_message.rx_metadata: expected an array of objects"),
        UPLINK("\"rx_metadata\":[{\"rssi\":\"1\"}]", "uplink_message.rx_metadata[].rssi"),
        UPLINK("\"rx_metadata\":[{\"snr\":1e400}]", "uplink_message.rx_metadata[].snr"),
        UPLINK("\"rx_metadata\":[{},", "content: no JSON"),
        UPLINK("\"settings\":1", "uplink_message.settings: expected an object"),
        UPLINK("\"settings\":{\"data_rate\":{\"lora\":{\"bandwidth\":\"125000\"}}}",
               "uplink_message.settings.data_rate.lora.bandwidth: expected an integer"),
        {"/ttn/v3?model_id=%", JSON_TYPE, "{" IDS "}", 400, "model_id"},
        {"/ttn/v3", "Content-Type: x\r\n", "{" IDS ",\"uplink_message\":{}}", 400, "Content-Type"},
        {0},
    };
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    dialect_refuse_each(&f, cases);
}

static void test_only_post(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    dialect_allow_only(&f, "/ttn/v3", DIALECT_ALLOW_POST);
    assert_false(dialect_things_stack.is_mine(MR_SLICE("/ttn")));
    assert_false(dialect_things_stack.is_mine(MR_SLICE("/ttn/v3/")));
    assert_false(dialect_things_stack.is_mine(MR_SLICE("/ttn/v2")));
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_things_stack};
    (void)state;
    dialect_run_out_of_memory(
        &f, "/ttn/v3?application=a&model_id=m&data_schema=urn:s:1",
        JSON_TYPE "Idempotency-Key: \"k\"\r\n",
        "{" IDS_OF("\\u0061") ",\"correlation_ids\":[\"as:up:1\"],\"uplink_message\":{\"f_cnt\":1,"
        "\"received_at\":\"2026-01-02T03:04:05Z\",\"rx_metadata\":[{\"rssi\":1,\"snr\":1}]}}",
        2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documented_uplink),
        cmocka_unit_test(test_other_kinds_are_not_stored),
        cmocka_unit_test(test_what_is_missing_is_left_out),
        cmocka_unit_test(test_time_and_id),
        cmocka_unit_test(test_the_data_rate_is_named_as_in_lorawan),
        cmocka_unit_test(test_the_gateway_that_heard_best_is_kept),
        cmocka_unit_test(test_what_is_proven_wins),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_only_post),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
