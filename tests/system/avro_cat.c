// SPDX-License-Identifier: Apache-2.0
/* usage: avro_cat SCHEMA.avsc < datum
 *
 * One Avro datum as avro-c reads it, as a line of JSON in Avro's JSON encoding. Every byte of the
 * input must belong to it. The system tests' second opinion on what lies in a topic. */
#include <avro.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_BYTES_MAX = 4 * 1024 * 1024 };

static int read_schema(const char *path, avro_schema_t *ret_schema)
{
    int rv;
    char *text = malloc(INPUT_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    if (text == NULL || file == NULL) {
        perror(path);
        rv = -1;
    } else {
        size_t len = fread(text, 1, INPUT_BYTES_MAX, file);
        rv = avro_schema_from_json_length(text, len, ret_schema);
        if (rv != 0) {
            fprintf(stderr, "%s: %s\n", path, avro_strerror());
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    free(text);
    return rv;
}

static int print_datum(const char *bytes, size_t len, avro_value_t *value)
{
    char *json = NULL;
    avro_reader_t reader = avro_reader_memory(bytes, (int64_t)len);
    int rv = avro_value_read(reader, value);
    char more;
    if (rv != 0) {
        fprintf(stderr, "avro_cat: %s\n", avro_strerror());
    } else if (avro_read(reader, &more, 1) == 0) {
        fprintf(stderr, "avro_cat: bytes after the datum\n");
        rv = -1;
    } else {
        rv = avro_value_to_json(value, 1, &json);
    }
    if (rv == 0) {
        puts(json);
    }
    free(json);
    avro_reader_free(reader);
    return rv;
}

static int cat(avro_schema_t schema)
{
    avro_value_t value;
    int rv = -1;
    char *bytes = malloc(INPUT_BYTES_MAX);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    if (bytes != NULL && iface != NULL && avro_generic_value_new(iface, &value) == 0) {
        rv = print_datum(bytes, fread(bytes, 1, INPUT_BYTES_MAX, stdin), &value);
        avro_value_decref(&value);
    }
    if (iface != NULL) {
        avro_value_iface_decref(iface);
    }
    free(bytes);
    return rv;
}

int main(int argc, char **argv)
{
    avro_schema_t schema;
    int rv;
    if (argc != 2) {
        fprintf(stderr, "usage: avro_cat SCHEMA.avsc < datum\n");
        return 2;
    }
    if (read_schema(argv[1], &schema) != 0) {
        return 1;
    }
    rv = cat(schema);
    avro_schema_decref(schema);
    return rv == 0 ? 0 : 1;
}
