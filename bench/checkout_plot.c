/* SPDX-License-Identifier: MIT */
/*
 * The results of `lido-bench checkout` as a picture: one HTML file that needs no other.
 *
 * A bar for each subject, grouped by the number of threads, on a logarithmic scale, since
 * the slowest takes a thousand times the fastest.  A thin line at its end spans the middle
 * half of the rounds; pointing at a bar shows its numbers.
 *
 * Threads: one at a time.
 */
#include "checkout.h"
#include "plot.h"

#include <math.h>

#define LEFT       190 /* where the bars begin */
#define SCALE      560 /* how wide the whole scale is */
#define RIGHT      70  /* for the number behind the longest bar */
#define TOP        44
#define BAR        16
#define BAR_STEP   20
#define GROUP_STEP 34 /* of a group, beside its bars: title and gap */

static const char *class_of(unsigned subject)
{
    switch (subject) {
    case CHECKOUT_FLOOR:
    case CHECKOUT_MUTEX: return "plain";
    case CHECKOUT_ZDB: return "other";
    default: return "ours";
    }
}

/* The whole decades around all medians. */
static void find_decades(const struct results *results, int *first, int *last)
{
    double least = HUGE_VAL, most = 0;

    for (unsigned i = 0; i < results->n_subjects; i++) {
        for (unsigned level = 0; level < results->of->n_levels; level++) {
            struct summary real = results_real(results, i, level);

            least = fmin(least, real.low);
            most = fmax(most, real.high);
        }
    }
    *first = (int)floor(log10(least));
    *last = (int)ceil(log10(most));
    if (*last == *first)
        ++*last;
}

static double place(double ns, int first, int last)
{
    return LEFT + SCALE * (log10(ns) - first) / (last - first);
}

static void draw_scale(FILE *out, int first, int last, int height)
{
    for (int decade = first; decade <= last; decade++) {
        double ns = pow(10, decade), x = place(ns, first, last);

        fprintf(out, "<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
                x, x, TOP - 12, height);
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g %s</text>\n", x,
                TOP - 18, ns >= 1000 ? ns / 1000 : ns, ns >= 1000 ? "µs" : "ns");
    }
}

static void draw_bar(const struct results *results, unsigned subject, unsigned level, int y,
                     int first, int last, FILE *out)
{
    struct summary real = results_real(results, subject, level);
    double end = place(real.median, first, last);
    double high = place(real.high, first, last);
    int middle = y + BAR / 2;

    fprintf(out,
            "<g><title>%s, threads: %u\nmedian %.1f ns, middle half %.1f to %.1f, "
            "all %.1f to %.1f</title>",
            results->subjects[subject].name, results->of->threads[level], real.median,
            real.low, real.high, real.least, real.most);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT - 8,
            middle + 5, results->subjects[subject].name);
    fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>",
            class_of(subject), LEFT, y, end - LEFT, BAR);
    fprintf(out, "<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
            place(real.low, first, last), high, middle, middle);
    fprintf(out, "<text x=\"%.1f\" y=\"%d\">%.*f</text></g>\n", fmax(end, high) + 6,
            middle + 5, real.median < 100 ? 1 : 0, real.median);
}

void checkout_plot(const struct results *results, FILE *out)
{
    int group_height = (int)results->n_subjects * BAR_STEP + GROUP_STEP;
    int height = TOP + (int)results->of->n_levels * group_height;
    int first, last;

    find_decades(results, &first, &last);
    plot_head(out, "lido-bench checkout");
    fprintf(out,
            "<h1>A checkout and check-in</h1>\n"
            "<p>Median time per operation of %u rounds, as each thread sees it; the line "
            "spans the middle half. Logarithmic scale.</p>\n"
            "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" "
            "aria-label=\"Times per operation by number of threads\">\n",
            results->n_rounds, LEFT + SCALE + RIGHT, height, LEFT + SCALE + RIGHT);
    draw_scale(out, first, last, height);
    for (unsigned level = 0; level < results->of->n_levels; level++) {
        int y = TOP + (int)level * group_height;

        fprintf(out, "<text class=\"head\" x=\"0\" y=\"%d\">%u thread%s</text>\n", y + 12,
                results->of->threads[level], results->of->threads[level] == 1 ? "" : "s");
        for (unsigned i = 0; i < results->n_subjects; i++)
            draw_bar(results, i, level, y + 18 + (int)i * BAR_STEP, first, last, out);
    }
    fputs("</svg>\n</html>\n", out);
}
