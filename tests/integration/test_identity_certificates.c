// SPDX-License-Identifier: Apache-2.0
/* Who may send, by client certificates: millrace-http with TLS between OpenSSL's client and the
 * mock cluster. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"
#include "lib/hashes.h"
#include "lib/tls_client.h"

enum { FLAG_BYTES = 300, FLAGS_MAX = 12 };

/* printf 'd1@farm:sesame' | base64; the other is wrong */
#define RIGHT "Authorization: Basic ZDFAZmFybTpzZXNhbWU=\r\n"
#define WRONG "Authorization: Basic ZDFAZmFybTp4\r\n"

struct fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct bridge_fixture f;
};

static void start(struct fixture *t, const char *devices, const char *const *extra)
{
    static char certificate[FLAG_BYTES], key[FLAG_BYTES], client_ca[FLAG_BYTES], file[FLAG_BYTES];
    const char *flags[FLAGS_MAX + 1] = {certificate, key, client_ca, file};
    (void)signal(SIGPIPE, SIG_IGN);
    cert_folder_make(&t->folder);
    cert_make(&t->ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&t->server, &(struct cert_spec){.common_name = "localhost", .issuer = &t->ca});
    cert_write(cert_path(&t->folder, "server.pem"), &t->server, NULL);
    cert_write_key(cert_path(&t->folder, "server.key"), &t->server, NULL);
    cert_write(cert_path(&t->folder, "ca.pem"), &t->ca, NULL);
    cert_write_text(cert_path(&t->folder, "devices.conf"), devices);
    (void)snprintf(certificate, FLAG_BYTES, "--http.tls.certificate=%.150s/server.pem",
                   t->folder.path);
    (void)snprintf(key, FLAG_BYTES, "--http.tls.key=%.150s/server.key", t->folder.path);
    (void)snprintf(client_ca, FLAG_BYTES, "--http.tls.client.ca=%.150s/ca.pem", t->folder.path);
    (void)snprintf(file, FLAG_BYTES, "--http.devices=%.150s/devices.conf", t->folder.path);
    for (size_t i = 4; *extra != NULL; extra++, i++) {
        assert_true(i < FLAGS_MAX);
        flags[i] = *extra;
    }
    bridge_start_tls(&t->f, flags);
}

static void stop(struct fixture *t)
{
    bridge_stop(&t->f);
    cert_done(&t->ca);
    cert_done(&t->server);
    cert_folder_remove(&t->folder);
}

/* `subject` NULL: without a certificate. The content of a refusal must hold `text`, if it isn't
 * NULL. */
static void expect(const struct fixture *t, int status, const char *text,
                   const char *const *subject, const char *target, const char *headers)
{
    struct tls_client client;
    struct tls_client_spec spec = {.ca = &t->ca};
    struct raw_reply reply;
    struct cert cert;
    char request[500];
    if (subject != NULL) {
        cert_make(&cert, &(struct cert_spec){.subject = subject, .issuer = &t->ca, .serial = 7});
        spec.cert = &cert;
    }
    tls_client_open(&client, t->f.port, &spec);
    (void)snprintf(request, sizeof request,
                   "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: 1\r\n\r\nx", target, headers);
    tls_client_put(&client, request);
    tls_client_get_reply(&client, &reply);
    assert_int_equal(reply.status, status);
    if (text != NULL && strstr(reply.body, text) == NULL) {
        fail_msg("not '%s' but: %s", text, reply.body);
    }
    free(reply.body);
    tls_client_close(&client);
    if (subject != NULL) {
        cert_done(&cert);
    }
}

static const char *const d1[] = {"O", "farm", "CN", "d1", NULL};
static const char *const gateway[] = {"O", "farm", "CN", "gw", NULL};
static const char *const off[] = {"O", "farm", "CN", "off", NULL};
static const char *const special[] = {"O", "f, \"a\" + b", "CN", " #gr\xc3\xbcn=1 ", NULL};
static const char *const no_device[] = {"O", "farm", "OU", "x", NULL};
static const char *const no_application[] = {"CN", "d1", NULL};
static const char *const nothing[] = {NULL};
static const char *const two_names[] = {"O", "farm", "CN", "d1", "CN", "d2", NULL};

static void test_the_subject_is_the_device(void **state)
{
    static const char *const flags[] = {"--http.auth=certificate", "--http.tls.client=optional",
                                        NULL};
    struct fixture t;
    struct mock_records records;
    (void)state;
    start(&t, "[device gw@farm]\nspeaks_for = room-*\n[device off@farm]\nenabled = no\n", flags);
    expect(&t, 202, NULL, d1, "/v1/own?device=d9&application=other", "");
    expect(&t, 202, NULL, gateway, "/v1/for?as=room-7", "");
    expect(&t, 202, NULL, special, "/v1/special", "");
    expect(&t, 403, "may not send", off, "/v1/no", "");
    expect(&t, 403, "as:", d1, "/v1/no?as=d2", "");
    expect(&t, 403, "no CN", no_device, "/v1/no?device=d1", "");
    expect(&t, 403, "no O", no_application, "/v1/no", "");
    expect(&t, 403, "CN is there twice", two_names, "/v1/no", "");
    expect(&t, 403, "no CN", nothing, "/v1/no?device=d1", "");
    expect(&t, 403, "expected a client certificate", NULL, "/v1/no?device=d1", RIGHT);
    mock_kafka_read(&t.f.mock, "events", &records);
    assert_int_equal(records.count, 3);
    bridge_assert_sender(&records, "own", "farm", "d1", NULL);
    bridge_assert_sender(&records, "for", "farm", "room-7", "gw");
    bridge_assert_sender(&records, "special", "f, \"a\" + b", " #gr\xc3\xbcn=1 ", NULL);
    mock_records_free(&records);
    assert_int_equal(
        bridge_metric(&t.f, "millrace_http_authentications_total{outcome=\"certificate\"}"), 4);
    stop(&t);
}

static void test_other_rules(void **state)
{
    static const char *const flags[] = {"--http.auth=certificate",
                                        "--http.tls.client=required",
                                        "--http.certificate.device=ou",
                                        "--http.certificate.application.fixed=all of them",
                                        "--http.devices=" /* an empty name is none */,
                                        NULL};
    struct fixture t;
    struct mock_records records;
    (void)state;
    start(&t, "", flags);
    expect(&t, 202, NULL, no_device, "/v1/own", "");
    expect(&t, 403, "no ou", d1, "/v1/no", "");
    mock_kafka_read(&t.f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    bridge_assert_sender(&records, "own", "all of them", "x", NULL);
    mock_records_free(&records);
    stop(&t);
}

static void test_either(void **state)
{
    static const char *const flags[] = {"--http.auth=any", "--http.tls.client=optional", NULL};
    struct fixture t;
    struct mock_records records;
    (void)state;
    start(&t, "[device d1@farm]\npassword = " HASH_SHA512 "\n", flags);
    expect(&t, 202, NULL, NULL, "/v1/password", RIGHT);
    expect(&t, 202, NULL, gateway, "/v1/certificate", "");
    expect(&t, 202, NULL, gateway, "/v1/both", RIGHT); /* the header is looked at first */
    expect(&t, 401, "no device of this name", gateway, "/v1/no", WRONG);
    expect(&t, 401, "expected a client certificate, over TLS, or Authorization", NULL, "/v1/no",
           "");
    mock_kafka_read(&t.f.mock, "events", &records);
    assert_int_equal(records.count, 3);
    bridge_assert_sender(&records, "password", "farm", "d1", NULL);
    bridge_assert_sender(&records, "certificate", "farm", "gw", NULL);
    bridge_assert_sender(&records, "both", "farm", "d1", NULL);
    mock_records_free(&records);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_subject_is_the_device),
        cmocka_unit_test(test_other_rules),
        cmocka_unit_test(test_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
