// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_PASSWORD_HASH_H
#define IDENTITY_PASSWORD_HASH_H

/* Passwords as crypt(3) stores them: yescrypt ($y$), sha512 ($6$) and bcrypt ($2b$). */

#include <millrace/error.h>
#include <millrace/slice.h>

enum { PASSWORD_HASH_BYTES_MAX = 192 };

/* What a check works in: 32 KiB of crypt(3)'s. */
struct password_room;
struct password_room *password_room_new(void); /* NULL: out of memory */
void password_room_free(struct password_room *room);

/* Whether it is one of the three kinds, whole, and not so costly that a check takes more than about
 * a second. Errors: MR_EFORMAT (the text names the kind or says what was expected, never the hash).
 */
int password_hash_check(struct mr_slice hash, struct mr_error *err);

/* How costly a check is, as the hash says it: its beginning up to the salt. All hashes that have it
 * take as long. */
struct mr_slice password_hash_kind(struct mr_slice hash);

/* Whether the password belongs to the hash. Both are terminated. Takes as long as the hash wants it
 * to. Pure but for the room, which is wiped. */
bool password_verify(struct password_room *room, const char *password, const char *hash);

/* For a file without any password: of the same shape, of no password. */
extern const char password_hash_of_nobody[];

#endif
