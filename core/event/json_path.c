// SPDX-License-Identifier: Apache-2.0
#include "event/json_path.h"

#include "event/json_scan.h"
#include "kit/ascii.h"
#include "kit/utf8.h"

/* RFC 9535 2.1: integers are those that a double holds exactly. */
#define INDEX_MAX INT64_C(9007199254740991)

enum { LITERAL_BYTES_MAX = 2 * JSON_PATH_BYTES_MAX + 2 };

struct parser {
    struct mr_slice text;
    size_t at;
    struct json_path *path;
    struct mr_error *err;
};

static int refuse(const struct parser *parser, size_t at, const char *what)
{
    return mr_error_set(parser->err, MR_EFORMAT, "character %zu of the path: %s", at + 1, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(const struct parser *parser)
{
    return parser->at < parser->text.len ? parser->text.ptr[parser->at] : '\0';
}

static void skip_blanks(struct parser *parser)
{
    while (is_blank(peek(parser))) {
        parser->at++;
    }
}

static int add_step(struct parser *parser, enum json_step_kind kind, struct json_step **ret_step)
{
    struct json_path *path = parser->path;
    if (path->count == JSON_PATH_STEPS_MAX) {
        return mr_error_set(parser->err, MR_ELIMIT, "the path has more than %d steps",
                            JSON_PATH_STEPS_MAX);
    }
    *ret_step = &path->steps[path->count++];
    **ret_step = (struct json_step){.kind = kind, .name_at = path->names_len};
    return 0;
}

static bool is_name_byte(unsigned char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80 ||
           (!is_first && c >= '0' && c <= '9');
}

/* member-name-shorthand, behind the '.'. */
static int read_shorthand(struct parser *parser)
{
    size_t begin = parser->at;
    struct json_path *path = parser->path;
    struct json_step *step = NULL;
    int rc = add_step(parser, JSON_STEP_NAME, &step);
    if (rc != 0) {
        return rc;
    }
    while (is_name_byte((unsigned char)peek(parser), parser->at == begin)) {
        size_t len = utf8_sequence(parser->text.ptr + parser->at, parser->text.len - parser->at);
        if (len == 0) {
            return refuse(parser, parser->at, "malformed UTF-8");
        }
        parser->at += len;
    }
    if (parser->at == begin) {
        return refuse(parser, begin,
                      "expected a name of letters, digits and '_' (others as ['name'])");
    }
    step->name_len = (uint32_t)(parser->at - begin);
    memcpy(path->names + path->names_len, parser->text.ptr + begin, step->name_len);
    path->names_len += step->name_len;
    return 0;
}

/* The literal as JSON would write it, so that the one strict reader of strings checks and resolves
 * it. Returns its length; 0: it does not end, or has an escape of the other quote. */
static size_t as_json(struct parser *parser, char quote, char out[static LITERAL_BYTES_MAX])
{
    size_t len = 0;
    out[len++] = '"';
    while (parser->at < parser->text.len) {
        char c = parser->text.ptr[parser->at++];
        if (c == quote) {
            out[len++] = '"';
            return len;
        }
        if (c == '\\' && parser->at < parser->text.len) {
            char next = parser->text.ptr[parser->at++];
            if (quote == '\'' && next == '"') {
                return 0;
            }
            if (quote != '\'' || next != '\'') {
                out[len++] = '\\';
            }
            out[len++] = next;
            continue;
        }
        if (c == '"') {
            out[len++] = '\\';
        }
        out[len++] = c;
    }
    return 0;
}

/* A name in quotes. */
static int read_literal(struct parser *parser)
{
    char json[LITERAL_BYTES_MAX];
    size_t begin = parser->at;
    struct json_path *path = parser->path;
    struct json_scan scan;
    struct json_step *step = NULL;
    char quote = parser->text.ptr[parser->at++];
    size_t len = as_json(parser, quote, json);
    int rc = add_step(parser, JSON_STEP_NAME, &step);
    if (rc != 0) {
        return rc;
    }
    json_scan_init(&scan, mr_slice(json, len));
    if (json_scan_next(&scan) != JSON_SCAN_STRING || json_scan_next(&scan) != JSON_SCAN_END) {
        return refuse(parser, begin, "not a well-formed name in quotes");
    }
    json_scan_init(&scan, mr_slice(json, len));
    (void)json_scan_next(&scan);
    step->name_len = (uint32_t)json_scan_unescape_to(&scan, path->names + path->names_len);
    path->names_len += step->name_len;
    return 0;
}

/* int = "0" / (["-"] DIGIT1 *DIGIT) */
static int read_index(struct parser *parser)
{
    size_t begin = parser->at;
    bool is_negative = peek(parser) == '-';
    int64_t value = 0;
    size_t digits;
    struct json_step *step = NULL;
    int rc = add_step(parser, JSON_STEP_INDEX, &step);
    if (rc != 0) {
        return rc;
    }
    parser->at += is_negative;
    digits = parser->at;
    while (peek(parser) >= '0' && peek(parser) <= '9') {
        value = value * 10 + (peek(parser) - '0');
        if (value > INDEX_MAX) {
            return refuse(parser, begin, "the index is beyond 2^53-1");
        }
        parser->at++;
    }
    if (parser->at == digits) {
        return refuse(parser, parser->at, "expected an index or a name in quotes");
    }
    if (parser->text.ptr[digits] == '0' && (is_negative || parser->at > digits + 1)) {
        return refuse(parser, begin, "an index is written without zeros in front");
    }
    step->index = is_negative ? -value : value;
    return 0;
}

/* Behind the '['. */
static int read_bracket(struct parser *parser)
{
    struct json_step *step = NULL;
    int rc;
    skip_blanks(parser);
    if (peek(parser) == '\'' || peek(parser) == '"') {
        rc = read_literal(parser);
    } else if (peek(parser) == '*') {
        parser->at++;
        rc = add_step(parser, JSON_STEP_EACH, &step);
    } else {
        rc = read_index(parser);
    }
    if (rc != 0) {
        return rc;
    }
    skip_blanks(parser);
    if (peek(parser) != ']') {
        return refuse(parser, parser->at, "expected ']': a path selects one value");
    }
    parser->at++;
    return 0;
}

static int read_step(struct parser *parser)
{
    struct json_path *path = parser->path;
    char c = peek(parser);
    int rc;
    if (path->count > 0 && path->steps[path->count - 1].kind == JSON_STEP_EACH) {
        return refuse(parser, parser->at, "expected nothing after [*]");
    }
    if (c != '.' && c != '[') {
        return refuse(parser, parser->at, "expected '.', '[' or the end");
    }
    parser->at++;
    rc = c == '.' ? read_shorthand(parser) : read_bracket(parser);
    if (rc == 0) {
        path->steps[path->count - 1].end = (uint32_t)parser->at;
    }
    return rc;
}

int json_path_parse(struct mr_slice text, bool is_each, struct json_path *ret_path,
                    struct mr_error *err)
{
    struct parser parser = {.text = text, .path = ret_path, .err = err};
    char first = text.len == 0 ? '\0' : text.ptr[0];
    bool ends_with_each;
    if (text.len > JSON_PATH_BYTES_MAX) {
        parser.text.len = JSON_PATH_BYTES_MAX; /* a longer one is refused below */
    }
    if (first != '$' && first != '@') {
        return refuse(&parser, 0, "expected '$' or '@'");
    }
    ret_path->is_element = first == '@';
    ret_path->count = 0;
    ret_path->names_len = 0;
    parser.at = 1;
    while (parser.at < parser.text.len && !is_blank(peek(&parser))) {
        int rc = read_step(&parser);
        if (rc != 0) {
            return rc;
        }
    }
    if (parser.at < text.len && !is_blank(text.ptr[parser.at])) {
        return mr_error_set(err, MR_ELIMIT, "the path is longer than %d bytes",
                            JSON_PATH_BYTES_MAX);
    }
    ret_path->text = mr_slice(text.ptr, parser.at);
    ends_with_each =
        ret_path->count > 0 && ret_path->steps[ret_path->count - 1].kind == JSON_STEP_EACH;
    if (is_each && !ends_with_each) {
        return refuse(&parser, parser.at, "expected [*] at the end");
    }
    if (!is_each && ends_with_each) {
        return refuse(&parser, parser.at, "[*] selects several values, expected one");
    }
    return 0;
}
