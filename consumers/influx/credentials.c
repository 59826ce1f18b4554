// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/credentials.h"

#include <string.h>

#include <millrace/log.h>

#include "kit/buf.h"
#include "kit/mem.h"

enum { LOG_INTERVAL_MS = 10000 };

static const char header_start[] = "Authorization: Token ";

/* Takes `secret`, also when it fails. Errors: MR_ENOMEM. */
static int set_token(struct credentials *credentials, char *secret)
{
    struct mr_buf header;
    size_t len;
    buf_init(&header, sizeof header_start + strlen(secret));
    (void)buf_add_str(&header, header_start);
    (void)buf_add_str(&header, secret);
    if (buf_add_char(&header, '\0') != 0) {
        buf_done(&header);
        mr_option_forget(secret);
        return MR_ENOMEM;
    }
    mr_option_forget(credentials->token);
    mr_option_forget(credentials->authorization);
    credentials->token = secret;
    credentials->authorization = buf_take(&header, &len);
    return 0;
}

int credentials_init(struct credentials *credentials, const struct influx_options *options)
{
    char *token;
    *credentials = (struct credentials){.options = options};
    if (options->password != NULL &&
        (credentials->password = mem_strdup(options->password)) == NULL) {
        return MR_ENOMEM;
    }
    if (options->token == NULL) {
        return 0;
    }
    token = mem_strdup(options->token);
    if (token == NULL || set_token(credentials, token) != 0) {
        credentials_done(credentials);
        return MR_ENOMEM;
    }
    return 0;
}

void credentials_done(struct credentials *credentials)
{
    mr_option_forget(credentials->password);
    mr_option_forget(credentials->token);
    mr_option_forget(credentials->authorization);
    *credentials = (struct credentials){0};
}

/* NULL: it came from no file, can't be read, or is what it was. To be freed with mr_option_forget.
 */
static char *other_secret(const char *file, const char *secret)
{
    struct mr_error err;
    char *other = NULL;
    if (file == NULL) {
        return NULL;
    }
    if (mr_option_read_again(file, &other, &err) != 0) {
        mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS,
                       "the file of influxdb's password or token can't be read again",
                       MR_STR("error", err.text));
        return NULL;
    }
    if (*other == '\0' || strcmp(other, secret) == 0) {
        mr_option_forget(other);
        return NULL;
    }
    return other;
}

bool credentials_read_again(struct credentials *credentials)
{
    char *password = other_secret(credentials->options->password_file, credentials->password);
    char *token = other_secret(credentials->options->token_file, credentials->token);
    bool is_other = password != NULL;
    if (password != NULL) {
        mr_option_forget(credentials->password);
        credentials->password = password;
    }
    if (token != NULL && !influx_is_token(token)) {
        mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS,
                       "the file of influxdb's token holds other characters than printable ASCII");
        mr_option_forget(token);
    } else if (token != NULL) {
        is_other = set_token(credentials, token) == 0 || is_other;
    }
    return is_other;
}
