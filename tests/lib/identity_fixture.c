// SPDX-License-Identifier: Apache-2.0
#include "lib/identity_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "lib/hashes.h"

enum { FLAGS_MAX = 12 };

static const char devices[] = "[device d1@farm]\npassword = " HASH_SHA512
                              "\n"
                              "[device d2@farm]\npassword = " HASH_YESCRYPT
                              "\n"
                              "[device gateway@farm]\npassword = " HASH_BCRYPT
                              "\n"
                              "speaks_for = room-* d1\n"
                              "[device plain]\npassword = " HASH_SHA512
                              "\n"
                              "[device off@farm]\npassword = " HASH_SHA512
                              "\nenabled = no\n"
                              "[device bare@farm]\n"
                              "[device slow@farm]\npassword = " HASH_SLOW "\n";

void identity_write_devices(const struct identity_fixture *f, const char *text)
{
    char next[TEMPORARY_BYTES + 16];
    FILE *file;
    (void)snprintf(next, sizeof next, "%s.next", f->path);
    file = fopen(next, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, f->path), 0);
}

void identity_start_at(struct identity_fixture *f, const char *program, const char *const *extra)
{
    char option[TEMPORARY_BYTES + 32];
    const char *flags[FLAGS_MAX + 1] = {"--http.auth=basic", option};
    int fd;
    temporary_name(f->path, "devices");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    identity_write_devices(f, devices);
    (void)snprintf(option, sizeof option, "--http.devices=%s", f->path);
    for (size_t i = 2; *extra != NULL; extra++, i++) {
        assert_true(i < FLAGS_MAX);
        flags[i] = *extra;
    }
    bridge_start_at(&f->bridge, program, flags);
}

void identity_stop(struct identity_fixture *f)
{
    bridge_stop(&f->bridge);
    (void)unlink(f->path);
}

void identity_put(int fd, const char *target, const char *user)
{
    char headers[400] = "";
    char encoded[300];
    if (user != NULL) {
        (void)EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)user,
                              (int)strlen(user));
        (void)snprintf(headers, sizeof headers, "Authorization: Basic %s\r\n", encoded);
    }
    bridge_put_event(fd, target, headers, "x");
}

int identity_open_and_put(const struct identity_fixture *f, const char *user)
{
    int fd = raw_connect(f->bridge.port);
    identity_put(fd, "/v1/c", user);
    return fd;
}

int identity_ask(const struct identity_fixture *f, const char *target, const char *user,
                 struct raw_reply *ret_reply)
{
    int fd = raw_connect(f->bridge.port);
    identity_put(fd, target, user);
    raw_get_reply(fd, ret_reply);
    (void)close(fd);
    return ret_reply->status;
}

int identity_status_of(const struct identity_fixture *f, const char *user)
{
    struct raw_reply reply;
    int status = identity_ask(f, "/v1/c", user, &reply);
    free(reply.body);
    return status;
}

void identity_wait_metric(const struct identity_fixture *f, const char *sample, long least)
{
    double until = raw_now_s() + RAW_DEADLINE_S;
    while (bridge_metric(&f->bridge, sample) < least) {
        if (raw_now_s() > until) {
            fail_msg("%s is not %ld", sample, least);
        }
    }
}

size_t identity_count_stored(struct identity_fixture *f)
{
    struct mock_records records;
    size_t count;
    mock_kafka_read(&f->bridge.mock, "events", &records);
    count = records.count;
    mock_records_free(&records);
    return count;
}
