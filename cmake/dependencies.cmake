# SPDX-License-Identifier: Apache-2.0
# Everything comes from Debian's packages and is found with pkg-config.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=2.0.2)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
if(MILLRACE_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
  pkg_check_modules(AVRO REQUIRED IMPORTED_TARGET avro-c>=1.11)
  pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
endif()
