// SPDX-License-Identifier: Apache-2.0
#include "net/descriptors.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>

size_t descriptors_raise(void)
{
    struct rlimit limit;
    struct rlimit raised;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return SIZE_MAX;
    }
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        limit = raised;
    }
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}

size_t descriptors_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return SIZE_MAX;
    }
    return (size_t)limit.rlim_cur;
}

size_t descriptors_open(void)
{
    size_t count = 0;
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}
