/* SPDX-License-Identifier: MIT */
/*
 * A picture: its file, and its colours, for light and for dark.
 *
 * Threads: one at a time.
 */
#include "plot.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char style[] =
    ":root{--ink:#1c1e21;--faint:#d5d8dc;--paper:#fff;--plain:#9aa1a9;--ours:#1769c2;"
    "--other:#c9722b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e6e9;--faint:#3b4046;--paper:#16181b;"
    "--plain:#767d86;--ours:#5aa7f0;--other:#e39a5c}}\n"
    "body{background:var(--paper);color:var(--ink);font:14px system-ui,sans-serif;"
    "margin:24px}\n"
    "svg{max-width:100%;height:auto}text{fill:var(--ink);font:13px system-ui,sans-serif}\n"
    ".tick{stroke:var(--faint)}.spread{stroke:var(--ink)}.head{font-weight:600}\n"
    ".plain{fill:var(--plain)}.ours{fill:var(--ours)}.other{fill:var(--other)}\n"
    ".line{fill:none;stroke-width:2}.line.plain{stroke:var(--plain)}"
    ".line.ours{stroke:var(--ours)}.line.other{stroke:var(--other)}\n";

void plot_head(FILE *out, const char *title)
{
    fprintf(out,
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n"
            "<title>%s</title>\n<style>\n%s</style>\n",
            title, style);
}

int plot_file(const char *path, void (*draw)(const void *ctx, FILE *out), const void *ctx,
              struct lido_error *err)
{
    FILE *out = fopen(path, "we");
    bool is_bad = out == NULL;

    if (out != NULL) {
        draw(ctx, out);
        is_bad = ferror(out) != 0;
        is_bad |= fclose(out) != 0;
    }
    if (is_bad)
        return lido_fail(err, SQLITE_IOERR, "could not write %s: %s", path,
                         strerror(errno));
    return LIDO_OK;
}
