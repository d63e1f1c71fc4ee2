/* SPDX-License-Identifier: MIT */
/*
 * On what machine, and with which software, something was measured.
 *
 * A figure is worth little without it: SQLite's compile options alone can double a time.
 *
 * Threads: one at a time.
 */
#include "context.h"

#include "subject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lido/version.h>

#ifdef NDEBUG
static const char build_type[] = "release";
#else
static const char build_type[] = "debug";
#endif

/* ISO 8601 with the offset, as 2000-01-01T00:00:00+00:00. */
static void read_date(char out[32])
{
    time_t now = time(NULL);
    struct tm parts;
    size_t length = 0;

    if (localtime_r(&now, &parts) != NULL)
        length = strftime(out, 31, "%Y-%m-%dT%H:%M:%S%z", &parts);
    if (length >= 5 && length < 31) {
        memmove(out + length - 1, out + length - 2, 3); /* strftime has no colon in it */
        out[length - 2] = ':';
    }
}

/* The processor's name where the system tells it, or "". */
static void read_cpu_model(char out[64])
{
    FILE *info = fopen("/proc/cpuinfo", "re");
    char line[256];

    out[0] = '\0';
    while (info != NULL && fgets(line, sizeof line, info) != NULL) {
        const char *value = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            value += 1 + strspn(value + 1, " \t");
            snprintf(out, 64, "%.*s", (int)strcspn(value, "\n"), value);
            break;
        }
    }
    if (info != NULL)
        fclose(info);
}

void context_print(FILE *out)
{
    const char *zdb = subject_zdb_version();
    char date[32] = "", cpu[64];

    read_date(date);
    read_cpu_model(cpu);
    fprintf(out, "%s, %ld x %s\n", date, sysconf(_SC_NPROCESSORS_ONLN),
            cpu[0] == '\0' ? "processor" : cpu);
    fprintf(out, "lido %s (%s build), SQLite %s, %s\n", lido_version(), build_type,
            sqlite3_libversion(), zdb == NULL ? "built without libzdb" : zdb);
}

void context_json(struct json *json)
{
    char text[256];
    double load[3];
    int n_loads = getloadavg(load, 3);

    json_object(json, "context");
    memset(text, 0, sizeof text);
    read_date(text);
    json_text(json, "date", text);
    if (gethostname(text, sizeof text - 1) != 0)
        strcpy(text, "localhost");
    json_text(json, "host_name", text);
    json_text(json, "executable", program_invocation_name);
    json_integer(json, "num_cpus", sysconf(_SC_NPROCESSORS_ONLN));
    read_cpu_model(text);
    json_text(json, "cpu_model", text[0] == '\0' ? NULL : text);
    json_array(json, "load_avg");
    for (int i = 0; i < n_loads; i++)
        json_number(json, NULL, load[i]);
    json_close(json);
    json_text(json, "library_build_type", build_type);
    json_text(json, "lido_version", lido_version());
    json_text(json, "zdb_version", subject_zdb_version());
    json_text(json, "sqlite_version", sqlite3_libversion());
    json_text(json, "sqlite_source_id", sqlite3_sourceid());
    json_array(json, "sqlite_compile_options");
    for (int i = 0; sqlite3_compileoption_get(i) != NULL; i++)
        json_text(json, NULL, sqlite3_compileoption_get(i));
    json_close(json);
    json_close(json);
}
