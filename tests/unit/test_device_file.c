// SPDX-License-Identifier: Apache-2.0
/* The devices file: what it says, all that is wrong with it, and what is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/identity/device_file.h"
#include "bridge/http/identity/password_hash.h"
#include "kit/mem.h"
#include "lib/hashes.h"
#include "lib/heap.h"

static int parse_bytes(struct mr_slice text, struct devices **ret_devices,
                       struct device_problems *problems)
{
    char *bytes = mem_strndup(text.ptr, text.len);
    device_problems_init(problems);
    if (bytes == NULL) {
        return MR_ENOMEM;
    }
    return device_file_parse(bytes, text.len, "d.conf", ret_devices, problems);
}

static struct devices *parse(const char *text)
{
    struct devices *devices = NULL;
    struct device_problems problems;
    if (parse_bytes(mr_slice_of(text), &devices, &problems) != 0) {
        fail_msg("%.*s", MR_SLICE_ARG(buf_slice(&problems.text)));
    }
    device_problems_done(&problems);
    return devices;
}

static void assert_device(const struct devices *devices, const char *application, const char *name,
                          const char *hash, const char *speaks_for)
{
    struct device device;
    assert_true(devices_find(devices, mr_slice_of(application), mr_slice_of(name), &device));
    assert_true(mr_slice_is(device.identity.application, mr_slice_of(application)));
    assert_true(mr_slice_is(device.identity.device, mr_slice_of(name)));
    assert_true(mr_slice_is(device.identity.speaks_for, mr_slice_of(speaks_for)));
    assert_true(mr_slice_is(device.hash, mr_slice_of(hash)));
    assert_int_equal(device.hash.ptr == NULL, hash == NULL);
}

static bool is_there(const struct devices *devices, const char *application, const char *name)
{
    struct device device;
    return devices_find(devices, mr_slice_of(application), mr_slice_of(name), &device);
}

static void test_what_a_file_says(void **state)
{
    struct devices *devices = parse(
        "\xEF\xBB\xBF# devices\r\n"
        "[device sensor-1@farm]\r\n"
        "password = " HASH_SHA512
        "   ; made in May\r\n"
        "\r\n"
        "[device gateway@farm] ; the barn's\n"
        "password=" HASH_YESCRYPT
        "\n"
        "\tspeaks_for =  room-*\tpump  x\n"
        "  [device \t plain name ]\n"
        "enabled = no\n"
        "[device a@b@c]\n"
        "[device gr\xc3\xbcn@farm]\n"
        "enabled = yes");
    struct device device;
    (void)state;
    assert_int_equal(devices->count, 5);
    assert_device(devices, "farm", "sensor-1", HASH_SHA512, "");
    assert_device(devices, "farm", "gateway", HASH_YESCRYPT, "room-* pump  x");
    assert_device(devices, "default", "plain name", NULL, "");
    assert_device(devices, "c", "a@b", NULL, "");
    assert_device(devices, "farm", "gr\xc3\xbcn", NULL, "");
    assert_false(is_there(devices, "default", "sensor-1"));
    assert_false(is_there(devices, "farm", "sensor-"));
    assert_false(is_there(devices, "farm", "sensor-10"));
    assert_false(is_there(devices, "farm", ""));
    assert_true(devices_find(devices, MR_SLICE("default"), MR_SLICE("plain name"), &device));
    assert_false(device.is_enabled);
    assert_true(devices_find(devices, MR_SLICE("farm"), MR_SLICE("gr\xc3\xbcn"), &device));
    assert_true(device.is_enabled);
    devices_disown(devices);
}

static void test_an_empty_file(void **state)
{
    struct devices *devices = parse("");
    (void)state;
    assert_int_equal(devices->count, 0);
    assert_false(is_there(devices, "a", "b"));
    assert_true(mr_slice_is(devices_hash_for_unknown(devices, MR_SLICE("a"), MR_SLICE("b")),
                            mr_slice_of(password_hash_of_nobody)));
    devices_disown(devices);
}

/* Exactly these lines. */
static void assert_problems(struct mr_slice text, const char *expected)
{
    struct devices *devices;
    struct device_problems problems;
    assert_int_equal(parse_bytes(text, &devices, &problems), MR_EFORMAT);
    if (!mr_slice_is(buf_slice(&problems.text), mr_slice_of(expected))) {
        fail_msg("%.*s", MR_SLICE_ARG(buf_slice(&problems.text)));
    }
    device_problems_done(&problems);
}

static void test_all_that_is_wrong_is_told_at_once(void **state)
{
    static const char text[] =
        "password = x\n"
        "[devices d]\n"
        "[device ]\n"
        "[device @a]\n"
        "[device d@]\n"
        "[device d\n"
        "[device d] e\n"
        "[device \xff]\n"
        "[device d@a]\n"
        "password: secret\n"
        "secret = x\n"
        "password = secret\n"
        "enabled = maybe\n"
        "enabled = yes\n"
        "speaks_for =\n"
        "[device e]\n"
        "[device e@default]\n"
        "password = " HASH_SHA256 "\n";
    (void)state;
    assert_problems(
        MR_SLICE(text),
        "d.conf:1: a key before the first [device NAME@APPLICATION]\n"
        "d.conf:2: expected [device NAME@APPLICATION]\n"
        "d.conf:3: the device's name is empty; expected [device NAME@APPLICATION]\n"
        "d.conf:4: the device's name is empty; expected [device NAME@APPLICATION]\n"
        "d.conf:5: the application's name is empty; expected [device NAME@APPLICATION]\n"
        "d.conf:6: expected ']' after the section's name\n"
        "d.conf:7: expected nothing after ']'\n"
        "d.conf:8: the device's name must be UTF-8 without control characters\n"
        "d.conf:10: expected 'key = value', '[device NAME@APPLICATION]' or a comment\n"
        "d.conf:11: an unknown key (not shown); expected password, speaks_for or enabled\n"
        "d.conf:12: password: expected a hash of crypt(3): yescrypt ($y$), sha512 ($6$) or bcrypt "
        "($2b$); what stands there is not shown, it may be a password\n"
        "d.conf:13: enabled: expected yes or no\n"
        "d.conf:14: enabled: given twice\n"
        "d.conf:15: speaks_for: expected devices' names separated by blanks, an asterisk for any "
        "characters\n"
        "d.conf:18: password: sha256 is not taken; expected yescrypt ($y$), sha512 ($6$) or bcrypt "
        "($2b$)\n"
        "d.conf:17: the device of line 16 once more\n");
}

static void test_hostile_bytes(void **state)
{
    static char line[20 * 1024];
    (void)state;
    assert_problems(mr_slice("[device a\0b]\n", 13),
                    "d.conf:1: the device's name must be UTF-8 without control characters\n");
    assert_problems(mr_slice("[device a]\nspeaks_for = b\0c\n", 28),
                    "d.conf:2: speaks_for: expected devices' names separated by blanks, an "
                    "asterisk for any characters\n");
    memset(line, 'a', sizeof line);
    assert_problems(mr_slice(line, sizeof line), "d.conf:1: the line is longer than 16384 bytes\n");
    memcpy(line, "[device ", 8);
    line[2000] = ']';
    line[2001] = '\n';
    assert_problems(mr_slice(line, 2002), "d.conf:1: the device's name has more than 1024 bytes\n");
}

static void test_problems_are_bounded(void **state)
{
    static char text[4 * 1000];
    struct devices *devices;
    struct device_problems problems;
    size_t lines = 0;
    (void)state;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 4 == 3 ? '\n' : 'x';
    }
    assert_int_equal(parse_bytes(mr_slice(text, sizeof text), &devices, &problems), MR_EFORMAT);
    assert_int_equal(problems.count, 1000);
    for (size_t i = 0; i < problems.text.len; i++) {
        lines += problems.text.ptr[i] == '\n';
    }
    assert_int_equal(lines, DEVICE_PROBLEMS_MAX + 1);
    device_problems_done(&problems);
}

/* Their checks take as long as those of known ones: whatever kinds there are, and each name always
 * the same. */
static void test_unknown_names_are_checked_against_known_hashes(void **state)
{
    struct devices *devices = parse("[device a]\npassword = " HASH_YESCRYPT
                                    "\n"
                                    "[device b]\n"
                                    "[device c]\npassword = " HASH_SHA512 "\n");
    unsigned kinds[2] = {0};
    (void)state;
    for (int i = 0; i < 200; i++) {
        char name[16];
        struct mr_slice hash, again;
        (void)snprintf(name, sizeof name, "n%d", i);
        hash = devices_hash_for_unknown(devices, MR_SLICE("x"), mr_slice_of(name));
        again = devices_hash_for_unknown(devices, MR_SLICE("x"), mr_slice_of(name));
        assert_true(mr_slice_is(hash, again));
        kinds[0] += mr_slice_is(hash, mr_slice_of(HASH_YESCRYPT));
        kinds[1] += mr_slice_is(hash, mr_slice_of(HASH_SHA512));
    }
    assert_int_equal(kinds[0] + kinds[1], 200);
    assert_in_range(kinds[0], 40, 160);
    devices_disown(devices);
}

/* Otherwise a name whose time changes with a new file would be known for unknown. */
static void test_unknown_names_keep_their_kind(void **state)
{
    static const char *const texts[] = {
        "[device a]\npassword = " HASH_YESCRYPT "\n[device b]\npassword = " HASH_SHA512
        "\n"
        "[device c]\npassword = " HASH_SHA512 "\n",
        /* in another order, with one more of a kind, whose power of two stays */
        "[device b]\npassword = " HASH_SHA512 "\n[device e]\npassword = " HASH_SHA512
        "\n"
        "[device c]\npassword = " HASH_SHA512 "\n[device a]\npassword = " HASH_YESCRYPT "\n",
    };
    struct devices *first = parse(texts[0]);
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        struct devices *later = parse(texts[i]);
        for (int j = 0; j < 200; j++) {
            char name[16];
            (void)snprintf(name, sizeof name, "n%d", j);
            assert_true(
                mr_slice_is(devices_hash_for_unknown(first, MR_SLICE("x"), mr_slice_of(name)),
                            devices_hash_for_unknown(later, MR_SLICE("x"), mr_slice_of(name))));
        }
        devices_disown(later);
    }
    devices_disown(first);
}

static void test_many_are_found(void **state)
{
    enum { COUNT = 20000 };
    struct mr_buf text;
    struct devices *devices;
    char name[32];
    (void)state;
    buf_init(&text, COUNT * 64);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(buf_addf(&text, "[device d%d@a%d]\n", i * 7919 % COUNT, i % 3), 0);
    }
    assert_int_equal(buf_add_char(&text, '\0'), 0);
    devices = parse(text.ptr);
    assert_int_equal(devices->count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char application[4];
        (void)snprintf(name, sizeof name, "d%d", i * 7919 % COUNT);
        (void)snprintf(application, sizeof application, "a%d", i % 3);
        assert_true(is_there(devices, application, name));
        assert_false(is_there(devices, "a4", name));
    }
    devices_disown(devices);
    buf_done(&text);
}

static void test_without_memory(void **state)
{
    static const char text[] = "[device a]\npassword = " HASH_SHA512 "\n[device b@c]\n";
    (void)state;
    for (unsigned n = 1;; n++) {
        struct devices *devices = NULL;
        struct device_problems problems;
        int rc;
        heap_fail_at(n);
        rc = parse_bytes(MR_SLICE(text), &devices, &problems);
        device_problems_done(&problems);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            devices_disown(devices);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_a_file_that_can_not_be_read(void **state)
{
    struct devices *devices;
    struct device_problems problems;
    (void)state;
    device_problems_init(&problems);
    assert_int_equal(device_file_read("/nonexistent/d.conf", &devices, &problems), MR_EIO);
    assert_int_equal(device_file_read("/", &devices, &problems), MR_EIO);
    assert_int_equal(device_file_read("/dev/zero", &devices, &problems), MR_EIO);
    assert_true(
        mr_slice_is(buf_slice(&problems.text),
                    MR_SLICE("/nonexistent/d.conf: can't read it: No such file or directory\n"
                             "/: can't read it: it is not a regular file\n"
                             "/dev/zero: can't read it: it is not a regular file\n")));
    device_problems_done(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_file_says),
        cmocka_unit_test(test_an_empty_file),
        cmocka_unit_test(test_all_that_is_wrong_is_told_at_once),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_problems_are_bounded),
        cmocka_unit_test(test_unknown_names_are_checked_against_known_hashes),
        cmocka_unit_test(test_unknown_names_keep_their_kind),
        cmocka_unit_test(test_many_are_found),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_a_file_that_can_not_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
