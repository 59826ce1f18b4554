// SPDX-License-Identifier: Apache-2.0
/* Who an event is said to come from: what the request says, and what is proven. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/http/identity/speaks_for.h"
#include "lib/dialect_fixture.h"

static struct identity identity_of(const char *device, const char *speaks_for)
{
    return (struct identity){.application = MR_SLICE("farm"),
                             .device = mr_slice_of(device),
                             .speaks_for = mr_slice_of(speaks_for)};
}

static void assert_sender(struct dialect_fixture *f, const char *target, const char *application,
                          const char *device, const char *gateway)
{
    dialect_accept(f, target, "", "x");
    dialect_assert(f, "application", application);
    dialect_assert(f, "device", device);
    dialect_assert(f, "gateway", gateway);
    dialect_done(f);
}

static void test_without_authentication_the_request_says_it(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    assert_sender(&f, "/v1/c?device=d", "default", "d", NULL);
    assert_sender(&f, "/v1/c?application=a&device=d", "a", "d", NULL);
    assert_sender(&f, "/v1/c?device=gw&as=d", "default", "d", "gw");
    assert_sender(&f, "/v1/c?device=d&as=d", "default", "d", NULL);
    assert_sender(&f, "/v1/c?as=d", "default", "d", NULL);
}

static void test_what_is_proven_wins(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue, .identity = identity_of("d1", "")};
    (void)state;
    assert_sender(&f, "/v1/c", "farm", "d1", NULL);
    assert_sender(&f, "/v1/c?application=other&device=d2", "farm", "d1", NULL);
    assert_sender(&f, "/v1/c?as=d1", "farm", "d1", NULL);
    dialect_refuse(&f, 403, "as:", "/v1/c?as=d2", "", "x");
    dialect_done(&f);
}

static void test_a_gateway_speaks_for_those_it_may(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue,
                                .identity = identity_of("gw", "d1 room-*-t x*")};
    (void)state;
    assert_sender(&f, "/v1/c", "farm", "gw", NULL);
    assert_sender(&f, "/v1/c?as=d1", "farm", "d1", "gw");
    assert_sender(&f, "/v1/c?device=d1", "farm", "d1", "gw");
    assert_sender(&f, "/v1/c?as=room-7-8-t", "farm", "room-7-8-t", "gw");
    assert_sender(&f, "/v1/c?as=x", "farm", "x", "gw");
    dialect_refuse(&f, 403, "device:", "/v1/c?device=other", "", "x");
    dialect_done(&f);
    dialect_refuse(&f, 403, "as:", "/v1/c?as=room-7", "", "x");
    dialect_done(&f);
    dialect_refuse(&f, 403, "as:", "/v1/c?as=d11", "", "x");
    dialect_done(&f);
    dialect_refuse(&f, 403, "as:", "/v1/c?as=d1%20room-*-t", "", "x");
    dialect_done(&f);
}

static void test_patterns(void **state)
{
    static const struct {
        const char *speaks_for;
        const char *device;
        bool expected;
    } cases[] = {
        {"*", "anything", true},   {"a*b", "ab", true},
        {"a*b", "axxb", true},     {"a*b", "axbx", false},
        {"a*b*c", "abxbc", true},  {"a*b*c", "acb", false},
        {"", "d", false},          {" ", "d", false},
        {"a  d", "d", true},       {"**", "d", true},
        {"*a", "ba", true},        {"*a", "ab", false},
        {"d", "D", false},         {"a*a*a*a*b", "aaaa", false},
        {"gw*", "gw", true},       {"*aab", "aaaaab", true},
        {"a b", "a b", false},     {"pump-1", "pump", false},
        {"pump", "pump-1", false}, {"d", "dd", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct identity identity = identity_of("me", cases[i].speaks_for);
        if (speaks_for_allows(&identity, mr_slice_of(cases[i].device)) != cases[i].expected) {
            fail_msg("'%s' '%s'", cases[i].speaks_for, cases[i].device);
        }
        assert_true(speaks_for_allows(&identity, MR_SLICE("me")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_authentication_the_request_says_it),
        cmocka_unit_test(test_what_is_proven_wins),
        cmocka_unit_test(test_a_gateway_speaks_for_those_it_may),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
