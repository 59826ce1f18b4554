// SPDX-License-Identifier: Apache-2.0
/* Runs a fuzz target over the files of its corpus, for compilers without libFuzzer:
 *     fuzz_X DIRECTORY
 * An empty or missing corpus is a failure: a regression test without cases tests nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUT_BYTES_MAX = 4 * 1024 * 1024 };

static int replay(const char *path)
{
    uint8_t *bytes;
    size_t size;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    bytes = malloc(INPUT_BYTES_MAX);
    if (bytes == NULL) {
        fclose(file);
        return -1;
    }
    size = fread(bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    /* Exactly sized, so that a read past the end is seen by the sanitizer. */
    uint8_t *exact = malloc(size ? size : 1);
    if (exact != NULL) {
        memcpy(exact, bytes, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(bytes);
    return exact == NULL ? -1 : 0;
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    const struct dirent *entry;
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (directory == NULL) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY (which must exist)\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (replay(path) != 0) {
            closedir(directory);
            return 1;
        }
        count++;
    }
    closedir(directory);
    printf("%lu inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
