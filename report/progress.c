/* SPDX-License-Identifier: MIT */
/*
 * Progress: one line, made by a pure function, and put in place of the last one.
 *
 *     queue  [#########-----------]  45%  12 345 checkouts  4 120/s  3 waiting  2 s left
 *
 * The width is asked for at each draw, so no handler for SIGWINCH is needed.  Output that
 * is no terminal gets no line unless asked for, and then whole lines now and then.
 *
 * Threads: one at a time.
 */
#include "report/progress.h"

#include "report/units.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_LEAST = 10, BAR_MOST = 30, WIDTH_DEFAULT = 80, WIDTH_MOST = 200 };

static const double rate_memory_s = 1.0;
static const int64_t terminal_interval_ns = 100000000; /* ten a second */
static const int64_t line_interval_ns = 2000000000;

void progress_sample(struct progress_rate *rate, double done, int64_t now_ns)
{
    double elapsed_s = (double)(now_ns - rate->at_ns) / 1e9;

    if (rate->at_ns == 0) {
        rate->at_ns = now_ns;
        rate->at_done = done;
        return;
    }
    if (elapsed_s <= 0)
        return;
    if (rate->per_s < 0) {
        rate->per_s = (done - rate->at_done) / elapsed_s;
    } else {
        double weight = elapsed_s / (rate_memory_s + elapsed_s);

        rate->per_s += weight * ((done - rate->at_done) / elapsed_s - rate->per_s);
    }
    rate->at_ns = now_ns;
    rate->at_done = done;
}

static size_t cells_of(const char *text)
{
    size_t cells = 0;

    for (; *text != '\0'; text++)
        cells += ((unsigned char)*text & 0xC0) != 0x80;
    return cells;
}

/* The texts behind the bar, the most wanted first; returns how many there are. */
static size_t make_parts(char parts[][48], const struct progress_state *state)
{
    size_t n = 0;

    if (state->fraction >= 0)
        snprintf(parts[n++], 48, "%3d%%", (int)(state->fraction * 100));
    if (state->done >= 0 && state->is_bytes)
        snprintf(parts[n++], 48, "%s", units_bytes(state->done).text);
    else if (state->done >= 0)
        snprintf(parts[n++], 48, "%s %s", units_count(state->done).text, state->noun);
    if (state->per_s >= 0)
        snprintf(parts[n++], 48, "%s/s",
                 state->is_bytes ? units_bytes((int64_t)state->per_s).text
                                 : units_count((int64_t)state->per_s).text);
    if (state->waiting >= 0)
        snprintf(parts[n++], 48, "%lld waiting", (long long)state->waiting);
    if (state->left_s >= 0 && state->left_s < 1e7)
        snprintf(parts[n++], 48, "%.0f s left", state->left_s);
    return n;
}

/* Appends as much as fits, which after a check of the width is all of it. */
static size_t append(char *out, size_t size, size_t at, const char *text)
{
    size_t length = strlen(text);

    if (at + length >= size)
        return at;
    memcpy(out + at, text, length + 1);
    return at + length;
}

size_t progress_render(char *out, size_t size, const struct progress_state *state,
                       int width, bool is_utf8)
{
    const char *full = is_utf8 ? "\u2588" : "#", *empty = is_utf8 ? "\u2591" : "-";
    char parts[5][48];
    size_t n_parts = make_parts(parts, state), shown = 0, at = 0;
    size_t room = width > 1 ? (size_t)width - 1 : 0;
    size_t used = cells_of(state->title), bar = 0;

    out[0] = '\0';
    if (used > room)
        return 0;
    if (state->fraction >= 0 && used + BAR_LEAST + 4 <= room) {
        bar = BAR_LEAST;
        used += bar + 4; /* two blanks, two brackets */
    }
    for (; shown < n_parts && used + 2 + cells_of(parts[shown]) <= room; shown++)
        used += 2 + cells_of(parts[shown]);
    while (bar > 0 && bar < BAR_MOST && used < room) {
        bar++;
        used++;
    }

    at = append(out, size, at, state->title);
    if (bar > 0) {
        double fraction = state->fraction > 1 ? 1 : state->fraction;
        size_t filled = (size_t)(fraction * (double)bar);

        at = append(out, size, at, "  [");
        for (size_t i = 0; i < bar; i++)
            at = append(out, size, at, i < filled ? full : empty);
        at = append(out, size, at, "]");
    }
    for (size_t i = 0; i < shown; i++) {
        at = append(out, size, at, "  ");
        at = append(out, size, at, parts[i]);
    }
    return cells_of(out);
}

void progress_init(struct progress *progress, FILE *out, enum progress_when when)
{
    const char *term = getenv("TERM");

    memset(progress, 0, sizeof *progress);
    progress->out = out;
    progress->is_terminal =
        isatty(fileno(out)) && term != NULL && strcmp(term, "dumb") != 0;
    progress->is_on =
        when == PROGRESS_ALWAYS || (when == PROGRESS_AUTO && progress->is_terminal);
    progress->is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool progress_is_due(const struct progress *progress, int64_t now_ns)
{
    return progress->is_on && now_ns >= progress->next_ns;
}

static int terminal_width(const struct progress *progress)
{
    struct winsize size;

    if (progress->is_terminal && ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0)
        return size.ws_col < WIDTH_MOST ? size.ws_col : WIDTH_MOST;
    return WIDTH_DEFAULT;
}

void progress_draw(struct progress *progress, const struct progress_state *state,
                   int64_t now_ns)
{
    char line[WIDTH_MOST * 4];

    if (!progress_is_due(progress, now_ns))
        return;
    progress_render(line, sizeof line, state, terminal_width(progress), progress->is_utf8);
    if (progress->is_terminal)
        fprintf(progress->out, "\r%s\033[K", line);
    else
        fprintf(progress->out, "%s\n", line);
    fflush(progress->out);
    progress->is_drawn = progress->is_terminal;
    progress->next_ns =
        now_ns + (progress->is_terminal ? terminal_interval_ns : line_interval_ns);
}

void progress_clear(struct progress *progress)
{
    if (progress->is_drawn)
        fputs("\r\033[K", progress->out);
    fflush(progress->out);
    progress->is_drawn = false;
    progress->next_ns = 0;
}
