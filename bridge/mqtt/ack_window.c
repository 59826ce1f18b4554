// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/ack_window.h"

#include <assert.h>

void ack_window_init(struct ack_window *window, size_t messages_max, size_t bytes_max)
{
    assert(messages_max > 0 && bytes_max > 0);
    *window = (struct ack_window){.messages_max = messages_max, .bytes_max = bytes_max};
}

void ack_window_take(struct ack_window *window, size_t bytes, bool is_acknowledged,
                     bool is_unsettled)
{
    window->messages++;
    window->bytes += bytes;
    window->held += is_acknowledged ? 1 : 0;
    window->unsettled += is_unsettled ? 1 : 0;
}

void ack_window_settle(struct ack_window *window)
{
    assert(window->unsettled > 0);
    window->unsettled--;
}

void ack_window_shut(struct ack_window *window)
{
    window->is_shut = window->held > 0;
}

void ack_window_open(struct ack_window *window)
{
    window->is_shut = false;
}

bool ack_window_reads(const struct ack_window *window)
{
    return !window->is_shut && window->messages < window->messages_max &&
           window->bytes < window->bytes_max;
}

bool ack_window_writes(const struct ack_window *window)
{
    return window->held == 0 || window->unsettled == 0;
}

void ack_window_release(struct ack_window *window)
{
    assert(window->unsettled == 0);
    ack_window_abandon(window);
}

void ack_window_abandon(struct ack_window *window)
{
    window->messages = 0;
    window->bytes = 0;
    window->held = 0;
    window->is_shut = false;
}
