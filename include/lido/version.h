/* SPDX-License-Identifier: MIT */
#ifndef LIDO_VERSION_H
#define LIDO_VERSION_H

/*
 * Which lido this is, and the macros that every public header uses.
 */

#define LIDO_VERSION        "0.1.0"
#define LIDO_VERSION_NUMBER 1000 /* major * 1000000 + minor * 1000 + patch */

/* The least SQLite that lido works with, checked when it is built and when a pool opens. */
#define LIDO_SQLITE_LEAST 3037000

#if defined(__GNUC__)
#define LIDO_API     __attribute__((visibility("default")))
#define LIDO_CHECKED __attribute__((warn_unused_result))
#else
#define LIDO_API
#define LIDO_CHECKED
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of the library that runs, as text and as a number.  Before 1.0 every minor
 * version may break the interface, so lido_pool_open() refuses a program that was compiled
 * with the header of another major or minor version (LIDO_VERSION_MISMATCH).
 *
 * Threads:   any.
 */
LIDO_API const char *lido_version(void);
LIDO_API int lido_version_number(void);

#ifdef __cplusplus
}
#endif
#endif
