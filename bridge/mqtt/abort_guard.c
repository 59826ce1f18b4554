// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/abort_guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

/* Of a thread: abort() sends the signal to the one that calls it. */
static _Thread_local sigjmp_buf way_back;
static _Thread_local volatile sig_atomic_t is_inside;

static void on_abort(int number)
{
    if (is_inside) {
        siglongjmp(way_back, 1);
    }
    (void)signal(number, SIG_DFL); /* abort() raises it once more */
}

static void install(void)
{
    static bool is_installed;
    struct sigaction action;
    if (!is_installed) {
        memset(&action, 0, sizeof action);
        action.sa_handler = on_abort;
        action.sa_flags = SA_NODEFER; /* the mask isn't restored by the jump */
        (void)sigemptyset(&action.sa_mask);
        is_installed = sigaction(SIGABRT, &action, NULL) == 0;
    }
}

bool abort_guard_call(void (*function)(void *user), void *user)
{
    install();
    if (sigsetjmp(way_back, 0) != 0) {
        is_inside = 0;
        return false;
    }
    is_inside = 1;
    function(user);
    is_inside = 0;
    return true;
}

bool abort_guard_suspend(void)
{
    bool was_up = is_inside != 0;
    is_inside = 0;
    return was_up;
}

void abort_guard_resume(bool was_up)
{
    is_inside = was_up;
}
