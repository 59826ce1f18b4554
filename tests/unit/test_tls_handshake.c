// SPDX-License-Identifier: Apache-2.0
/* The server's end against OpenSSL's client, in memory: what a handshake comes to. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/tls_pair.h"

/* The alert that the client has been sent, RFC 8446 6; 0: none. */
static int alert_of(struct tls_pair *pair)
{
    char byte;
    int rc = SSL_read(pair->client, &byte, 1);
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_REASON(error);
    assert_true(rc <= 0);
    ERR_clear_error();
    return reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
}

/* RFC 8446 6.2: 70 is protocol_version, 40 handshake_failure. */
static void test_old_versions_and_suites_are_refused(void **state)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    static const char *const suites[] = {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                                         "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"};
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        pair_make(&pair, f->context, versions[i]);
        assert_int_not_equal(pair_shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        pair_done(&pair);
    }
    for (size_t i = 0; i < MR_COUNT_OF(suites); i++) {
        pair_make(&pair, f->context, TLS1_2_VERSION);
        assert_int_equal(SSL_set_cipher_list(pair.client, suites[i]), 1);
        assert_int_not_equal(pair_shake_hands(f, &pair), 1);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        pair_done(&pair);
    }
}

/* The client's order doesn't count: the cheapest that both have is taken. But who puts ChaCha first
 * has no AES in its processor. */
static void test_the_server_chooses_the_suite(void **state)
{
    static const struct {
        const char *offer;
        const char *chosen;
    } cases[] = {
        {"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-"
         "SHA256",
         "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
         "ECDHE-ECDSA-CHACHA20-POLY1305"},
    };
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct tls_pair pair;
        pair_make(&pair, f->context, TLS1_2_VERSION);
        assert_int_equal(SSL_set_cipher_list(pair.client, cases[i].offer), 1);
        assert_int_equal(pair_shake_hands(f, &pair), 1);
        assert_string_equal(SSL_get_cipher_name(pair.client), cases[i].chosen);
        pair_done(&pair);
    }
}

/* RFC 7301 3.2; 120 is no_application_protocol. */
static void test_alpn(void **state)
{
    static const struct {
        const char *offer;
        unsigned len;
        const char *chosen; /* NULL: refused */
    } cases[] = {
        {"", 0, ""},
        {"\x08http/1.1", 9, "http/1.1"},
        {"\x02h2\x08http/1.1", 12, "http/1.1"},
        {"\x02h2", 3, NULL},
        {"\x08http/1.0", 9, NULL},
        {"\x09http/1.1x", 10, NULL},
    };
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        const unsigned char *chosen;
        unsigned len;
        struct tls_pair pair;
        int rc;
        pair_make(&pair, f->context, TLS1_2_VERSION);
        if (cases[i].len > 0) {
            assert_int_equal(SSL_set_alpn_protos(pair.client, (const unsigned char *)cases[i].offer,
                                                 cases[i].len),
                             0);
        }
        rc = pair_shake_hands(f, &pair);
        SSL_get0_alpn_selected(pair.client, &chosen, &len);
        if (cases[i].chosen != NULL) {
            assert_int_equal(rc, 1);
            assert_int_equal(len, strlen(cases[i].chosen));
            assert_memory_equal(chosen, cases[i].chosen, len);
        } else {
            assert_int_not_equal(rc, 1);
            assert_int_equal(tls_stream_outcome(pair.stream), TLS_MISMATCH);
        }
        pair_done(&pair);
    }
}

/* Half a megabyte is announced, in a record of its own as RFC 8446 4 and 5.1 have it. */
static const char long_hello[] = {0x16, 3, 3, 0, 4, 1, 8, 0, 0};

/* 47 is illegal_parameter. OpenSSL would make room for 128 KiB. */
static void test_a_long_hello_is_not_waited_for(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    pair_make(&pair, f->context, TLS1_3_VERSION);
    (void)SSL_do_handshake(pair.client);
    pair_feed(f, &pair, long_hello, sizeof long_hello);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
    assert_int_equal(tls_stream_outcome(pair.stream), TLS_ERROR);
    pair_carry_to_client(&pair);
    (void)SSL_do_handshake(pair.client);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_AD_REASON_OFFSET + 47);
    pair_done(&pair);
}

/* A client whose first key share isn't ours is asked for another hello (RFC 8446 4.1.4). */
static void test_a_second_hello(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    for (int is_long = 0; is_long < 2; is_long++) {
        pair_make(&pair, f->context, TLS1_3_VERSION);
        pair.piece = 7;
        assert_int_equal(SSL_set1_groups_list(pair.client, "P-521:X25519"), 1);
        (void)SSL_do_handshake(pair.client);
        ERR_clear_error();
        pair_carry_to_server(f, &pair);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_HANDSHAKING);
        assert_true(tls_stream_out(pair.stream)->len > 0);
        if (is_long) {
            pair_feed(f, &pair, long_hello, sizeof long_hello);
            assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
            assert_string_equal(tls_stream_reason(pair.stream),
                                "a ClientHello of more than 16 KiB is announced");
        } else {
            pair_carry_to_client(&pair);
            assert_int_equal(pair_shake_hands(f, &pair), 1);
            assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
        }
        pair_done(&pair);
    }
}

/* In TLS 1.2 a client may ask for it; the answer is no (RFC 5246 7.2.2, no_renegotiation). */
static void test_renegotiation_is_refused(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    pair_make(&pair, f->context, TLS1_2_VERSION);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    assert_int_equal(SSL_get_secure_renegotiation_support(pair.client), 1);
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    (void)SSL_do_handshake(pair.client);
    ERR_clear_error();
    pair_carry_to_server(f, &pair);
    pair_carry_to_client(&pair);
    (void)SSL_do_handshake(pair.client);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    pair_done(&pair);
}

/* RFC 4514 2.1: the last part comes first; 2.4: '#' at the beginning, '+', '"' and ',' are escaped.
 */
static void test_the_subject_of_the_client(void **state)
{
    struct tls_fixture *f = *state;
    struct mr_slice subject;
    struct tls_pair pair;
    pair_make(&pair, f->optional, TLS1_3_VERSION);
    pair_show_certificate(&pair, &f->client);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
    subject = tls_stream_subject(pair.stream);
    assert_true(mr_slice_is(subject, MR_SLICE("CN=\\#d1\\+\\\"x\\\",O=M\xc3\xbchle\\, Nord,C=DE")));
    pair_done(&pair);
    pair_make(&pair, f->optional, TLS1_3_VERSION);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
    assert_null(tls_stream_subject(pair.stream).ptr);
    pair_done(&pair);
}

/* Also where none is asked for: one that is shown must be right. RFC 8446 6.2: 45 is
 * certificate_expired, 48 unknown_ca. */
static void test_certificates_that_are_not_accepted(void **state)
{
    struct tls_fixture *f = *state;
    struct cert stranger;
    struct cert expired;
    const struct {
        const struct cert *cert;
        int alert;
        const char *reason;
    } cases[] = {{&stranger, 48, "self-signed certificate"},
                 {&expired, 45, "certificate has expired"}};
    cert_make(&stranger, &(struct cert_spec){.common_name = "Test CA"});
    cert_make(&expired, &(struct cert_spec){
                            .common_name = "old", .issuer = &f->ca, .from_s = -7200, .to_s = -60});
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct tls_pair pair;
        pair_make(&pair, f->optional, TLS1_3_VERSION);
        pair_show_certificate(&pair, cases[i].cert);
        (void)pair_shake_hands(f, &pair);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
        assert_int_equal(tls_stream_outcome(pair.stream), TLS_BAD_CERTIFICATE);
        assert_string_equal(tls_stream_reason(pair.stream), cases[i].reason);
        assert_int_equal(alert_of(&pair), cases[i].alert);
        assert_null(tls_stream_subject(pair.stream).ptr);
        pair_done(&pair);
    }
    cert_done(&stranger);
    cert_done(&expired);
}

/* The session that the client has been given, to go on with. */
static SSL_SESSION *take_session(struct tls_pair *pair)
{
    char byte;
    (void)SSL_read(pair->client, &byte, 1); /* in TLS 1.3 tickets follow the handshake */
    ERR_clear_error();
    /* As if it had ended well: OpenSSL forgets the others. */
    SSL_set_shutdown(pair->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return SSL_get1_session(pair->client);
}

/* Whether a session that began with `first` is resumed with `second`. */
static bool is_resumed(struct tls_fixture *f, const struct tls_context *first,
                       const struct tls_context *second, int version)
{
    struct tls_pair pair;
    SSL_SESSION *session;
    bool resumed;
    pair_make(&pair, first, version);
    pair_show_certificate(&pair, &f->client);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    session = take_session(&pair);
    pair_done(&pair);
    pair_make(&pair, second, version);
    assert_int_equal(SSL_set_session(pair.client, session), 1);
    assert_int_equal(pair_shake_hands(f, &pair), 1);
    resumed = SSL_session_reused(pair.client) == 1;
    assert_int_equal(tls_stream_subject(pair.stream).ptr != NULL, resumed);
    SSL_SESSION_free(session);
    pair_done(&pair);
    return resumed;
}

/* A ticket keeps the certificate's subject; another context takes none of it. */
static void test_a_ticket_is_good_for_its_own_context(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_fixture *f = *state;
    struct tls_context *other = tls_fixture_context(f, TLS_CLIENT_OPTIONAL);
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        assert_true(is_resumed(f, f->optional, f->optional, versions[i]));
        assert_false(is_resumed(f, f->optional, other, versions[i]));
    }
    tls_context_unref(other);
}

/* Ended since the session began: no resumption, but a whole handshake, with a new certificate. */
static void test_a_ticket_does_not_outlive_the_certificate(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        struct cert brief;
        struct tls_pair pair;
        SSL_SESSION *session;
        cert_make(&brief, &(struct cert_spec){.common_name = "d1", .issuer = &f->ca, .to_s = 2});
        pair_make(&pair, f->optional, versions[i]);
        pair_show_certificate(&pair, &brief);
        assert_int_equal(pair_shake_hands(f, &pair), 1);
        assert_true(mr_slice_is(tls_stream_subject(pair.stream), MR_SLICE("CN=d1")));
        session = take_session(&pair);
        pair_done(&pair);
        while (X509_cmp_current_time(X509_get0_notAfter(brief.x509)) > 0) {
            (void)poll(NULL, 0, 10);
        }
        pair_make(&pair, f->optional, versions[i]);
        pair_show_certificate(&pair, &f->client);
        assert_int_equal(SSL_set_session(pair.client, session), 1);
        assert_int_equal(pair_shake_hands(f, &pair), 1);
        assert_int_equal(SSL_session_reused(pair.client), 0);
        assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_OPEN);
        assert_false(mr_slice_is(tls_stream_subject(pair.stream), MR_SLICE("CN=d1")));
        SSL_SESSION_free(session);
        pair_done(&pair);
        cert_done(&brief);
    }
}

static void test_the_client_does_not_trust_us(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_pair pair;
    pair_make(&pair, f->context, TLS1_3_VERSION);
    SSL_set_verify(pair.client, SSL_VERIFY_PEER, NULL);
    (void)pair_shake_hands(f, &pair);
    assert_int_equal(tls_stream_state(pair.stream), TLS_STREAM_FAILED);
    assert_int_equal(tls_stream_outcome(pair.stream), TLS_ALERT);
    assert_string_equal(tls_stream_reason(pair.stream), "tlsv1 alert unknown ca");
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_versions_and_suites_are_refused),
        cmocka_unit_test(test_the_server_chooses_the_suite),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_a_long_hello_is_not_waited_for),
        cmocka_unit_test(test_a_second_hello),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_the_subject_of_the_client),
        cmocka_unit_test(test_certificates_that_are_not_accepted),
        cmocka_unit_test(test_a_ticket_is_good_for_its_own_context),
        cmocka_unit_test(test_a_ticket_does_not_outlive_the_certificate),
        cmocka_unit_test(test_the_client_does_not_trust_us),
    };
    return cmocka_run_group_tests(tests, tls_fixture_make, tls_fixture_done);
}
