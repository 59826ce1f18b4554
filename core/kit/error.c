// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <millrace/error.h>

int mr_error_set(struct mr_error *err, enum mr_code code, const char *format, ...)
{
    va_list args;
    assert(code != MR_OK);
    if (err == NULL) {
        return (int)code;
    }
    err->code = code;
    err->retriable = code == MR_ENOMEM;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return (int)code;
}

int mr_error_wrap(struct mr_error *err, const char *format, ...)
{
    char context[MR_ERROR_TEXT_BYTES];
    va_list args;
    size_t len;

    if (err == NULL) {
        return MR_EINVAL;
    }
    va_start(args, format);
    (void)vsnprintf(context, sizeof context - 3, format, args);
    va_end(args);
    len = strlen(context);
    memcpy(context + len, ": ", 2);
    len += 2;
    assert(len < sizeof err->text);
    memmove(err->text + len, err->text, sizeof err->text - len);
    memcpy(err->text, context, len);
    err->text[sizeof err->text - 1] = '\0';
    return (int)err->code;
}

int mr_error_retriable(struct mr_error *err)
{
    if (err == NULL) {
        return MR_EINVAL;
    }
    err->retriable = true;
    return (int)err->code;
}

const char *mr_code_text(enum mr_code code)
{
    switch (code) {
        case MR_OK:
            return "ok";
#define X(name, text) \
    case name:        \
        return text;
            MR_ERROR_MAP(X)
#undef X
    }
    return "unknown error";
}
