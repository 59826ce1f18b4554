// SPDX-License-Identifier: Apache-2.0
/* data/lorawan/ttn-v2-uplink.json is the example of The Things Network's documentation, "HTTP
 * Integration" (https://www.thethingsnetwork.org/docs/applications/http/), without its comments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"

#define DATA      TEST_SOURCE_DIR "/tests/unit/data/lorawan/"
#define JSON_TYPE "Content-Type: application/json\r\n"
#define IDS       "\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":1"

static void accept(struct dialect_fixture *f, const char *target, const char *members)
{
    char body[4096];
    (void)snprintf(body, sizeof body, "{" IDS "%s}", members);
    dialect_request(f, "POST", target, JSON_TYPE, body);
    if (f->rc != DIALECT_EVENT) {
        fail_msg("%s: %d %s", body, f->refusal.status, f->refusal.detail);
    }
}

static void test_the_documented_uplink(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    char *body = dialect_read_file(DATA "ttn-v2-uplink.json");
    (void)state;
    dialect_accept(&f, "/ttn", JSON_TYPE, body);
    dialect_assert(&f, "application", "my-app-id");
    dialect_assert(&f, "device", "my-dev-id");
    dialect_assert(&f, "source", "/my-app-id/my-dev-id");
    dialect_assert(&f, "subject", "uplink");
    dialect_assert(&f, "time", "1970-01-01T00:00:00Z");
    dialect_assert(&f, "id", "2@1970-01-01T00:00:00Z");
    dialect_assert(&f, "datacontenttype", "application/json");
    dialect_assert_integer(&f, "lorawanport", 1);
    dialect_assert_integer(&f, "lorawancounter", 2);
    dialect_assert(&f, "lorawandeveui", "0102030405060708");
    dialect_assert(&f, "lorawandatarate", "SF7BW125");
    dialect_assert(&f, "lorawanrssi", "-25");
    dialect_assert(&f, "lorawansnr", "5");
    assert_int_equal(mr_event_count(f.event), 15); /* with specversion and type */
    assert_true(mr_slice_is(mr_event_data(f.event), mr_slice_of(body)));
    dialect_done(&f);
    free(body);
}

static void test_the_query_says_what_the_network_cannot(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    accept(&f, "/ttn?application=farm&model_id=m%201&data_schema=urn:s:1&device=x", "");
    dialect_assert(&f, "source", "/farm/d");
    dialect_assert(&f, "model", "m 1");
    dialect_assert(&f, "dataschema", "urn:s:1");
    dialect_done(&f);
}

static void test_what_is_missing_is_left_out(void **state)
{
    static const char *const names[] = {
        "id",          "time",       "lorawancounter",   "lorawandeveui", "lorawandatarate",
        "lorawanrssi", "lorawansnr", "lorawanconfirmed", "lorawanretry",  "gateway"};
    static const char *const members[] = {
        "",
        ",\"counter\":null,\"hardware_serial\":\"\",\"metadata\":null,\"is_retry\":null",
        ",\"metadata\":{\"time\":\"\",\"gateways\":[],\"data_rate\":null},\"confirmed\":false",
        ",\"metadata\":{\"gateways\":[{},{\"snr\":5},{\"rssi\":null}]}",
    };
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(members); i++) {
        accept(&f, "/ttn", members[i]);
        dialect_assert_integer(&f, "lorawanport", 1);
        for (size_t k = 0; k < MR_COUNT_OF(names); k++) {
            dialect_assert_absent(&f, names[k]);
        }
        dialect_done(&f);
    }
}

static void test_the_gateway_that_heard_best_is_kept(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    accept(&f, "/ttn",
           ",\"metadata\":{\"gateways\":[{\"rssi\":-115,\"snr\":-13.8},{\"snr\":8,\"rssi\":-9.5e1},"
           "{\"rssi\":-95,\"snr\":9},{\"snr\":10}]}");
    dialect_assert(&f, "lorawanrssi", "-9.5e1");
    dialect_assert(&f, "lorawansnr", "8");
    dialect_done(&f);
    accept(&f, "/ttn",
           ",\"metadata\":{\"gateways\":[{\"rssi\":-115,\"snr\":-13.8},{\"rssi\":-100}]}");
    dialect_assert(&f, "lorawanrssi", "-100");
    dialect_assert(&f, "lorawansnr", NULL); /* not the other one's */
    dialect_done(&f);
}

static void test_retries_and_confirmed_uplinks(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    accept(&f, "/ttn", ",\"is_retry\":true,\"confirmed\":true");
    dialect_assert_true(&f, "lorawanretry");
    dialect_assert_true(&f, "lorawanconfirmed");
    dialect_done(&f);
}

static void test_the_counter_is_kept_as_far_as_an_integer_goes(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    accept(&f, "/ttn", ",\"counter\":2147483647");
    dialect_assert_integer(&f, "lorawancounter", INT32_MAX);
    dialect_done(&f);
    accept(&f, "/ttn", ",\"counter\":4294967295,\"metadata\":{\"time\":\"2026-01-02T03:04:05Z\"}");
    dialect_assert_absent(&f, "lorawancounter");
    dialect_assert(&f, "id", "4294967295@2026-01-02T03:04:05Z");
    dialect_done(&f);
}

/* Only a time that a reader can use becomes the event's; else it is when it arrived. */
static void test_the_networks_time_is_taken_if_it_is_one(void **state)
{
    static const struct {
        const char *time;
        bool is_taken;
    } cases[] = {
        {"2019-03-24T13:08:00.809651225Z", true},
        {"2019-03-24t14:08:00+01:00", true},
        {"0001-01-01T00:00:00Z", false}, /* Go's zero */
        {"2019-02-30T13:08:00Z", false},
        {"1553432880", false},
        {"2019-03-24 13:08", false},
        {"2019-03-24T13:08:00.0000000000000000000000000000000000000000000000Z", false},
    };
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    char members[256];
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        (void)snprintf(members, sizeof members, ",\"counter\":7,\"metadata\":{\"time\":\"%s\"}",
                       cases[i].time);
        accept(&f, "/ttn", members);
        dialect_assert(&f, "time", cases[i].is_taken ? cases[i].time : NULL);
        assert_int_equal(mr_event_string(f.event, "id").ptr != NULL, cases[i].is_taken);
        dialect_done(&f);
    }
}

static void test_the_id_stays_the_same_in_a_retry(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    dialect_request(&f, "POST", "/ttn", JSON_TYPE "Idempotency-Key: \"k\"\r\n",
                    "{" IDS ",\"counter\":7,\"metadata\":{\"time\":\"2026-01-02T03:04:05Z\"}}");
    dialect_assert(&f, "id", "k"); /* said in words */
    dialect_done(&f);
}

static void test_names_and_values_may_be_escaped(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    dialect_accept(&f, "/ttn", JSON_TYPE,
                   " {\"\\u0061pp_id\":\"a\\/\\u00e9\",\"dev_id\":\"d\\ud83c\\udf21\",\"port\":1,"
                   "\"hardware_serial\":\"\\u0041B\",\"payload_fields\":{\"app_id\":1,\"a\":[{}],"
                   "\"a\":1e999},\"app_ids\":2}\r\n");
    dialect_assert(&f, "application", "a/\xc3\xa9");
    dialect_assert(&f, "device", "d\xf0\x9f\x8c\xa1");
    dialect_assert(&f, "lorawandeveui", "AB");
    dialect_done(&f);
    dialect_refuse(&f, 400, "app_id: given twice", "/ttn", JSON_TYPE,
                   "{" IDS ",\"app\\u005Fid\":\"a\"}");
    dialect_done(&f);
}

/* The webhook is a gateway: it needs leave to speak for the devices. */
static void test_what_is_proven_wins(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn,
                                .identity = {.application = MR_SLICE("farm"),
                                             .device = MR_SLICE("ttn"),
                                             .speaks_for = MR_SLICE("d*")}};
    (void)state;
    accept(&f, "/ttn?application=farm", "");
    dialect_assert(&f, "source", "/farm/d");
    dialect_assert(&f, "gateway", "ttn");
    dialect_done(&f);
    dialect_accept(&f, "/ttn", JSON_TYPE, "{\"app_id\":\"farm\",\"dev_id\":\"d\",\"port\":1}");
    dialect_assert(&f, "source", "/farm/d");
    dialect_done(&f);
    dialect_refuse(&f, 403, "app_id: not the one", "/ttn", JSON_TYPE, "{" IDS "}");
    dialect_done(&f);
    dialect_refuse(&f, 403, "application: not the one", "/ttn?application=other", JSON_TYPE,
                   "{\"app_id\":\"farm\",\"dev_id\":\"d\",\"port\":1}");
    dialect_done(&f);
    dialect_refuse(&f, 403, "dev_id:", "/ttn", JSON_TYPE,
                   "{\"app_id\":\"farm\",\"dev_id\":\"e\",\"port\":1}");
    dialect_done(&f);
}

static void test_what_is_wrong_is_refused_by_name(void **state)
{
#define BODY(body, named)                   \
    {                                       \
        "/ttn", JSON_TYPE, body, 400, named \
    }
    static const struct dialect_refused cases[] = {
        BODY("", "content: no JSON"),
        BODY("[]", "content: expected a JSON object"),
        BODY("null", "content: expected a JSON object"),
        BODY("{" IDS "", "content: no JSON: line 1, column"),
        BODY("{" IDS "} x", "content: no JSON"),
        BODY("{" IDS ",\"x\":[1,]}", "content: no JSON"),
        BODY("{" IDS ",\"x\":\"\xff\"}", "content: no JSON"),
        BODY("{}", "port: missing"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\"}", "port: missing"),
        BODY("{\"dev_id\":\"d\",\"port\":1}", "app_id: must not be empty"),
        BODY("{\"app_id\":\"a\",\"port\":1}", "dev_id: must not be empty"),
        BODY("{\"app_id\":\"\",\"dev_id\":\"d\",\"port\":1}", "app_id"),
        BODY("{\"app_id\":null,\"dev_id\":\"d\",\"port\":1}", "app_id"),
        BODY("{\"app_id\":1,\"dev_id\":\"d\",\"port\":1}", "app_id: expected a string"),
        BODY("{\"app_id\":\"a\",\"dev_id\":[\"d\"],\"port\":1}", "dev_id: expected a string"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"\\u0000\",\"port\":1}", "dev_id: must be UTF-8"),
        BODY("{\"app_id\":\"a\\n\",\"dev_id\":\"d\",\"port\":1}", "app_id: must be UTF-8"),
        BODY("{" IDS ",\"dev_id\":\"d\"}", "dev_id: given twice"),
        BODY("{" IDS ",\"dev_id\":null}", "dev_id: given twice"),
        BODY("{" IDS ",\"metadata\":{},\"metadata\":{}}", "metadata: given twice"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":256}", "port: expected an integer"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":-1}", "port: expected an integer"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":1.0}", "port: expected an integer"),
        BODY("{\"app_id\":\"a\",\"dev_id\":\"d\",\"port\":\"1\"}", "port: expected an integer"),
        BODY("{" IDS ",\"counter\":4294967296}", "counter: expected an integer"),
        BODY("{" IDS ",\"counter\":18446744073709551617}", "counter: expected an integer"),
        BODY("{" IDS ",\"counter\":{}}", "counter: expected an integer"),
        BODY("{" IDS ",\"is_retry\":\"true\"}", "is_retry: expected true or false"),
        BODY("{" IDS ",\"confirmed\":1}", "confirmed: expected true or false"),
        BODY("{" IDS ",\"hardware_serial\":\"\\u0085\"}", "hardware_serial"),
        BODY("{" IDS ",\"hardware_serial\":\"0123456789abcdef0123456789abcdef0123456789abcdef"
             "0123456789abcdef0\"}",
             "hardware_serial: expected at most 64 bytes"),
        BODY("{" IDS ",\"metadata\":[]}", "metadata: expected an object"),
        BODY("{" IDS ",\"metadata\":{\"time\":5}}", "metadata.time: expected a string"),
        BODY("{" IDS ",\"metadata\":{\"data_rate\":{}}}", "metadata.data_rate: expected a string"),
        BODY("{" IDS ",\"metadata\":{\"data_rate\":\"\\u0007\"}}", "metadata.data_rate"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":{}}}", "metadata.gateways: expected an array"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":[1]}}", "metadata.gateways: expected an array"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":[{\"rssi\":\"-1\"}]}}",
             "metadata.gateways[].rssi: expected a number"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":[{\"rssi\":1e999}]}}",
             "metadata.gateways[].rssi: expected a number"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":[{\"snr\":123456789012345678901234567890123}]}}",
             "metadata.gateways[].snr: expected a number"),
        BODY("{" IDS ",\"metadata\":{\"gateways\":[{\"snr\":1},{\"snr\":1,\"snr\":1}]}}",
             "metadata.gateways[].snr: given twice"),
        {"/ttn?model_id=", JSON_TYPE, "{" IDS "}", 400, "model_id"},
        {"/ttn?application=%ff", JSON_TYPE, "{" IDS "}", 400, "application"},
        {"/ttn?data_schema=x", JSON_TYPE, "{" IDS "}", 400, "data_schema"},
        {"/ttn", "Content-Type: json\r\n", "{" IDS "}", 400, "Content-Type"},
        {"/ttn", "Idempotency-Key:\r\n", "{" IDS "}", 400, "Idempotency-Key"},
        {0},
    };
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    dialect_refuse_each(&f, cases);
}

static void test_deep_and_long_content_is_bounded(void **state)
{
    enum { DEEP = 2000 };
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    char body[2 * DEEP + 200];
    int len = snprintf(body, sizeof body, "{" IDS ",\"payload_fields\":");
    (void)state;
    memset(body + len, '[', DEEP);
    memset(body + len + DEEP, ']', DEEP);
    body[len + 2 * DEEP] = '}';
    body[len + 2 * DEEP + 1] = '\0';
    dialect_refuse(&f, 400, "content: no JSON", "/ttn", JSON_TYPE, body);
    dialect_done(&f);
    (void)snprintf(body, sizeof body, "{\"app_id\":\"a\",\"dev_id\":\"%0*d\",\"port\":1}",
                   IDENTITY_NAME_BYTES_MAX, 0);
    dialect_accept(&f, "/ttn", JSON_TYPE, body);
    dialect_done(&f);
    (void)snprintf(body, sizeof body, "{\"app_id\":\"a\",\"dev_id\":\"%0*d\",\"port\":1}",
                   IDENTITY_NAME_BYTES_MAX + 1, 0);
    dialect_refuse(&f, 400, "device", "/ttn", JSON_TYPE, body);
    dialect_done(&f);
}

static void test_only_post(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    dialect_allow_only(&f, "/ttn", DIALECT_ALLOW_POST);
    assert_false(dialect_ttn.is_mine(MR_SLICE("/ttn/")));
    assert_false(dialect_ttn.is_mine(MR_SLICE("/ttn/v3")));
    assert_false(dialect_ttn.is_mine(MR_SLICE("/ttns")));
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_ttn};
    (void)state;
    dialect_run_out_of_memory(
        &f, "/ttn?application=a&model_id=m&data_schema=urn:s:1",
        JSON_TYPE "Idempotency-Key: \"k\"\r\n",
        "{\"app_id\":\"\\u0061\",\"dev_id\":\"d\",\"port\":1,\"counter\":1,\"is_retry\":true,"
        "\"metadata\":{\"time\":\"2026-01-02T03:04:05Z\",\"gateways\":[{\"rssi\":1,\"snr\":1}]}}",
        2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documented_uplink),
        cmocka_unit_test(test_the_query_says_what_the_network_cannot),
        cmocka_unit_test(test_what_is_missing_is_left_out),
        cmocka_unit_test(test_the_gateway_that_heard_best_is_kept),
        cmocka_unit_test(test_retries_and_confirmed_uplinks),
        cmocka_unit_test(test_the_counter_is_kept_as_far_as_an_integer_goes),
        cmocka_unit_test(test_the_networks_time_is_taken_if_it_is_one),
        cmocka_unit_test(test_the_id_stays_the_same_in_a_retry),
        cmocka_unit_test(test_names_and_values_may_be_escaped),
        cmocka_unit_test(test_what_is_proven_wins),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_deep_and_long_content_is_bounded),
        cmocka_unit_test(test_only_post),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
