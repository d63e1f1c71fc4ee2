/* SPDX-License-Identifier: MIT */
/*
 * Copies of SQLite: each library that is loaded is asked for sqlite3_libversion, and different
 * answers are different copies.
 *
 * A library also answers for those that it depends on, so the same address comes more than
 * once.  One that has SQLite built in and hides its symbols is not seen.
 *
 * Threads: one.
 */
#include "cli/process_sqlites.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

enum { OBJECTS = 256, COPIES = 8 };

struct objects {
    const char *names[OBJECTS]; /* lent by the loader while they are loaded */
    int n;
};

static int add(struct dl_phdr_info *info, size_t size, void *objects_)
{
    struct objects *objects = objects_;

    (void)size;
    if (objects->n < OBJECTS)
        objects->names[objects->n++] = info->dlpi_name;
    return 0;
}

/* The loader's lock is not held here: to look a symbol up takes it. */
static void *find(const char *name)
{
    void *library = dlopen(name[0] != '\0' ? name : NULL, RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = library != NULL ? dlsym(library, "sqlite3_libversion") : NULL;

    if (library != NULL)
        dlclose(library);
    return symbol;
}

int process_sqlites(char *where, unsigned long size)
{
    struct objects objects = { .n = 0 };
    void *copies[COPIES];
    int n = 0;
    size_t at = 0;

    where[0] = '\0';
    dl_iterate_phdr(add, &objects);
    for (int i = 0; i < objects.n && n < COPIES; i++) {
        void *symbol = find(objects.names[i]);
        Dl_info info;
        int known = symbol == NULL ? n : 0;

        while (known < n && copies[known] != symbol)
            known++;
        if (symbol == NULL || known < n)
            continue;
        copies[n++] = symbol;
        if (at < size && dladdr(symbol, &info) != 0 && info.dli_fname != NULL)
            at += (size_t)snprintf(where + at, size - at, "%s%s", n > 1 ? ", " : "",
                                   info.dli_fname);
    }
    return n;
}
