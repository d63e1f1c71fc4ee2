/* SPDX-License-Identifier: MIT */
/*
 * The latencies of `lido-bench write` as a picture, one for each group of cells.
 *
 * To the right go the shares: half of all transactions took no longer than what stands at
 * 50 %, and each step further takes in nine tenths of the rest.  Upwards go the times.
 * Both scales are logarithmic, and a line ends at the longest of all.
 *
 * Threads: one at a time.
 */
#include "plot.h"
#include "write.h"

#include "report/units.h"

#include <math.h>

#define LEFT      70
#define WIDTH     520
#define LABELS    270 /* to the right of the lines */
#define TOP       16
#define HEIGHT    300
#define FOOT      34
#define LINE_STEP 16 /* between two labels at least */
#define POINTS    40 /* of a line, in each decade 10 */
#define DECADES   4.0
#define FIRST     0.30103 /* where 50 % are: -log10(0.5) */

struct area {
    int low, high; /* decades of time */
};

static double place_share(double decade)
{
    return LEFT + WIDTH * (decade - FIRST) / (DECADES + 0.3 - FIRST);
}

static double place_time(const struct area *area, double ns)
{
    return TOP + HEIGHT * (area->high - log10(fmax(ns, 1))) / (area->high - area->low);
}

static const char *class_of(const struct write_cell *cell)
{
    if (cell->slices == 0)
        return "plain";
    return cell->spec.kind == WRITE_BARE ? "other" : "ours";
}

static void draw_scales(const struct area *area, FILE *out)
{
    static const char *const shares[] = { "90 %", "99 %", "99.9 %", "99.99 %" };

    for (int decade = area->low; decade <= area->high; decade++) {
        double y = place_time(area, pow(10, decade));

        fprintf(out,
                "<line class=\"tick\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, LEFT + WIDTH, y, y, LEFT - 8, y + 4,
                units_time((int64_t)pow(10, decade)).text);
    }
    for (int i = 0; i <= (int)DECADES; i++) {
        double x = place_share(i == 0 ? FIRST : i);

        fprintf(out,
                "<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x, x, TOP, TOP + HEIGHT, x, TOP + HEIGHT + 20,
                i == 0 ? "50 %" : shares[i - 1]);
    }
}

/* Where the line ends. */
static double draw_line(const struct write_cell *cell, const struct area *area, FILE *out)
{
    const struct histogram all = write_window(cell);
    const double last = fmin(DECADES, log10((double)all.count));
    double end = place_time(area, (double)all.max);

    fprintf(out, "<polyline class=\"line %s\" points=\"", class_of(cell));
    for (int i = 0; i <= POINTS; i++) {
        double decade = FIRST + (last - FIRST) * i / POINTS;
        int64_t ns = histogram_quantile(&all, 1 - pow(10, -decade));

        fprintf(out, "%.1f,%.1f ", place_share(decade), place_time(area, (double)ns));
    }
    fprintf(out, "%.1f,%.1f\"><title>%s</title></polyline>\n", place_share(DECADES + 0.3),
            end, cell->name);
    return end;
}

/* At the ends of the lines, but none over another. */
static void draw_labels(const struct write_cell *cells, unsigned count, const double *ends,
                        FILE *out)
{
    int is_done[WRITE_CELLS] = { 0 };
    double last = -HUGE_VAL;

    for (unsigned i = 0; i < count; i++) {
        unsigned next = 0;

        while (is_done[next])
            next++;
        for (unsigned j = next; j < count; j++)
            if (!is_done[j] && ends[j] < ends[next])
                next = j;
        is_done[next] = 1;
        if (cells[next].is_absent)
            continue;
        last = fmax(ends[next], last + LINE_STEP);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT + WIDTH + 10, last + 4,
                cells[next].name);
    }
}

static void draw_group(const struct write_cell *cells, unsigned count, FILE *out)
{
    struct area area = { INT32_MAX, INT32_MIN };
    double ends[WRITE_CELLS] = { 0 };

    for (unsigned i = 0; i < count; i++) {
        struct write_latency latency;

        if (cells[i].is_absent)
            continue;
        latency = write_latency(&cells[i]);
        area.low = (int)fmin(area.low, floor(log10((double)latency.p50_ns)));
        area.high = (int)fmax(area.high, ceil(log10((double)latency.max_ns)));
    }
    if (area.high == area.low)
        area.high++;
    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" "
            "aria-label=\"Latencies of %s and others\">\n",
            LEFT + WIDTH + LABELS, TOP + HEIGHT + FOOT, LEFT + WIDTH + LABELS,
            cells[0].name);
    draw_scales(&area, out);
    for (unsigned i = 0; i < count; i++)
        if (!cells[i].is_absent)
            ends[i] = draw_line(&cells[i], &area, out);
    draw_labels(cells, count, ends, out);
    fputs("</svg>\n", out);
}

void write_plot(const void *ctx, FILE *out)
{
    const struct write_run *run = ctx;
    unsigned first = 0;

    plot_head(out, "lido-bench write");
    fputs(
        "<h1>One row written, with the wait</h1>\n"
        "<p>How long the given share of all transactions took at most; a line ends at the "
        "longest. Logarithmic scales.</p>\n",
        out);
    for (unsigned i = 1; i <= run->n_cells; i++) {
        if (i < run->n_cells && run->cells[i].group == run->cells[first].group)
            continue;
        draw_group(&run->cells[first], i - first, out);
        first = i;
    }
    fputs("</html>\n", out);
}
