// SPDX-License-Identifier: Apache-2.0
#include "program/process_metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <millrace/metrics.h>

#include "kit/clock.h"

static double started_at;

static const struct mr_metric build_info = {
    .name = "millrace_build_info",
    .type = MR_GAUGE,
    .help = "Always 1; the label tells the version that runs.",
    .labels = {"version"},
};

void process_metrics_init(void)
{
    started_at = (double)clock_wall_ns() / 1e9;
    mr_gauge_set(mr_series_get(&build_info, (const char *const[]){MILLRACE_VERSION}), 1);
}

static void write_metric(struct mr_buf *out, const char *name, const char *type, const char *help,
                         double value)
{
    (void)buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name,
                   value);
}

/* Pages in memory, the second number of /proc/self/statm; -1: not known. */
static double resident_bytes(void)
{
    char line[128];
    char *end;
    unsigned long long pages;
    FILE *file = fopen("/proc/self/statm", "re");
    const char *got = file == NULL ? NULL : fgets(line, sizeof line, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (got == NULL) {
        return -1;
    }
    (void)strtoull(line, &end, 10);
    errno = 0;
    pages = strtoull(end, NULL, 10);
    return errno != 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    double count = -1; /* the directory's own */
    if (directory == NULL) {
        return -1;
    }
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(directory);
    return count;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int process_metrics_write(struct mr_buf *out)
{
    struct rusage usage;
    struct rlimit limit;
    double resident = resident_bytes();
    double fds = open_fds();
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        write_metric(out, "process_cpu_seconds_total", "counter",
                     "Processor time used, user and system, in seconds.",
                     seconds(usage.ru_utime) + seconds(usage.ru_stime));
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        write_metric(out, "process_max_fds", "gauge", "How many file descriptors may be open.",
                     (double)limit.rlim_cur);
    }
    if (fds >= 0) {
        write_metric(out, "process_open_fds", "gauge", "Open file descriptors.", fds);
    }
    if (resident >= 0) {
        write_metric(out, "process_resident_memory_bytes", "gauge", "Memory in use, in bytes.",
                     resident);
    }
    write_metric(out, "process_start_time_seconds", "gauge",
                 "When the process began, in seconds since 1970.", started_at);
    return out->failed;
}
