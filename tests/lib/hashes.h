// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_HASHES_H
#define TESTS_LIB_HASHES_H

/* Hashes of the password "sesame", made by other programs. */

/* python3: crypt.crypt("sesame", "$y$j75$abcdefghijklmnop$"), and with "$2b$04$..." */
#define HASH_YESCRYPT "$y$j75$abcdefghijklmnop$dFU.f2ApBoUaQUKyhTPzezwiqMxYDv0w7QvvGQD7INB"
#define HASH_BCRYPT   "$2b$04$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW"

/* openssl passwd -6 -salt openssl sesame; -5 and -1 */
#define HASH_SHA512                                                                     \
    "$6$openssl$fkQRZkHBfRQJUuHu3xyJnQl82qtMuBYnsbwye53qmil4TATgr42xepILz0myKt4JBorSF7" \
    "aCczkuYHndDCXO3."
#define HASH_SHA256 "$5$openssl$CcqpWJsUYyVwnCt8.Zw/9glHHGFAIKQKiDXVfx6K.o8"
#define HASH_MD5    "$1$openssl$Rx5pVHBqvkAdpVlsMpJ2z0"

/* python3: crypt.crypt("slow", "$6$rounds=1000000$saltsalt$"): a check of it takes about a
 * second. */
#define HASH_SLOW                                                                          \
    "$6$rounds=1000000$saltsalt$8eozyJ9b2o6kX3kMgZ17J5ky2jI9sXqjlqkaIval5v29TV6m2e7XihkWT" \
    "8d30KQ.hIrZIBQyiEvrhaY3uKoQd0"

#endif
