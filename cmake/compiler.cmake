# SPDX-License-Identifier: Apache-2.0
# One interface target carries every flag of ours; third-party headers are SYSTEM.
add_library(millrace_flags INTERFACE)
target_compile_definitions(millrace_flags INTERFACE _GNU_SOURCE)
target_compile_options(millrace_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
  -Wcast-align -Wvla -Wwrite-strings -Wimplicit-fallthrough -fno-common -fstack-protector-strong
  -fvisibility=hidden)
if(MILLRACE_WERROR)
  target_compile_options(millrace_flags INTERFACE -Werror)
endif()
if(MILLRACE_SANITIZE)
  target_compile_options(millrace_flags INTERFACE
    -fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
else()
  target_link_options(millrace_flags INTERFACE -Wl,-z,relro,-z,now)
  if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(millrace_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
endif()
if(MILLRACE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "MILLRACE_FUZZ needs clang: configure with CC=clang")
  endif()
  target_compile_options(millrace_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# millrace_program(NAME sources...): a program on top of the library, installed to bin.
function(millrace_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE millrace millrace_flags)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
