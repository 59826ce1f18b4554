// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/topic_pattern.h"

#include <string.h>

#include "event/check.h"
#include "kit/mem.h"
#include "kit/slice.h"
#include "kit/utf8.h"

enum level_kind {
    LEVEL_TEXT,
    LEVEL_ONE,  /* `+`, `{name}` */
    LEVEL_REST, /* `#`, `{name...}` */
};

enum { NO_NAME = -1 };

struct level {
    enum level_kind kind;
    int name;             /* index among the names, or NO_NAME */
    struct mr_slice text; /* of LEVEL_TEXT */
};

struct topic_pattern {
    struct level *levels;
    size_t level_count;
    struct mr_slice names[TOPIC_PATTERN_NAMES_MAX];
    size_t name_count;
    char *text;   /* what the slices borrow from */
    char *filter; /* terminated */
};

/* ---- making ---------------------------------------------------------------------------------- */

struct parser {
    struct topic_pattern *pattern;
    struct mr_slice text;
    struct mr_buf filter;
    struct mr_error *err;
};

/* `at` is in the text. Characters count from 1. */
static int refuse(const struct parser *parser, const char *at, const char *what)
{
    size_t character = 1;
    for (const char *c = parser->text.ptr; c < at; c++) {
        character += !utf8_is_continuation((unsigned char)*c);
    }
    return mr_error_set(parser->err, MR_EFORMAT, "character %zu of the pattern: %s", character,
                        what);
}

static bool has_end(struct mr_slice text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

static bool has_any(struct mr_slice text, const char *characters, const char **ret_at)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(characters, text.ptr[i]) != NULL) {
            *ret_at = text.ptr + i;
            return true;
        }
    }
    return false;
}

static int add_name(struct parser *parser, struct mr_slice name, int *ret_index)
{
    struct topic_pattern *pattern = parser->pattern;
    if (!check_name(name)) {
        return refuse(parser, name.ptr,
                      "expected a name of a-z and 0-9 (64 at most, not \"data\") in the braces");
    }
    for (size_t i = 0; i < pattern->name_count; i++) {
        if (mr_slice_is(pattern->names[i], name)) {
            return refuse(parser, name.ptr, "this name stands there twice");
        }
    }
    if (pattern->name_count == TOPIC_PATTERN_NAMES_MAX) {
        return mr_error_set(parser->err, MR_ELIMIT, "more than %d names in a pattern",
                            TOPIC_PATTERN_NAMES_MAX);
    }
    *ret_index = (int)pattern->name_count;
    pattern->names[pattern->name_count++] = name;
    return 0;
}

/* `{name}` or `{name...}`; `text` begins with a brace. */
static int read_named(struct parser *parser, struct mr_slice text, struct level *level)
{
    struct mr_slice name;
    if (text.len < 2 || text.ptr[text.len - 1] != '}') {
        return refuse(parser, text.ptr, "expected a whole level such as {device} or {suffix...}");
    }
    name = mr_slice(text.ptr + 1, text.len - 2);
    level->kind = LEVEL_ONE;
    if (has_end(name, "...")) {
        level->kind = LEVEL_REST;
        name.len -= 3;
    }
    return add_name(parser, name, &level->name);
}

static int read_level(struct parser *parser, struct mr_slice text, bool is_last,
                      struct level *level)
{
    const char *at = NULL;
    int rc = 0;
    *level = (struct level){.kind = LEVEL_TEXT, .name = NO_NAME, .text = text};
    if (text.len > 0 && text.ptr[0] == '{') {
        rc = read_named(parser, text, level);
    } else if (mr_slice_is(text, MR_SLICE("+"))) {
        level->kind = LEVEL_ONE;
    } else if (mr_slice_is(text, MR_SLICE("#"))) {
        level->kind = LEVEL_REST;
    } else if (has_any(text, "+#{}", &at)) {
        rc = refuse(parser, at, "+, #, {name} and {name...} stand for whole levels");
    }
    if (rc == 0 && level->kind == LEVEL_REST && !is_last) {
        rc = refuse(parser, text.ptr, "nothing can follow # and {name...}");
    }
    return rc;
}

static void write_level(struct parser *parser, const struct level *level)
{
    struct mr_buf *filter = &parser->filter;
    switch (level->kind) {
        case LEVEL_TEXT:
            (void)buf_add_slice(filter, level->text);
            break;
        case LEVEL_ONE:
            (void)buf_add_char(filter, '+');
            break;
        case LEVEL_REST:
            (void)buf_add_char(filter, '#');
            break;
    }
}

static int read_levels(struct parser *parser)
{
    struct topic_pattern *pattern = parser->pattern;
    struct mr_slice left = parser->text;
    bool is_last = false;
    while (!is_last) {
        struct level *level = &pattern->levels[pattern->level_count++];
        struct mr_slice text;
        int rc;
        is_last = left.len == 0 || memchr(left.ptr, '/', left.len) == NULL;
        text = slice_cut(&left, '/');
        rc = read_level(parser, text, is_last, level);
        if (rc != 0) {
            return rc;
        }
        write_level(parser, level);
        if (!is_last) {
            (void)buf_add_char(&parser->filter, '/');
        }
    }
    (void)buf_add_char(&parser->filter, '\0');
    return buf_check(&parser->filter, parser->err);
}

/* What must hold before there is a level. */
static int check_whole(struct mr_slice text, size_t levels, struct mr_error *err)
{
    static const char share[] = "$share/";
    if (text.len == 0) {
        return mr_error_set(err, MR_EFORMAT, "expected a pattern such as sensors/{device}");
    }
    if (!check_string(text)) {
        return mr_error_set(err, MR_EFORMAT, "expected UTF-8 without control characters");
    }
    if (text.len >= sizeof share - 1 && memcmp(text.ptr, share, sizeof share - 1) == 0) {
        return mr_error_set(err, MR_EFORMAT,
                            "$share/ is not written here: the option `group` shares all filters");
    }
    if (text.len > TOPIC_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a pattern of more than %d bytes", TOPIC_BYTES_MAX);
    }
    if (levels > TOPIC_LEVELS_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a pattern of more than %d levels", TOPIC_LEVELS_MAX);
    }
    return 0;
}

static size_t count_levels(struct mr_slice text)
{
    size_t levels = 1;
    for (size_t i = 0; i < text.len; i++) {
        levels += text.ptr[i] == '/';
    }
    return levels;
}

static int fill(struct topic_pattern *pattern, struct mr_slice text, size_t levels,
                struct mr_error *err)
{
    struct parser parser = {.pattern = pattern, .err = err};
    size_t len;
    int rc;
    pattern->levels = mem_zalloc(levels * sizeof *pattern->levels);
    pattern->text = mem_strndup(text.ptr, text.len);
    if (pattern->levels == NULL || pattern->text == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    parser.text = mr_slice(pattern->text, text.len);
    buf_init(&parser.filter, text.len + 1); /* a wildcard is never longer than its name */
    rc = read_levels(&parser);
    if (rc == 0) {
        pattern->filter = buf_take(&parser.filter, &len);
    }
    buf_done(&parser.filter);
    return rc;
}

int topic_pattern_new(struct mr_slice text, struct topic_pattern **ret_pattern,
                      struct mr_error *err)
{
    size_t levels = count_levels(text);
    struct topic_pattern *pattern;
    int rc = check_whole(text, levels, err);
    if (rc != 0) {
        return rc;
    }
    pattern = mem_zalloc(sizeof *pattern);
    if (pattern == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    rc = fill(pattern, text, levels, err);
    if (rc != 0) {
        topic_pattern_free(pattern);
        return rc;
    }
    *ret_pattern = pattern;
    return 0;
}

void topic_pattern_free(struct topic_pattern *pattern)
{
    if (pattern == NULL) {
        return;
    }
    mem_free(pattern->levels);
    mem_free(pattern->text);
    mem_free(pattern->filter);
    mem_free(pattern);
}

/* ---- reading --------------------------------------------------------------------------------- */

size_t topic_pattern_names(const struct topic_pattern *pattern)
{
    return pattern->name_count;
}

struct mr_slice topic_pattern_name(const struct topic_pattern *pattern, size_t index)
{
    return pattern->names[index];
}

const char *topic_pattern_filter(const struct topic_pattern *pattern)
{
    return pattern->filter;
}

bool topic_pattern_has_unnamed(const struct topic_pattern *pattern)
{
    for (size_t i = 0; i < pattern->level_count; i++) {
        if (pattern->levels[i].name == NO_NAME) {
            return true;
        }
    }
    return false;
}

/* ---- matching -------------------------------------------------------------------------------- */

/* A walk over a topic's levels; the last one may be empty, which slice_cut alone wouldn't tell. */
struct walk {
    struct mr_slice left;
    bool has_more;
};

static struct walk walk_begin(struct mr_slice topic)
{
    return (struct walk){topic, true};
}

static struct mr_slice walk_next(struct walk *walk)
{
    walk->has_more = walk->left.len > 0 && memchr(walk->left.ptr, '/', walk->left.len) != NULL;
    return slice_cut(&walk->left, '/');
}

/* All levels that are left; absent if there are none, or only one that is empty. */
static struct mr_slice walk_rest(struct walk *walk)
{
    struct mr_slice rest = walk->has_more && walk->left.len > 0 ? walk->left : mr_slice(NULL, 0);
    walk->has_more = false;
    return rest;
}

/* [4.7.2] "The Server MUST NOT match Topic Filters starting with a wildcard character (# or +) with
 * Topic Names beginning with a $ character". */
static bool is_kept_from_wildcards(const struct level *first, struct mr_slice topic)
{
    return first->kind != LEVEL_TEXT && topic.ptr[0] == '$';
}

bool topic_pattern_match(const struct topic_pattern *pattern, struct mr_slice topic,
                         struct mr_slice ret_values[TOPIC_PATTERN_NAMES_MAX])
{
    struct walk walk = walk_begin(topic);
    if (topic.len == 0 || is_kept_from_wildcards(&pattern->levels[0], topic)) {
        return false;
    }
    for (size_t i = 0; i < pattern->level_count; i++) {
        const struct level *level = &pattern->levels[i];
        struct mr_slice value;
        if (level->kind == LEVEL_REST) {
            value = walk_rest(&walk);
        } else if (!walk.has_more) {
            return false;
        } else {
            value = walk_next(&walk);
        }
        if (level->kind == LEVEL_TEXT && !mr_slice_is(level->text, value)) {
            return false;
        }
        if (level->name != NO_NAME) {
            ret_values[level->name] = value;
        }
    }
    return !walk.has_more;
}

int topic_pattern_write_unnamed(const struct topic_pattern *pattern, struct mr_slice topic,
                                struct mr_buf *out)
{
    struct walk walk = walk_begin(topic);
    bool is_first = true;
    for (size_t i = 0; i < pattern->level_count; i++) {
        const struct level *level = &pattern->levels[i];
        struct mr_slice value = level->kind == LEVEL_REST ? walk_rest(&walk) : walk_next(&walk);
        if (level->name == NO_NAME && value.ptr != NULL) {
            if (!is_first) {
                (void)buf_add_char(out, '/');
            }
            (void)buf_add_slice(out, value);
            is_first = false;
        }
    }
    return out->failed;
}

/* ---- filters --------------------------------------------------------------------------------- */

static bool takes_level(struct mr_slice outer, struct mr_slice inner, bool is_first)
{
    if (!mr_slice_is(outer, MR_SLICE("+"))) {
        return mr_slice_is(outer, inner);
    }
    return !mr_slice_is(inner, MR_SLICE("#")) &&
           !(is_first && inner.len > 0 && inner.ptr[0] == '$');
}

/* Where `inner` takes no level above its `#`, since no topic is empty [4.7.3]. */
static bool covers_shortest(const char *outer, const char *inner)
{
    if (strcmp(inner, "#") == 0) {
        return strcmp(outer, "+/#") == 0;
    }
    return strcmp(inner, "/#") == 0 && (strcmp(outer, "/+/#") == 0 || strcmp(outer, "+/+/#") == 0);
}

bool topic_filter_covers(const char *outer, const char *inner)
{
    struct walk one = walk_begin(mr_slice_of(outer));
    struct walk other = walk_begin(mr_slice_of(inner));
    bool is_first = true;
    if (covers_shortest(outer, inner)) {
        return true;
    }
    while (one.has_more) {
        struct mr_slice level = walk_next(&one);
        if (mr_slice_is(level, MR_SLICE("#"))) {
            return !(is_first && inner[0] == '$'); /* the level above it, too */
        }
        if (!other.has_more || !takes_level(level, walk_next(&other), is_first)) {
            return false;
        }
        is_first = false;
    }
    return !other.has_more;
}

/* A level that both may have. */
static bool share_level(struct mr_slice one, struct mr_slice other, bool is_first)
{
    bool is_any = mr_slice_is(one, MR_SLICE("+"));
    bool is_other_any = mr_slice_is(other, MR_SLICE("+"));
    if (is_any && is_other_any) {
        return true;
    }
    if (is_any || is_other_any) {
        struct mr_slice text = is_any ? other : one;
        return !(is_first && text.len > 0 && text.ptr[0] == '$');
    }
    return mr_slice_is(one, other);
}

/* What is left of one may be nothing. */
static bool takes_nothing_more(struct walk *walk)
{
    return !walk->has_more || mr_slice_is(walk_next(walk), MR_SLICE("#"));
}

bool topic_filters_overlap(const char *one, const char *other)
{
    struct walk a = walk_begin(mr_slice_of(one));
    struct walk b = walk_begin(mr_slice_of(other));
    bool is_first = true;
    while (a.has_more && b.has_more) {
        struct mr_slice level_a = walk_next(&a);
        struct mr_slice level_b = walk_next(&b);
        bool is_rest = mr_slice_is(level_a, MR_SLICE("#"));
        if (is_rest || mr_slice_is(level_b, MR_SLICE("#"))) {
            struct mr_slice text = is_rest ? level_b : level_a;
            return !(is_first && text.len > 0 && text.ptr[0] == '$');
        }
        if (!share_level(level_a, level_b, is_first)) {
            return false;
        }
        is_first = false;
    }
    return takes_nothing_more(&a) && takes_nothing_more(&b);
}

bool topic_filter_takes(const char *filter, struct mr_slice topic)
{
    struct walk levels = walk_begin(mr_slice_of(filter));
    struct walk walk = walk_begin(topic);
    if (topic.len == 0 || ((filter[0] == '+' || filter[0] == '#') && topic.ptr[0] == '$')) {
        return false;
    }
    while (levels.has_more) {
        struct mr_slice level = walk_next(&levels);
        if (mr_slice_is(level, MR_SLICE("#"))) {
            return true;
        }
        if (!walk.has_more) {
            return false;
        }
        if (!mr_slice_is(walk_next(&walk), level) && !mr_slice_is(level, MR_SLICE("+"))) {
            return false;
        }
    }
    return !walk.has_more;
}
