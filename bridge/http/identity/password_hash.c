// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/password_hash.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>

#include "kit/mem.h"

enum {
    SHA512_DIGEST = 86, /* characters at the end */
    YESCRYPT_DIGEST = 43,
    BCRYPT_DIGEST = 53, /* salt and digest, without a separator */
    ROUNDS_DIGITS_MAX = 7,
    ROUNDS_MAX = 1000000,
    BCRYPT_COST_MAX = 14,
};

/* The kinds that others make, by what they begin with: longer beginnings before shorter ones. */
static const struct {
    const char *begin;
    const char *name;
} others[] = {
    {"$1$", "md5"},
    {"$2a$", "bcrypt of an old kind ($2a$)"},
    {"$2x$", "broken bcrypt"},
    {"$2y$", "bcrypt in PHP's spelling ($2y$; $2b$ is the same)"},
    {"$3$", "NT"},
    {"$5$", "sha256"},
    {"$7$", "scrypt"},
    {"$md5", "SunMD5"},
    {"$sha1$", "sha1"},
    {"$gy$", "gost-yescrypt"},
    {"$argon2", "argon2"},
    {"$apr1$", "Apache's md5"},
    {"{", "LDAP's spelling"},
};

const char password_hash_of_nobody[] =
    "$y$j9T$nobodynobodynobo$0000000000000000000000000000000000000000000";

struct password_room {
    struct crypt_data data;
};

struct password_room *password_room_new(void)
{
    return mem_zalloc(sizeof(struct password_room));
}

void password_room_free(struct password_room *room)
{
    mem_free(room);
}

static bool is_crypt_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '/';
}

static bool are_crypt_chars(struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_crypt_char(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The part before the next '$', which is cut off `left` with it; absent: there is none. */
static struct mr_slice next_part(struct mr_slice *left)
{
    const char *end = left->len > 0 ? memchr(left->ptr, '$', left->len) : NULL;
    struct mr_slice part;
    if (end == NULL) {
        return mr_slice(NULL, 0);
    }
    part = mr_slice(left->ptr, (size_t)(end - left->ptr));
    *left = mr_slice(end + 1, left->len - part.len - 1);
    return part;
}

static bool begins_with(struct mr_slice text, const char *start)
{
    size_t len = strlen(start);
    return text.len >= len && memcmp(text.ptr, start, len) == 0;
}

static int malformed(struct mr_error *err, const char *kind)
{
    return mr_error_set(err, MR_EFORMAT,
                        "it begins like a hash of %s, but is not a whole one (not shown)", kind);
}

static int too_costly(struct mr_error *err, const char *kind, const char *bound)
{
    return mr_error_set(err, MR_EFORMAT, "%s with so high a cost takes too long; expected %s", kind,
                        bound);
}

static bool read_number(struct mr_slice text, size_t digits_max, long *ret_number)
{
    long number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        number = i < digits_max ? number * 10 + (text.ptr[i] - '0') : ROUNDS_MAX + 1;
    }
    *ret_number = number;
    return text.len > 0;
}

/* [rounds=N$]salt$digest */
static int check_sha512(struct mr_slice rest, struct mr_error *err)
{
    struct mr_slice salt = next_part(&rest);
    if (begins_with(salt, "rounds=")) {
        long rounds;
        if (!read_number(mr_slice(salt.ptr + 7, salt.len - 7), ROUNDS_DIGITS_MAX, &rounds)) {
            return malformed(err, "sha512");
        }
        if (rounds > ROUNDS_MAX) {
            return too_costly(err, "sha512", "rounds=1000000 at most");
        }
        salt = next_part(&rest);
    }
    if (salt.len == 0 || salt.len > 16 || !are_crypt_chars(salt) || rest.len != SHA512_DIGEST ||
        !are_crypt_chars(rest)) {
        return malformed(err, "sha512");
    }
    return 0;
}

/* NN$salt-and-digest */
static int check_bcrypt(struct mr_slice rest, struct mr_error *err)
{
    struct mr_slice cost = next_part(&rest);
    long number;
    if (cost.len != 2 || !read_number(cost, 2, &number) || number < 4 ||
        rest.len != BCRYPT_DIGEST || !are_crypt_chars(rest)) {
        return malformed(err, "bcrypt");
    }
    return number > BCRYPT_COST_MAX ? too_costly(err, "bcrypt", "14 at most") : 0;
}

/* parameters$salt$digest. crypt(5): the parameters are "j", one character for the number of blocks
 * (a power of two that grows with it: '9' is 4096), and what is the block's size. */
static int check_yescrypt(struct mr_slice rest, struct mr_error *err)
{
    struct mr_slice parameters = next_part(&rest);
    struct mr_slice salt = next_part(&rest);
    if (parameters.len != 3 || parameters.ptr[0] != 'j' || !are_crypt_chars(parameters) ||
        salt.len == 0 || !are_crypt_chars(salt) || rest.len != YESCRYPT_DIGEST ||
        !are_crypt_chars(rest)) {
        return malformed(err, "yescrypt");
    }
    /* The order of the digits is ./0-9A-Za-z, which is ASCII's. */
    return parameters.ptr[1] > 'C' ? too_costly(err, "yescrypt", "a cost of 8 at most") : 0;
}

static int refuse_kind(struct mr_slice hash, struct mr_error *err)
{
    for (size_t i = 0; i < MR_COUNT_OF(others); i++) {
        if (begins_with(hash, others[i].begin)) {
            return mr_error_set(err, MR_EFORMAT,
                                "%s is not taken; expected yescrypt ($y$), sha512 ($6$) or bcrypt "
                                "($2b$)",
                                others[i].name);
        }
    }
    return mr_error_set(err, MR_EFORMAT,
                        "expected a hash of crypt(3): yescrypt ($y$), sha512 ($6$) or bcrypt "
                        "($2b$); what stands there is not shown, it may be a password");
}

int password_hash_check(struct mr_slice hash, struct mr_error *err)
{
    if (hash.len >= PASSWORD_HASH_BYTES_MAX) {
        return mr_error_set(err, MR_EFORMAT, "a hash has less than %d bytes",
                            PASSWORD_HASH_BYTES_MAX);
    }
    if (begins_with(hash, "$y$")) {
        return check_yescrypt(mr_slice(hash.ptr + 3, hash.len - 3), err);
    }
    if (begins_with(hash, "$6$")) {
        return check_sha512(mr_slice(hash.ptr + 3, hash.len - 3), err);
    }
    if (begins_with(hash, "$2b$")) {
        return check_bcrypt(mr_slice(hash.ptr + 4, hash.len - 4), err);
    }
    return refuse_kind(hash, err);
}

struct mr_slice password_hash_kind(struct mr_slice hash)
{
    struct mr_slice left = hash;
    int parts = begins_with(hash, "$6$") && !begins_with(hash, "$6$rounds=") ? 2 : 3;
    for (int i = 0; i < parts; i++) {
        (void)next_part(&left); /* what stands before the first '$' is empty */
    }
    return mr_slice(hash.ptr, hash.len - left.len);
}

bool password_verify(struct password_room *room, const char *password, const char *hash)
{
    size_t len = strlen(hash);
    const char *made = crypt_rn(password, hash, &room->data, (int)sizeof room->data);
    bool is_right = made != NULL && strlen(made) == len && CRYPTO_memcmp(made, hash, len) == 0;
    explicit_bzero(&room->data, sizeof room->data);
    return is_right;
}
