// SPDX-License-Identifier: Apache-2.0
/* The URL that an operator gives for a server. libcurl takes it apart, as it will when requests are
 * made with it; what libcurl would pass over in silence is refused here. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include <millrace/http_client.h>

enum { SHOWN_BYTES_MAX = 100 };

static size_t scheme_len(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0) {
        return 7;
    }
    return strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

/* User names, passwords and tokens stand before an '@' or in the query. */
static int refuse(const char *url, const char *why, struct mr_error *err)
{
    size_t len = strcspn(url, "?#");
    if (strchr(url, '@') != NULL || len > SHOWN_BYTES_MAX) {
        return mr_error_set(err, MR_EINVAL, "%s (not shown)", why);
    }
    return mr_error_set(err, MR_EINVAL, "%s; got '%.*s%s'", why, (int)len, url,
                        url[len] == '\0' ? "" : "...");
}

static bool has(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool found = curl_url_get(parts, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return found;
}

/* libcurl takes port 0, and none behind a colon, for something else than what stands there. */
static bool has_strange_port(CURLU *parts, const char *authority)
{
    char *port = NULL;
    size_t len = strcspn(authority, "/");
    bool is_zero = curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK &&
                   strspn(port, "0") == strlen(port);
    curl_free(port);
    return is_zero || authority[len - 1] == ':';
}

static int check_parts(CURLU *parts, const char *url, struct mr_error *err)
{
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, 0);
    if (code == CURLUE_OUT_OF_MEMORY) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (code != CURLUE_OK) {
        return refuse(url, curl_url_strerror(code), err);
    }
    if (has(parts, CURLUPART_USER) || has(parts, CURLUPART_PASSWORD)) {
        return refuse(url, "holds user information; use username and password", err);
    }
    if (has_strange_port(parts, url + scheme_len(url))) {
        return refuse(url, "the port must be between 1 and 65535", err);
    }
    return 0;
}

int mr_http_base_url_check(const char *url, struct mr_error *err)
{
    size_t scheme = scheme_len(url);
    CURLU *parts;
    int rc;
    if (scheme == 0 || strcspn(url + scheme, "/?#") == 0) {
        return refuse(url, "expected http://HOST or https://HOST, with :PORT and a path or not",
                      err);
    }
    if (strpbrk(url, "?#") != NULL) {
        return refuse(url, "must have no query and no fragment", err);
    }
    parts = curl_url();
    if (parts == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    rc = check_parts(parts, url, err);
    curl_url_cleanup(parts);
    return rc;
}

/* libcurl has made 127.0.0.1 of 127.1 already, and leaves the brackets of an IPv6 address. */
static bool is_loopback(char *host)
{
    struct in_addr four;
    struct in6_addr six;
    size_t len = strlen(host);
    if (strcasecmp(host, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (len < 2 || *host != '[') {
        return false;
    }
    host[len - 1] = '\0';
    return inet_pton(AF_INET6, host + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool mr_http_base_url_is_loopback(const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool is;
    if (parts == NULL) {
        return false;
    }
    is = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
         curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_loopback(host);
    curl_free(host);
    curl_url_cleanup(parts);
    return is;
}
