// SPDX-License-Identifier: Apache-2.0
#include "event/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>

#include <millrace/event.h>

#include "kit/ascii.h"
#include "kit/utf8.h"

/* What a byte may be part of. */
enum {
    C_UNRESERVED = 1, /* RFC 3986 2.3 */
    C_SUB_DELIM = 2,  /* RFC 3986 2.2 */
    C_COLON = 4,
    C_AT = 8,
    C_SLASH = 16,
    C_QUESTION = 32,

    C_REG_NAME = C_UNRESERVED | C_SUB_DELIM,
    C_USERINFO = C_REG_NAME | C_COLON,
    C_PLAIN_PATH = C_REG_NAME | C_AT | C_SLASH,
    C_PATH = C_REG_NAME | C_COLON | C_AT | C_SLASH,
    C_QUERY = C_PATH | C_QUESTION,
};

static const unsigned char classes[256] = {
    ['0' ... '9'] = C_UNRESERVED,
    ['A' ... 'Z'] = C_UNRESERVED,
    ['a' ... 'z'] = C_UNRESERVED,
    ['-'] = C_UNRESERVED,
    ['.'] = C_UNRESERVED,
    ['_'] = C_UNRESERVED,
    ['~'] = C_UNRESERVED,
    ['!'] = C_SUB_DELIM,
    ['$'] = C_SUB_DELIM,
    ['&'] = C_SUB_DELIM,
    ['\''] = C_SUB_DELIM,
    ['*'] = C_SUB_DELIM,
    ['+'] = C_SUB_DELIM,
    ['('] = C_SUB_DELIM,
    [')'] = C_SUB_DELIM,
    [','] = C_SUB_DELIM,
    [';'] = C_SUB_DELIM,
    ['='] = C_SUB_DELIM,
    [':'] = C_COLON,
    ['@'] = C_AT,
    ['/'] = C_SLASH,
    ['?'] = C_QUESTION,
};

static bool is_of(char c, unsigned mask)
{
    return (classes[(unsigned char)c] & mask) != 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return ascii_hex_value(c) >= 0;
}

static bool is_one_of(char c, const char *stops)
{
    while (*stops != '\0' && *stops != c) { /* a few: less than a call of strchr */
        stops++;
    }
    return *stops != '\0';
}

/* `text` before and, through `ret_rest`, from the first byte that is one of `stops`. */
static struct mr_slice cut(struct mr_slice text, const char *stops, struct mr_slice *ret_rest)
{
    size_t len = 0;
    while (len < text.len && !is_one_of(text.ptr[len], stops)) {
        len++;
    }
    *ret_rest = mr_slice(text.len == 0 ? "" : text.ptr + len, text.len - len);
    return mr_slice(text.ptr, len);
}

/* ---- names and strings ---- */

bool check_name(struct mr_slice name)
{
    if (name.len == 0 || name.len > MR_EVENT_NAME_BYTES_MAX ||
        mr_slice_is(name, MR_SLICE("data"))) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_digit(name.ptr[i]) && !(name.ptr[i] >= 'a' && name.ptr[i] <= 'z')) {
            return false;
        }
    }
    return true;
}

/* The bytes at the beginning that are ASCII, in steps of 8. */
static size_t skip_ascii(const char *at, const char *end)
{
    const char *begin = at;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += 8;
    }
    return (size_t)(at - begin);
}

bool check_utf8(struct mr_slice text)
{
    const char *at = text.ptr;
    const char *end = text.len == 0 ? at : at + text.len;
    while (at != end) {
        size_t len = skip_ascii(at, end);
        if (len == 0) {
            len = utf8_sequence(at, (size_t)(end - at));
        }
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

/* Of a well-formed sequence. */
static uint32_t code_point(const char *at, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)at;
    uint32_t point = len == 1 ? bytes[0] : bytes[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | (bytes[i] & 0x3FU);
    }
    return point;
}

static bool is_disallowed(uint32_t point)
{
    return point <= 0x1F || (point >= 0x7F && point <= 0x9F) || (point & 0xFFFEU) == 0xFFFEU ||
           (point >= 0xFDD0 && point <= 0xFDEF);
}

/* The 8 bytes are surely 0x20 to 0x7E: a byte behind one that isn't may be taken for one that
 * isn't, too. */
static bool are_printable_8(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((word | (word - ones * 0x20) | ((word ^ ones * 0x7F) - ones)) & ones * 0x80) == 0;
}

/* Nothing but 0x20 to 0x7E, which nearly all strings are. The last 8 bytes may overlap those before
 * them. */
static bool is_printable(struct mr_slice text)
{
    if (text.len >= 8) {
        for (size_t i = 0; i < text.len - 8; i += 8) {
            if (!are_printable_8(text.ptr + i)) {
                return false;
            }
        }
        return are_printable_8(text.ptr + text.len - 8);
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || (unsigned char)text.ptr[i] >= 0x7F) {
            return false;
        }
    }
    return true;
}

bool check_string(struct mr_slice text)
{
    const char *at = text.ptr;
    const char *end = text.len == 0 ? at : at + text.len;
    if (is_printable(text)) {
        return true;
    }
    while (at != end) {
        size_t len = utf8_sequence(at, (size_t)(end - at));
        if (len == 0 || is_disallowed(code_point(at, len))) {
            return false;
        }
        at += len;
    }
    return true;
}

/* ---- URIs (RFC 3986) ---- */

/* Every byte is of `mask` or belongs to a percent-encoded triplet. */
static bool is_all_of(struct mr_slice text, unsigned mask)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%') {
            if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!is_of(text.ptr[i], mask)) {
            return false;
        }
    }
    return true;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ); no percent-encoding here. */
static bool is_ip_future(struct mr_slice text)
{
    size_t i = 1;
    size_t digits_end;
    if (text.len == 0 || (text.ptr[0] != 'v' && text.ptr[0] != 'V')) {
        return false;
    }
    while (i < text.len && is_hex(text.ptr[i])) {
        i++;
    }
    digits_end = i;
    if (digits_end == 1 || i == text.len || text.ptr[i] != '.' || i + 1 == text.len) {
        return false;
    }
    for (i++; i < text.len; i++) {
        if (!is_of(text.ptr[i], C_USERINFO)) {
            return false;
        }
    }
    return true;
}

/* What stands between "[" and "]". */
static bool is_ip_literal(struct mr_slice text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (is_ip_future(text)) {
        return true;
    }
    if (text.len >= sizeof address || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(address, text.ptr, text.len);
    address[text.len] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* [ userinfo "@" ] host [ ":" port ] */
bool check_authority(struct mr_slice text)
{
    struct mr_slice rest;
    struct mr_slice userinfo = cut(text, "@", &rest);
    struct mr_slice host;
    if (rest.len > 0) {
        if (!is_all_of(userinfo, C_USERINFO)) {
            return false;
        }
        text = mr_slice(rest.ptr + 1, rest.len - 1);
    }
    if (text.len > 0 && text.ptr[0] == '[') {
        host = cut(text, "]", &rest);
        if (rest.len == 0 || !is_ip_literal(mr_slice(host.ptr + 1, host.len - 1))) {
            return false;
        }
        rest = mr_slice(rest.ptr + 1, rest.len - 1);
    } else {
        host = cut(text, ":", &rest);
        if (!is_all_of(host, C_REG_NAME)) {
            return false;
        }
    }
    for (size_t i = 1; i < rest.len; i++) {
        if (!is_digit(rest.ptr[i])) {
            return false;
        }
    }
    return rest.len == 0 || rest.ptr[0] == ':';
}

/* hier-part or relative-part, then [ "?" query ] [ "#" fragment ]. */
static bool is_after_scheme(struct mr_slice text)
{
    struct mr_slice fragment;
    struct mr_slice query;
    struct mr_slice path = cut(cut(text, "#", &fragment), "?", &query);

    if (path.len >= 2 && path.ptr[0] == '/' && path.ptr[1] == '/') {
        struct mr_slice rest;
        if (!check_authority(cut(mr_slice(path.ptr + 2, path.len - 2), "/", &rest))) {
            return false;
        }
        path = rest;
    }
    if (fragment.len > 0 && !is_all_of(mr_slice(fragment.ptr + 1, fragment.len - 1), C_QUERY)) {
        return false;
    }
    if (query.len > 0 && !is_all_of(mr_slice(query.ptr + 1, query.len - 1), C_QUERY)) {
        return false;
    }
    return is_all_of(path, C_PATH);
}

static bool is_scheme(struct mr_slice text)
{
    if (text.len == 0 || !is_alpha(text.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

/* RFC 3986 3: with a scheme; a fragment is allowed. */
static bool is_uri(struct mr_slice text)
{
    struct mr_slice rest;
    struct mr_slice scheme = cut(text, ":", &rest);
    return rest.len > 0 && is_scheme(scheme) &&
           is_after_scheme(mr_slice(rest.ptr + 1, rest.len - 1));
}

bool check_absolute_uri(struct mr_slice text)
{
    return is_uri(text) && memchr(text.ptr, '#', text.len) == NULL;
}

/* A path alone, such as /application/device, as most are: no colon that could end a scheme, no
 * authority, query, fragment, or percent-encoding. One look at each byte tells. */
static bool is_plain_path(struct mr_slice text)
{
    size_t i = 0;
    while (i < text.len && is_of(text.ptr[i], C_PLAIN_PATH)) {
        i++;
    }
    return i == text.len && (i < 2 || text.ptr[0] != '/' || text.ptr[1] != '/');
}

bool check_uri_reference(struct mr_slice text)
{
    struct mr_slice rest;
    if (is_plain_path(text)) {
        return true;
    }
    (void)cut(text, ":/?#", &rest);
    if (rest.len > 0 && rest.ptr[0] == ':') {
        /* path-noscheme: a first segment with a colon would be a scheme, so it must be one. */
        return is_uri(text);
    }
    return is_after_scheme(text);
}

/* ---- media types ---- */

static size_t skip_token(struct mr_slice text, size_t at)
{
    while (at < text.len && ascii_is_token_char((unsigned char)text.ptr[at])) {
        at++;
    }
    return at;
}

static size_t skip_blanks(struct mr_slice text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t')) {
        at++;
    }
    return at;
}

/* From behind the opening quote to behind the closing one; 0 if there is none, or a byte that a
 * quoted string can't have (RFC 9110 5.6.4). */
static size_t skip_quoted(struct mr_slice text, size_t at)
{
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        if (c == '"') {
            return at + 1;
        }
        if (c == '\\') {
            at++;
            if (at == text.len) {
                return 0;
            }
            c = (unsigned char)text.ptr[at];
        }
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return 0;
        }
    }
    return 0;
}

/* token "=" ( token / quoted-string ); 0 if it isn't one. */
static size_t skip_parameter(struct mr_slice text, size_t at)
{
    size_t end = skip_token(text, at);
    if (end == at || end == text.len || text.ptr[end] != '=') {
        return 0;
    }
    at = end + 1;
    if (at < text.len && text.ptr[at] == '"') {
        return skip_quoted(text, at + 1);
    }
    end = skip_token(text, at);
    return end == at ? 0 : end;
}

/* RFC 9110 5.6.6: *( OWS ";" OWS [ parameter ] ) */
static bool are_parameters(struct mr_slice text, size_t at)
{
    while (at < text.len) {
        at = skip_blanks(text, at);
        if (at == text.len || text.ptr[at] != ';') {
            return false;
        }
        at = skip_blanks(text, at + 1);
        if (at < text.len && text.ptr[at] != ';') {
            at = skip_parameter(text, at);
            if (at == 0) {
                return false;
            }
        }
    }
    return true;
}

bool check_media_type(struct mr_slice text)
{
    size_t slash = skip_token(text, 0);
    size_t end;
    if (slash == 0 || slash == text.len || text.ptr[slash] != '/') {
        return false;
    }
    end = skip_token(text, slash + 1);
    return end > slash + 1 && are_parameters(text, end);
}

bool check_media_type_is_json(struct mr_slice media_type)
{
    struct mr_slice subtype;
    struct mr_slice rest;
    (void)cut(media_type, "/", &rest);
    if (rest.len == 0) {
        return false;
    }
    subtype = cut(mr_slice(rest.ptr + 1, rest.len - 1), "; \t", &rest);
    if (subtype.len == 4) {
        return strncasecmp(subtype.ptr, "json", 4) == 0;
    }
    return subtype.len >= 5 && strncasecmp(subtype.ptr + subtype.len - 5, "+json", 5) == 0;
}
