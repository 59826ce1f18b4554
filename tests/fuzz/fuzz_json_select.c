// SPDX-License-Identifier: Apache-2.0
/* A path selects what jansson finds there. The input is path NUL payload. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "event/json_select.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* NULL: there is nothing. */
static json_t *walk(json_t *value, const struct json_path *path)
{
    for (unsigned i = 0; i < path->count && value != NULL; i++) {
        const struct json_step *step = &path->steps[i];
        if (step->kind == JSON_STEP_NAME) {
            struct mr_slice name = json_path_name(path, step);
            value = json_is_object(value) ? json_object_getn(value, name.ptr, name.len) : NULL;
        } else {
            int64_t size = json_is_array(value) ? (int64_t)json_array_size(value) : 0;
            int64_t index = step->index < 0 ? size + step->index : step->index;
            value = index < 0 || index >= size ? NULL : json_array_get(value, (size_t)index);
        }
    }
    return value;
}

static bool is_same_scalar(const struct json_value *got, json_t *wanted)
{
    char *text = malloc(got->raw.len + 3);
    bool is_string = got->token == JSON_SCAN_STRING;
    json_t *mine;
    bool same;
    if (text == NULL) {
        abort();
    }
    text[0] = '"';
    memcpy(text + 1, got->raw.ptr, got->raw.len);
    text[got->raw.len + 1] = '"';
    mine = json_loadb(is_string ? text : text + 1, got->raw.len + (is_string ? 2 : 0),
                      JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    same = mine != NULL && json_equal(mine, wanted);
    json_decref(mine);
    free(text);
    return same;
}

static bool is_same(const struct json_value *got, json_t *wanted)
{
    switch (got->token) {
        case JSON_SCAN_END:
            return wanted == NULL;
        case JSON_SCAN_OBJECT_BEGIN:
            return json_is_object(wanted);
        case JSON_SCAN_ARRAY_BEGIN:
            return json_is_array(wanted);
        default:
            return wanted != NULL && is_same_scalar(got, wanted);
    }
}

static void check(struct json_path *path, struct mr_slice payload)
{
    struct json_select select;
    struct json_selection selection;
    struct mr_error err = {0};
    unsigned slot;
    json_t *value;
    json_selection_init(&selection);
    if (json_select_init(&select) != 0 || json_select_add(&select, path, &slot, &err) != 0) {
        abort();
    }
    if (json_select_run(&select, payload, &selection, &err) == 0) {
        /* jansson refuses some of what RFC 8259 allows: event/json_scan.h. */
        value = json_loadb(payload.ptr, payload.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (value != NULL && !is_same(&selection.values[slot], walk(value, path))) {
            fprintf(stderr, "%.*s differs\n", MR_SLICE_ARG(path->text));
            abort();
        }
        json_decref(value);
    } else if (err.code == MR_OK || err.text[0] == '\0') {
        abort();
    }
    json_selection_done(&selection);
    json_select_done(&select);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(bytes, 0, size);
    struct json_path path;
    struct mr_error err = {0};
    if (end == NULL) {
        return 0;
    }
    if (json_path_parse(mr_slice(bytes, (size_t)(end - bytes)), false, &path, &err) != 0) {
        if (err.code == MR_OK || err.text[0] == '\0') {
            abort();
        }
    } else if (!path.is_element) {
        check(&path, mr_slice(end + 1, size - (size_t)(end - bytes) - 1));
    }
    return 0;
}
