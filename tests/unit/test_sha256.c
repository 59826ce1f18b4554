// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/sha256.h"

/* NIST's examples for FIPS 180-4 (SHA256.pdf, SHA2_Additional.pdf) and CAVP SHA256ShortMsg. */
static void test_nist_vectors(void **state)
{
    static const struct {
        struct mr_slice bytes;
        const char *hex;
    } rows[] = {
        {MR_SLICE_INIT(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {MR_SLICE_INIT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {MR_SLICE_INIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {MR_SLICE_INIT("\xbd"), "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
        {MR_SLICE_INIT("\xc9\x8c\x8e\x55"),
         "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"},
    };
    char hex[SHA256_HEX_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sha256_hex(rows[i].bytes, hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

/* SHA2_Additional.pdf: runs of zero bytes around the padding's edges, and a long one. */
static void test_nist_vectors_of_zeros(void **state)
{
    static const struct {
        size_t len;
        const char *hex;
    } rows[] = {
        {55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"},
        {56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"},
        {57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"},
        {64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"},
        {1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"},
        {1000000, "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025"},
    };
    char *zeros = calloc(1, 1000000);
    char hex[SHA256_HEX_BYTES];
    (void)state;
    assert_non_null(zeros);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sha256_hex(mr_slice(zeros, rows[i].len), hex);
        assert_string_equal(hex, rows[i].hex);
    }
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nist_vectors),
        cmocka_unit_test(test_nist_vectors_of_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
