// SPDX-License-Identifier: Apache-2.0
#ifndef PROGRAM_PROGRAM_INTERNAL_H
#define PROGRAM_PROGRAM_INTERNAL_H

/* What in-tree programs and worker_program.c may know of the frame beyond the public header. */

#include <stdint.h>

#include <millrace/program.h>

#include "base/readiness.h"
#include "kafka/kafka_conf.h"

const struct kafka_conf *program_kafka_conf(const struct mr_program *program);
struct readiness *program_readiness(struct mr_program *program);

/* [admin] shutdown.deadline less what has passed since the signal, at least 0. */
int64_t program_deadline_left_ms(const struct mr_program *program);

#endif
