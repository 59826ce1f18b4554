// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_ROUTES_FIXTURE_H
#define TESTS_LIB_ROUTES_FIXTURE_H

/* Routes out of a configuration, and what a message becomes by them. Only for programs that link
 * the MQTT bridge. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/options_internal.h"
#include "bridge/mqtt/routes.h"

struct routes_fixture_target {
    struct routes_options routes;
};

struct routes_fixture {
    struct routes_fixture_target target;
    struct options *options;
    struct routes *routes;
};

/* `conf` must be right as far as the options alone can tell. */
static inline void routes_fixture_read(struct routes_fixture *f, const char *conf)
{
    static const struct mr_option table[] = {ROUTES_OPTIONS(struct routes_fixture_target, routes),
                                             MR_OPTION_END};
    static const struct mr_option_group groups[] = {{table, 0}};
    static const struct options_spec spec = {
        .program = "millrace-mqtt", .section = "mqtt", .groups = groups, .group_count = 1};
    *f = (struct routes_fixture){0};
    f->options = options_new(&spec, &f->target);
    assert_non_null(f->options);
    options_read_bytes(f->options, "t.conf", mr_slice_of(conf));
    assert_int_equal(options_problem_count(f->options), 0);
}

static inline void routes_fixture_begin(struct routes_fixture *f, const char *conf)
{
    struct mr_error err = {0};
    routes_fixture_read(f, conf);
    if (routes_new(&f->target.routes, "events", &f->routes, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static inline void routes_fixture_end(struct routes_fixture *f)
{
    routes_free(f->routes);
    options_free(f->options);
}

#endif
