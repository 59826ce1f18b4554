// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_AVRO_ORACLE_H
#define TESTS_LIB_AVRO_ORACLE_H

/* avro-c with schemas/cloudevent.avsc, as the other opinion on our Avro. One record at a time:
 *     oracle_required(); ... oracle_attribute(); ... value = oracle_branch(&oracle.data, 2); ...
 *     bytes = oracle_end();
 * Anything that fails fails the test. Only valid data goes here: avro-c leaks on the other. */

#include <avro.h>
#include <stddef.h>

#include <millrace/event.h>

enum { ORACLE_BYTES_MAX = 1 << 20 };

struct oracle {
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t record;
    avro_value_t attributes;
    avro_value_t data; /* the union */
    char bytes[ORACLE_BYTES_MAX];
};

extern struct oracle oracle;

/* The root of the sources, TEST_SOURCE_DIR; set before oracle_setup. */
extern const char *oracle_source_dir;

/* Group fixtures. */
int oracle_setup(void **state);
int oracle_teardown(void **state);

/* A file below the sources' root, at most 64 KiB, to be freed. */
char *oracle_read_file(const char *name, size_t *ret_len);

/* Begin a record; with the four required attributes (id 1, source /s, type t). */
void oracle_begin(void);
void oracle_required(void);

/* Add an attribute. */
void oracle_attribute(const struct mr_attribute *attribute);

/* The record's bytes, in oracle.bytes, and its end. */
struct mr_slice oracle_end(void);

/* The whole event: begin to end. */
struct mr_slice oracle_encode(const struct mr_event *event);

/* Into values: a union's branch, a map's new member, an array's new item, the map of a
 * CloudEventData. */
avro_value_t oracle_branch(avro_value_t *value, int branch);
avro_value_t oracle_member(avro_value_t *map, const char *name);
avro_value_t oracle_item(avro_value_t *array);
avro_value_t oracle_value(avro_value_t *record);
void oracle_set_string(avro_value_t *value, struct mr_slice text);

/* Every branch of a CloudEventData into its map; `depth` times nested, as a map and as a list. */
void oracle_fill(avro_value_t *map, int depth);

#endif
