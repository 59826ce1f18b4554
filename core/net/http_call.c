// SPDX-License-Identifier: Apache-2.0
#include "net/http_call.h"

#include <string.h>
#include <strings.h>

#include "kit/ascii.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { HTTP_CALL_MAGIC = 0x4854434d, TIMEOUT_MS_DEFAULT = 30000 };

void http_call_check(const struct mr_http_call *call)
{
    MAGIC_CHECK(call, HTTP_CALL_MAGIC);
}

struct mr_http_call *http_call_of(CURL *easy)
{
    struct mr_http_call *call;
    char *data = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);
    MAGIC_CAST(call, (void *)data, HTTP_CALL_MAGIC);
    return call;
}

void http_call_free(struct mr_http_call *call)
{
    if (call == NULL) {
        return;
    }
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    buf_done(&call->body);
    mem_free(call->shown);
    call->magic = 0;
    mem_free(call);
}

/* RFC 9110 5.6.2: a token. */
static bool is_token(const char *text)
{
    if (text == NULL || *text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!ascii_is_token_char((unsigned char)*text)) {
            return false;
        }
    }
    return true;
}

static bool url_has(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

/* No text of ours shows the URL before it is known that it holds no password. */
static int check_url(const char *text, struct mr_error *err)
{
    CURLU *url = curl_url();
    CURLUcode code;
    int rc = 0;
    if (url == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    code = text == NULL ? CURLUE_MALFORMED_INPUT : curl_url_set(url, CURLUPART_URL, text, 0);
    if (code == CURLUE_OUT_OF_MEMORY) {
        rc = mr_error_set(err, MR_ENOMEM, "out of memory");
    } else if (code != CURLUE_OK) {
        rc = mr_error_set(err, MR_EINVAL, "not a URL: %s", curl_url_strerror(code));
    } else if (url_has(url, CURLUPART_USER) || url_has(url, CURLUPART_PASSWORD)) {
        rc = mr_error_set(err, MR_EINVAL,
                          "a URL with user information: give user and password by themselves");
    } else if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0) {
        rc = mr_error_set(err, MR_EINVAL, "not a URL of http or https");
    }
    curl_url_cleanup(url);
    return rc;
}

static int check_request(const struct mr_http_request *request, struct mr_error *err)
{
    if (!is_token(request->method)) {
        return mr_error_set(err, MR_EINVAL, "not an HTTP method");
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const char *header = request->headers[i];
        if (strpbrk(header, "\r\n") != NULL || strchr(header, ':') == NULL) {
            return mr_error_set(err, MR_EINVAL, "header %zu is not \"Name: value\"", i + 1);
        }
    }
    return check_url(request->url, err);
}

static char *shown_of(const struct mr_http_request *request)
{
    struct mr_buf text;
    size_t len;
    buf_init(&text, strlen(request->method) + strlen(request->url) + 2);
    (void)buf_add_str(&text, request->method);
    (void)buf_add_char(&text, ' ');
    (void)buf_add(&text, request->url, strcspn(request->url, "?#"));
    if (buf_add_char(&text, '\0') != 0) {
        buf_done(&text);
        return NULL;
    }
    return buf_take(&text, &len);
}

/* CURLOPT_WRITEFUNCTION: keep what fits, take everything. */
static size_t take_body(char *bytes, size_t size, size_t count, void *user)
{
    struct mr_http_call *call;
    size_t len = size * count;
    size_t room;
    MAGIC_CAST(call, user, HTTP_CALL_MAGIC);
    room = call->body.bytes_max - call->body.len;
    if (len > room) {
        call->body_is_cut = true;
    }
    if (buf_add(&call->body, bytes, len < room ? len : room) != 0) {
        call->body_is_cut = true;
    }
    return len;
}

/* CURLOPT_HEADERFUNCTION: libcurl takes a connection that ends within the head of an answer for a
 * whole one. Each status line begins another head: there may be interim answers. */
static size_t take_header(char *bytes, size_t size, size_t count, void *user)
{
    struct mr_http_call *call;
    size_t len = size * count;
    MAGIC_CAST(call, user, HTTP_CALL_MAGIC);
    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        call->head_is_whole = false;
    } else if (len > 0 && (bytes[0] == '\r' || bytes[0] == '\n')) {
        call->head_is_whole = true;
    }
    return len;
}

static bool add_header(struct mr_http_call *call, const char *header)
{
    struct curl_slist *longer = curl_slist_append(call->headers, header);
    if (longer == NULL) {
        return false;
    }
    call->headers = longer;
    return true;
}

/* Without "Expect: 100-continue", for which libcurl would wait a second at servers that ignore it,
 * and without the content type that it makes up for a body. */
static bool add_headers(struct mr_http_call *call, const struct mr_http_request *request)
{
    bool ok = add_header(call, "Expect:");
    bool has_type = false;
    for (size_t i = 0; ok && i < request->header_count; i++) {
        has_type |= strncasecmp(request->headers[i], "content-type:", 13) == 0;
        ok = add_header(call, request->headers[i]);
    }
    return ok && (has_type || add_header(call, "Content-Type:")) &&
           curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static CURLcode set_method(CURL *easy, const struct mr_http_request *request)
{
    CURLcode code = CURLE_OK;
    if (strcmp(request->method, "HEAD") == 0) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (request->body.ptr != NULL || strcmp(request->method, "POST") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                request->body.ptr == NULL ? "" : request->body.ptr);
    }
    return code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static CURLcode set_limits(CURL *easy, const struct mr_http_client_config *config,
                           const struct mr_http_request *request)
{
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS_DEFAULT;
    CURLcode code = CURLE_OK;
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* Cancelling during a name's resolution must not wait for the resolver's thread. */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK && !config->environment_proxy) {
        code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    if (code == CURLE_OK && config->ca_file != NULL) {
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
    }
    return code;
}

static CURLcode set_texts(CURL *easy, const struct mr_http_client_config *config,
                          const struct mr_http_request *request)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, request->url);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_USERAGENT, config->user_agent);
    }
    if (code == CURLE_OK && request->user != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        code = curl_easy_setopt(easy, CURLOPT_USERNAME, request->user);
    }
    if (code == CURLE_OK && request->password != NULL) {
        code = curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password);
    }
    return code;
}

static bool set_up(struct mr_http_call *call, const struct mr_http_client_config *config,
                   const struct mr_http_request *request)
{
    call->easy = curl_easy_init();
    call->shown = shown_of(request);
    if (call->easy == NULL || call->shown == NULL) {
        return false;
    }
    (void)curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    (void)curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->curl_text);
    (void)curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    (void)curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    return set_texts(call->easy, config, request) == CURLE_OK &&
           set_method(call->easy, request) == CURLE_OK &&
           set_limits(call->easy, config, request) == CURLE_OK && add_headers(call, request);
}

int http_call_new(const struct mr_http_client_config *config, const struct mr_http_request *request,
                  struct mr_http_call **ret_call, struct mr_error *err)
{
    struct mr_http_call *call;
    int rc = check_request(request, err);
    if (rc != 0) {
        return rc;
    }
    call = mem_zalloc(sizeof *call);
    if (call == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    call->magic = HTTP_CALL_MAGIC;
    buf_init(&call->body, config->answer_bytes_max);
    if (!set_up(call, config, request)) {
        http_call_free(call);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    *ret_call = call;
    return 0;
}

static enum mr_code code_of(CURLcode code)
{
    switch (code) {
        case CURLE_OUT_OF_MEMORY:
            return MR_ENOMEM;
        case CURLE_URL_MALFORMAT:
            return MR_EINVAL;
        default:
            return MR_ENET;
    }
}

void http_call_take_code(struct mr_http_call *call, CURLcode code)
{
    const char *text = call->curl_text[0] != '\0' ? call->curl_text : curl_easy_strerror(code);
    if (code == CURLE_OK && !call->head_is_whole) {
        code = CURLE_GOT_NOTHING;
        text = "the connection ended within the head of the answer";
    }
    if (code == CURLE_OK) {
        return;
    }
    if (mr_error_set(&call->error, code_of(code), "%s: %s", call->shown, text) != MR_EINVAL) {
        (void)mr_error_retriable(&call->error);
    }
}

void http_call_answer(const struct mr_http_call *call, struct mr_http_answer *ret_answer)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > MR_HTTP_RETRY_AFTER_MS_MAX / 1000) {
        retry_after_s = MR_HTTP_RETRY_AFTER_MS_MAX / 1000;
    }
    *ret_answer = (struct mr_http_answer){
        .status = (int)status,
        .retry_after_ms = retry_after_s > 0 ? (int64_t)retry_after_s * 1000 : -1,
        .body = buf_slice(&call->body),
        .body_is_cut = call->body_is_cut,
    };
}
