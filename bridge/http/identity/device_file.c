// SPDX-License-Identifier: Apache-2.0
/* Happy path: the whole file is read into memory -> line by line -> each section is an entry that
 * points into those bytes -> an index of the names; two of one name are a problem. */
#include "bridge/http/identity/device_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/options.h"
#include "base/options_text.h"
#include "bridge/http/identity/password_hash.h"
#include "event/check.h"
#include "kit/mem.h"
#include "kit/slice.h"

enum {
    LINE_BYTES_MAX = 16 * 1024,
    PROBLEM_BYTES = 600,
    PROBLEMS_BYTES_MAX = (DEVICE_PROBLEMS_MAX + 1) * PROBLEM_BYTES,
    NAME_SHOWN_BYTES = 100,
    FIRST_CAPACITY = 64,
};

struct reader {
    const char *name;
    uint32_t line;
    struct devices *devices;
    struct device_entry *entry; /* of the section; NULL: none, or one that can't be used */
    bool is_in_section;
    bool has_password, has_speaks_for, has_enabled;
    bool is_out_of_memory;
    struct device_problems *problems;
};

void device_problems_init(struct device_problems *problems)
{
    problems->count = 0;
    buf_init(&problems->text, PROBLEMS_BYTES_MAX);
}

void device_problems_done(struct device_problems *problems)
{
    buf_done(&problems->text);
}

static void add_problem(struct device_problems *problems, char *text)
{
    problems->count++;
    if (problems->count <= DEVICE_PROBLEMS_MAX) {
        options_make_harmless(text);
        (void)buf_addf(&problems->text, "%s\n", text);
    } else if (problems->count == DEVICE_PROBLEMS_MAX + 1) {
        (void)buf_add_str(&problems->text, "and more\n");
    }
}

static void problem_at(struct reader *reader, uint32_t line, const char *format, ...)
    MR_PRINTF(3, 4);
static void problem_at(struct reader *reader, uint32_t line, const char *format, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;
    int len = snprintf(text, sizeof text, "%.300s:%u: ", reader->name, line);
    va_start(args, format);
    (void)vsnprintf(text + len, sizeof text - (size_t)len, format, args);
    va_end(args);
    add_problem(reader->problems, text);
}

static struct device_entry *add_entry(struct reader *reader)
{
    struct devices *devices = reader->devices;
    if (devices->count == devices->capacity) {
        uint32_t capacity = devices->capacity == 0 ? FIRST_CAPACITY : devices->capacity * 2;
        struct device_entry *entries =
            mem_realloc(devices->entries, capacity * sizeof *devices->entries);
        if (entries == NULL) {
            reader->is_out_of_memory = true;
            return NULL;
        }
        devices->entries = entries;
        devices->capacity = capacity;
    }
    devices->entries[devices->count] =
        (struct device_entry){.line = reader->line, .is_enabled = true};
    return &devices->entries[devices->count++];
}

static uint32_t offset_of(const struct reader *reader, struct mr_slice text)
{
    return (uint32_t)(text.ptr - reader->devices->bytes);
}

static bool is_name(struct reader *reader, const char *what, struct mr_slice text)
{
    if (text.len == 0) {
        problem_at(reader, reader->line,
                   "the %s's name is empty; expected [device NAME@APPLICATION]", what);
    } else if (text.len > IDENTITY_NAME_BYTES_MAX) {
        problem_at(reader, reader->line, "the %s's name has more than %d bytes", what,
                   IDENTITY_NAME_BYTES_MAX);
    } else if (!check_string(text)) {
        problem_at(reader, reader->line, "the %s's name must be UTF-8 without control characters",
                   what);
    } else {
        return true;
    }
    return false;
}

static void begin_device(struct reader *reader, struct mr_slice name)
{
    struct mr_slice device, application;
    identity_split(name, &device, &application);
    if (!is_name(reader, "device", device) ||
        (application.ptr != NULL && !is_name(reader, "application", application))) {
        return;
    }
    if (reader->devices->count == DEVICES_MAX) {
        problem_at(reader, reader->line, "more than %d devices", DEVICES_MAX);
        return;
    }
    reader->entry = add_entry(reader);
    if (reader->entry != NULL) {
        reader->entry->device_at = offset_of(reader, device);
        reader->entry->device_len = (uint16_t)device.len;
        reader->entry->application_at =
            application.ptr == NULL ? 0 : offset_of(reader, application);
        reader->entry->application_len = (uint16_t)application.len;
    }
}

/* `line` begins with '['. */
static void read_section(struct reader *reader, struct mr_slice line)
{
    static const struct mr_slice word = MR_SLICE_INIT("device");
    const char *end = memchr(line.ptr, ']', line.len);
    struct mr_slice inside, rest;
    reader->entry = NULL;
    reader->is_in_section = true;
    reader->has_password = reader->has_speaks_for = reader->has_enabled = false;
    if (end == NULL) {
        problem_at(reader, reader->line, "expected ']' after the section's name");
        return;
    }
    inside = mr_slice(line.ptr + 1, (size_t)(end - line.ptr) - 1);
    rest = slice_trim(mr_slice(end + 1, line.len - inside.len - 2));
    if (rest.len > 0 && rest.ptr[0] != ';' && rest.ptr[0] != '#') {
        problem_at(reader, reader->line, "expected nothing after ']'");
    } else if (inside.len <= word.len || memcmp(inside.ptr, word.ptr, word.len) != 0 ||
               !slice_is_blank(inside.ptr[word.len])) {
        problem_at(reader, reader->line, "expected [device NAME@APPLICATION]");
    } else {
        begin_device(reader, slice_trim(mr_slice(inside.ptr + word.len, inside.len - word.len)));
    }
}

static void read_password(struct reader *reader, struct mr_slice value)
{
    struct mr_error err;
    if (password_hash_check(value, &err) != 0) {
        problem_at(reader, reader->line, "password: %s", err.text);
        return;
    }
    reader->entry->hash_at = offset_of(reader, value);
    reader->entry->hash_len = (uint16_t)value.len;
}

static void read_speaks_for(struct reader *reader, struct mr_slice value)
{
    char *own = reader->devices->bytes + offset_of(reader, value);
    for (size_t i = 0; i < value.len; i++) {
        own[i] = slice_is_blank(own[i]) ? ' ' : own[i];
    }
    if (value.len == 0 || !check_string(value)) {
        problem_at(reader, reader->line,
                   "speaks_for: expected devices' names separated by blanks, an asterisk for any "
                   "characters");
        return;
    }
    reader->entry->speaks_for_at = offset_of(reader, value);
    reader->entry->speaks_for_len = (uint16_t)value.len;
}

static void read_enabled(struct reader *reader, struct mr_slice value)
{
    if (mr_slice_is(value, MR_SLICE("no"))) {
        reader->entry->is_enabled = false;
    } else if (!mr_slice_is(value, MR_SLICE("yes"))) {
        problem_at(reader, reader->line, "enabled: expected yes or no");
    }
}

static void take_value(struct reader *reader, struct mr_slice key, struct mr_slice value)
{
    static const struct {
        struct mr_slice key;
        void (*read)(struct reader *reader, struct mr_slice value);
    } keys[] = {
        {MR_SLICE_INIT("password"), read_password},
        {MR_SLICE_INIT("speaks_for"), read_speaks_for},
        {MR_SLICE_INIT("enabled"), read_enabled},
    };
    bool *const given[] = {&reader->has_password, &reader->has_speaks_for, &reader->has_enabled};
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        if (!mr_slice_is(key, keys[i].key)) {
            continue;
        }
        if (*given[i]) {
            problem_at(reader, reader->line, "%.*s: given twice", MR_SLICE_ARG(key));
            return;
        }
        *given[i] = true;
        if (reader->entry != NULL) {
            keys[i].read(reader, value);
        }
        return;
    }
    problem_at(reader, reader->line,
               "an unknown key (not shown); expected password, speaks_for or enabled");
}

static void read_line(struct reader *reader, struct mr_slice raw)
{
    struct mr_slice line;
    const char *equals;
    if (raw.len > 0 && raw.ptr[raw.len - 1] == '\r') {
        raw.len--;
    }
    line = slice_trim(raw);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';') {
        return;
    }
    if (raw.len > LINE_BYTES_MAX) {
        problem_at(reader, reader->line, "the line is longer than %d bytes", LINE_BYTES_MAX);
        return;
    }
    if (line.ptr[0] == '[') {
        read_section(reader, line);
        return;
    }
    equals = memchr(line.ptr, '=', line.len);
    if (equals == NULL) {
        problem_at(reader, reader->line,
                   "expected 'key = value', '[device NAME@APPLICATION]' or a "
                   "comment");
    } else if (!reader->is_in_section) {
        problem_at(reader, reader->line, "a key before the first [device NAME@APPLICATION]");
    } else {
        size_t key_len = (size_t)(equals - line.ptr);
        struct mr_slice value = slice_trim(mr_slice(equals + 1, line.len - key_len - 1));
        take_value(reader, slice_trim(mr_slice(line.ptr, key_len)), options_cut_comment(value));
    }
}

static void read_lines(struct reader *reader, struct mr_slice bytes)
{
    if (bytes.len >= 3 && memcmp(bytes.ptr, "\xEF\xBB\xBF", 3) == 0) {
        bytes = mr_slice(bytes.ptr + 3, bytes.len - 3);
    }
    while (bytes.len > 0 && !reader->is_out_of_memory) {
        reader->line++;
        read_line(reader, slice_cut(&bytes, '\n'));
    }
}

static void find_doubles(struct reader *reader)
{
    const struct devices *devices = reader->devices;
    for (uint32_t i = 0; i < devices->count; i++) {
        struct device device = devices_at(devices, i);
        uint32_t first =
            devices_index_of(devices, device.identity.application, device.identity.device);
        if (first != i) {
            problem_at(reader, devices->entries[i].line, "the device of line %u once more",
                       devices->entries[first].line);
        }
    }
}

int device_file_parse(char *bytes, size_t len, const char *name, struct devices **ret_devices,
                      struct device_problems *problems)
{
    struct reader reader = {.name = name, .problems = problems, .devices = devices_new()};
    if (reader.devices == NULL) {
        mem_free(bytes);
        (void)buf_add_str(&problems->text, "out of memory\n");
        problems->count++;
        return MR_ENOMEM;
    }
    reader.devices->bytes = bytes;
    reader.devices->bytes_len = len;
    read_lines(&reader, mr_slice(bytes, len));
    if (reader.is_out_of_memory || devices_finish(reader.devices) != 0) {
        problem_at(&reader, reader.line, "out of memory");
        devices_disown(reader.devices);
        return MR_ENOMEM;
    }
    find_doubles(&reader);
    if (problems->count > 0) {
        devices_disown(reader.devices);
        return MR_EFORMAT;
    }
    *ret_devices = reader.devices;
    return 0;
}

static int file_problem(struct device_problems *problems, const char *path, int code,
                        const char *what)
{
    char text[PROBLEM_BYTES];
    (void)snprintf(text, sizeof text, "%.300s: can't read it: %s", path, what);
    add_problem(problems, text);
    return code;
}

/* The size at the start counts: what is written meanwhile is a change, and read anew. */
static int read_bytes(int fd, char *bytes, size_t len, size_t *ret_len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t n = read(fd, bytes + at, len - at);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    *ret_len = at;
    return 0;
}

static int read_open_file(int fd, const char *path, struct devices **ret_devices,
                          struct device_problems *problems)
{
    struct stat stat;
    char *bytes;
    size_t len = 0;
    int rc;
    if (fstat(fd, &stat) != 0) {
        return file_problem(problems, path, MR_EIO, strerror(errno));
    }
    if (!S_ISREG(stat.st_mode)) {
        return file_problem(problems, path, MR_EIO, "it is not a regular file");
    }
    if (stat.st_size > DEVICES_FILE_BYTES_MAX) {
        return file_problem(problems, path, MR_ELIMIT, "it is larger than 256 MiB");
    }
    bytes = mem_alloc((size_t)stat.st_size + 1);
    if (bytes == NULL) {
        return file_problem(problems, path, MR_ENOMEM, "out of memory");
    }
    rc = read_bytes(fd, bytes, (size_t)stat.st_size, &len);
    if (rc != 0) {
        explicit_bzero(bytes, (size_t)stat.st_size);
        mem_free(bytes);
        return file_problem(problems, path, MR_EIO, strerror(rc));
    }
    return device_file_parse(bytes, len, path, ret_devices, problems);
}

int device_file_read(const char *path, struct devices **ret_devices,
                     struct device_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc;
    if (fd < 0) {
        return file_problem(problems, path, MR_EIO, strerror(errno));
    }
    rc = read_open_file(fd, path, ret_devices, problems);
    (void)close(fd);
    return rc;
}
