// SPDX-License-Identifier: Apache-2.0
/* Hashes of crypt(3) that others have made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/identity/password_hash.h"
#include "lib/hashes.h"
#include "lib/heap.h"

static const char *const hashes[] = {HASH_YESCRYPT, HASH_BCRYPT, HASH_SHA512};

static void test_passwords(void **state)
{
    struct password_room *room = password_room_new();
    (void)state;
    assert_non_null(room);
    for (size_t i = 0; i < MR_COUNT_OF(hashes); i++) {
        assert_true(password_verify(room, "sesame", hashes[i]));
        assert_false(password_verify(room, "Sesame", hashes[i]));
        assert_false(password_verify(room, "sesame ", hashes[i]));
        assert_false(password_verify(room, "", hashes[i]));
    }
    assert_true(password_verify(
        room, "gr\xc3\xbcn:@ x", /* crypt.crypt("grün:@ x", "$6$rounds=1000$saltsalt$") */
        "$6$rounds=1000$saltsalt$hEvBZhIJeFYuqaDXgEMu2JfjH3SVSbhP2C8wAqlRVpLRwU8sYuXqRu.q0LKzEyiZu"
        "jPhqaU4JLkT4Qr8XQK/o0"));
    assert_false(password_verify(room, "sesame", password_hash_of_nobody));
    assert_false(password_verify(room, "sesame", "sesame"));
    assert_false(password_verify(room, "*0", "*0"));
    assert_false(password_verify(room, "", ""));
    password_room_free(room);
}

static void test_these_kinds_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(hashes); i++) {
        assert_int_equal(password_hash_check(mr_slice_of(hashes[i]), NULL), 0);
    }
    assert_int_equal(password_hash_check(mr_slice_of(HASH_SLOW), NULL), 0);
    assert_int_equal(password_hash_check(mr_slice_of(password_hash_of_nobody), NULL), 0);
}

static void test_what_a_check_costs(void **state)
{
    static const struct {
        const char *hash;
        const char *kind;
    } cases[] = {
        {"$y$j9T$salt$digest", "$y$j9T$"},
        {"$6$salt$digest", "$6$"},
        {"$6$rounds=1000$salt$digest", "$6$rounds=1000$"},
        {"$2b$10$saltanddigest", "$2b$10$"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_true(mr_slice_is(password_hash_kind(mr_slice_of(cases[i].hash)),
                                mr_slice_of(cases[i].kind)));
    }
}

static void test_others_are_refused_by_name(void **state)
{
    static const struct {
        const char *hash;
        const char *text;
    } cases[] = {
        {HASH_SHA256, "sha256"},
        {HASH_MD5, "md5"},
        {"$2y$04$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW", "$2y$"},
        {"$2a$04$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW", "$2a$"},
        {"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG", "argon2"},
        {"{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr", "LDAP"},
        {"sesame", "not shown"},
        {"", "expected"},
        {"$y$", "yescrypt"},
        {"$y$j75$abcdefghijklmnop$dFU.f2ApBoUaQUKyhTPzezwiqMxYDv0w7QvvGQD7IN", "whole"},
        {"$y$j75$abcdefghijklmnop$dFU.f2ApBoUaQUKyhTPzezwiqMxYDv0w7QvvGQD7IN:", "whole"},
        {"$y$jDT$abcdefghijklmnop$dFU.f2ApBoUaQUKyhTPzezwiqMxYDv0w7QvvGQD7INB", "cost"},
        {"$6$openssl$fkQRZ", "sha512"},
        {"$6$rounds=1000001$x$fkQRZkHBfRQJUuHu3xyJnQl82qtMuBYnsbwye53qmil4TATgr42xepILz0myKt4JBorSF"
         "7aCczkuYHndDCXO3.",
         "cost"},
        {"$6$rounds=99999999999999999999$x$fkQRZ", "cost"},
        {"$6$rounds=$x$fkQRZ", "whole"},
        {"$2b$15$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW", "cost"},
        {"$2b$03$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW", "whole"},
        {"$2b$4$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW", "whole"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct mr_error err = {0};
        const char *secret = strstr(cases[i].hash, "uuinw");
        if (password_hash_check(mr_slice_of(cases[i].hash), &err) != MR_EFORMAT ||
            strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%s': %s", cases[i].hash, err.text);
        }
        assert_true(secret == NULL || strstr(err.text, secret) == NULL);
    }
}

static void test_without_memory(void **state)
{
    (void)state;
    heap_fail_at(1);
    assert_null(password_room_new());
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_these_kinds_are_taken),
        cmocka_unit_test(test_what_a_check_costs),
        cmocka_unit_test(test_others_are_refused_by_name),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
