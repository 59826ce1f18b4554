// SPDX-License-Identifier: Apache-2.0
#include "net/tls_hello.h"

enum {
    RECORD_HEADER_BYTES = 5,
    MESSAGE_HEADER_BYTES = 4,
    CHANGE_CIPHER_SPEC = 20, /* record types, RFC 8446 5.1 */
    HANDSHAKE = 22,
    CLIENT_HELLO = 1, /* RFC 8446 4 */
    SSL_2 = 0x80,     /* RFC 5246 E.2: the length's first bit */
};

static enum tls_hello_verdict begin_record(struct tls_hello *hello, bool is_1_3)
{
    const unsigned char *header = hello->header;
    hello->record_left = (size_t)header[3] << 8 | header[4];
    if ((header[0] & SSL_2) != 0) {
        return TLS_HELLO_MALFORMED;
    }
    if (header[0] == CHANGE_CIPHER_SPEC && !is_1_3) {
        hello->is_over = true;
    } else if (header[0] == HANDSHAKE && hello->record_left == 0) {
        return TLS_HELLO_MALFORMED;
    } else if (hello->record_left == 0) {
        hello->header_len = 0;
    }
    return TLS_HELLO_GOOD;
}

static enum tls_hello_verdict begin_message(struct tls_hello *hello)
{
    const unsigned char *header = hello->header + RECORD_HEADER_BYTES;
    if (header[0] != CLIENT_HELLO) {
        hello->is_over = true;
        return TLS_HELLO_GOOD;
    }
    hello->message_left = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    hello->announced = hello->message_left;
    return hello->message_left > TLS_HELLO_BYTES_MAX ? TLS_HELLO_TOO_LONG : TLS_HELLO_GOOD;
}

/* A byte at a time of a message's header. */
static enum tls_hello_verdict see_message_header(struct tls_hello *hello, char byte)
{
    size_t missing = TLS_HELLO_HEADER_BYTES - hello->header_len;
    if (hello->record_left < missing) {
        return TLS_HELLO_MALFORMED;
    }
    hello->header[hello->header_len++] = (unsigned char)byte;
    hello->record_left--;
    return missing == 1 ? begin_message(hello) : TLS_HELLO_GOOD;
}

/* The rest of a message, or of a record that is none of the handshake's. Returns how many. */
static size_t skip(struct tls_hello *hello, size_t len)
{
    bool is_message = hello->header[0] == HANDSHAKE;
    size_t taken = len < hello->record_left ? len : hello->record_left;
    if (is_message && taken > hello->message_left) {
        taken = hello->message_left;
    }
    hello->record_left -= taken;
    hello->message_left -= is_message ? taken : 0;
    return taken;
}

/* Behind the part of a record that was skipped, or its header. */
static void settle(struct tls_hello *hello)
{
    if (hello->record_left == 0) {
        hello->header_len = 0;
    } else if (hello->message_left == 0 && hello->header_len == TLS_HELLO_HEADER_BYTES) {
        hello->header_len = RECORD_HEADER_BYTES; /* another message of the same record */
    }
}

enum tls_hello_verdict tls_hello_see(struct tls_hello *hello, bool is_1_3, const char *bytes,
                                     size_t len)
{
    enum tls_hello_verdict verdict = TLS_HELLO_GOOD;
    size_t at = 0;
    while (at < len && !hello->is_over && verdict == TLS_HELLO_GOOD) {
        if (hello->header_len < RECORD_HEADER_BYTES) {
            hello->header[hello->header_len++] = (unsigned char)bytes[at++];
            verdict = hello->header_len == RECORD_HEADER_BYTES ? begin_record(hello, is_1_3)
                                                               : TLS_HELLO_GOOD;
        } else if (hello->header[0] == HANDSHAKE && hello->message_left == 0) {
            verdict = see_message_header(hello, bytes[at++]);
            settle(hello);
        } else {
            at += skip(hello, len - at);
            settle(hello);
        }
    }
    return verdict;
}
