// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/authentication_options.h"

#include <millrace/log.h>

#include "bridge/http/bridge_tls.h"
#include "bridge/http/identity/certificate_names.h"
#include "bridge/http/identity/device_file.h"
#include "event/check.h"
#include "kit/slice.h"
#include "net/listener.h"

static bool takes_passwords(const struct bridge_options *options)
{
    return options->auth == BRIDGE_AUTH_BASIC || options->auth == BRIDGE_AUTH_ANY;
}

static bool takes_certificates(const struct bridge_options *options)
{
    return options->auth == BRIDGE_AUTH_CERTIFICATE || options->auth == BRIDGE_AUTH_ANY;
}

/* A line each. */
static void add_lines(struct mr_check *check, struct mr_slice lines)
{
    while (lines.len > 0) {
        struct mr_slice line = slice_cut(&lines, '\n');
        mr_check_problem(check, NULL, NULL, "%.*s", MR_SLICE_ARG(line));
    }
}

/* What is wrong in the file is told with its lines, a file that can't be read under its option. */
static void read_devices(const char *path, struct mr_check *check)
{
    struct device_problems problems;
    struct devices *devices = NULL;
    struct mr_slice text;
    int rc;
    device_problems_init(&problems);
    rc = device_file_read(path, &devices, &problems);
    text = buf_slice(&problems.text);
    if (rc == 0) {
        devices_disown(devices);
    } else if ((rc == MR_EIO || rc == MR_ELIMIT) && text.len > 0) {
        mr_check_problem(check, NULL, "devices", "%.*s", (int)text.len - 1, text.ptr);
    } else {
        add_lines(check, text);
    }
    device_problems_done(&problems);
}

static void check_devices(const struct bridge_options *options, struct mr_check *check)
{
    const char *path = bridge_file(options->devices);
    if (path == NULL && takes_passwords(options)) {
        mr_check_problem(check, NULL, "devices",
                         "must name the file with the devices and their passwords' hashes when "
                         "auth is basic or any");
    } else if (path != NULL && options->auth == BRIDGE_AUTH_NONE) {
        mr_check_problem(check, NULL, "devices",
                         "has no meaning with auth = none; set auth to basic, certificate or any");
    } else if (path != NULL && mr_check_file_name(check, NULL, "devices", path)) {
        read_devices(path, check); /* it has hashes: its content must not be shown */
    }
}

/* Options that were given, and that nothing asks for. */
static void check_unused(struct mr_check *check, const char *const *keys, const char *expected)
{
    for (; *keys != NULL; keys++) {
        if (mr_check_is_given(check, NULL, *keys)) {
            mr_check_problem(check, NULL, *keys, "has no meaning unless auth is %s", expected);
        }
    }
}

static void check_all_are_used(const struct bridge_options *options, struct mr_check *check)
{
    static const char *const of_passwords[] = {"password.checks.max", "password.cache.max",
                                               "attempts.max", "attempts.time", NULL};
    static const char *const of_certificates[] = {"certificate.device", "certificate.application",
                                                  "certificate.application.fixed", NULL};
    if (!takes_passwords(options)) {
        check_unused(check, of_passwords, "basic or any");
    }
    if (!takes_certificates(options)) {
        check_unused(check, of_certificates, "certificate or any");
    }
}

static void check_type(struct mr_check *check, const char *key, const char *value)
{
    if (value == NULL || !certificate_is_type(mr_slice_of(value))) {
        mr_check_problem(check, NULL, key,
                         "expected the type of an attribute, such as CN, O or 2.5.4.5");
    }
}

static void check_certificates(const struct bridge_options *options, struct mr_check *check)
{
    struct mr_slice fixed = mr_slice_of(options->certificate_application_fixed);
    if (options->tls_client == TLS_CLIENT_NONE && mr_check_is_right(check, NULL, "tls.client")) {
        mr_check_problem(check, NULL, "auth",
                         "%s needs tls.client = required or optional: no client is asked for a "
                         "certificate",
                         options->auth == BRIDGE_AUTH_ANY ? "any" : "certificate");
    }
    check_type(check, "certificate.device", options->certificate_device);
    check_type(check, "certificate.application", options->certificate_application);
    if (fixed.ptr != NULL && (fixed.len == 0 || !check_string(fixed))) {
        mr_check_problem(check, NULL, "certificate.application.fixed",
                         "expected the name of an application, in UTF-8 without control "
                         "characters");
    }
}

static void check_address(const struct mr_address *address, const char *key, struct mr_check *check)
{
    if (!listener_is_loopback(address) && mr_check_is_right(check, NULL, key)) {
        mr_check_problem(check, NULL, "auth",
                         "must be given with an address that others can reach (%s): basic, "
                         "certificate or any; or none, if whoever reaches it may write",
                         key);
    }
}

static void check_addresses(const struct bridge_options *options, struct mr_check *check)
{
    if (options->plain) {
        check_address(&options->listen, "listen", check);
    }
    if (bridge_tls_is_wanted(options)) {
        check_address(&options->tls_listen, "tls.listen", check);
    }
}

void authentication_options_check(const struct bridge_options *options, struct mr_check *check)
{
    if (!mr_check_is_right(check, NULL, "auth")) {
        return;
    }
    if (!mr_check_is_given(check, NULL, "auth")) {
        check_addresses(options, check);
    }
    check_devices(options, check);
    check_all_are_used(options, check);
    if (takes_certificates(options)) {
        check_certificates(options, check);
    }
}

void authentication_options_warn(const struct bridge_options *options,
                                 const struct mr_address *address, bool has_tls)
{
    char text[LISTENER_TEXT_BYTES];
    if (listener_is_loopback(address)) {
        return;
    }
    listener_format(address, text);
    if (options->auth == BRIDGE_AUTH_NONE && has_tls &&
        options->tls_client == TLS_CLIENT_REQUIRED) {
        return; /* at least only those with a certificate */
    }
    if (options->auth == BRIDGE_AUTH_NONE) {
        mr_log(MR_LOG_WARN, "nothing is authenticated: whoever reaches this address may write",
               MR_STR("address", text));
    } else if (takes_passwords(options) && !has_tls) {
        mr_log(
            MR_LOG_WARN,
            "passwords come over plain HTTP: whoever is on the way to this address can read them "
            "and write with them; use TLS",
            MR_STR("address", text));
    }
}
