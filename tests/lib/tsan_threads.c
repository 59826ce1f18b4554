// SPDX-License-Identifier: Apache-2.0
/* Thread sanitizer builds only: Debian's librdkafka uses C11 threads, which the sanitizer of gcc 12
 * doesn't know: their threads crash in its allocator, and their locks order nothing for it. Here
 * they become the POSIX ones (in glibc they are the same objects), which it does know. */
#if defined(__SANITIZE_THREAD__)

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#include <millrace/macros.h>

#include "lib/tsan_threads.h"

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "glibc: mtx_t is a pthread_mutex_t");
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "glibc: cnd_t is a pthread_cond_t");

const int tsan_threads_are_posix = 1;

struct start {
    thrd_start_t run;
    void *arg;
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    return (void *)(intptr_t)start.run(start.arg);
}

static int result(int rc)
{
    return rc == 0 ? thrd_success : thrd_error;
}

MR_API int thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
    struct start *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        return thrd_nomem;
    }
    *copy = (struct start){start, arg};
    return result(pthread_create(thread, NULL, run, copy));
}

MR_API int thrd_join(thrd_t thread, int *ret)
{
    void *value;
    int rc = pthread_join(thread, &value);
    if (rc == 0 && ret != NULL) {
        *ret = (int)(intptr_t)value;
    }
    return result(rc);
}

MR_API int thrd_detach(thrd_t thread)
{
    return result(pthread_detach(thread));
}

MR_API int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int rc;
    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_settype(
        &attributes, (type & mtx_recursive) != 0 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    rc = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return result(rc);
}

MR_API void mtx_destroy(mtx_t *mutex)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

MR_API int mtx_lock(mtx_t *mutex)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

MR_API int mtx_trylock(mtx_t *mutex)
{
    return pthread_mutex_trylock((pthread_mutex_t *)mutex) == 0 ? thrd_success : thrd_busy;
}

MR_API int mtx_unlock(mtx_t *mutex)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

MR_API int cnd_init(cnd_t *condition)
{
    return result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

MR_API void cnd_destroy(cnd_t *condition)
{
    (void)pthread_cond_destroy((pthread_cond_t *)condition);
}

MR_API int cnd_signal(cnd_t *condition)
{
    return result(pthread_cond_signal((pthread_cond_t *)condition));
}

MR_API int cnd_broadcast(cnd_t *condition)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

MR_API int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

MR_API int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    int rc = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return rc == ETIMEDOUT ? thrd_timedout : result(rc);
}

#endif
