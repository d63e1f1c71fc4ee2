/* SPDX-License-Identifier: MIT */
/*
 * Parts of the tool: the progress of a job, and listings.
 *
 * Threads: one.
 */
#include "cli/job_progress.h"
#include "cli/listing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;
static FILE *out;
static struct job_progress progress;

static void set_up(void)
{
    out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    job_progress_init(&progress, PROGRESS_ALWAYS);
    progress.line.out = out;
    progress.line.is_terminal = false;
}

static void clear(void)
{
    fclose(out);
    free(text);
}

TestSuite(job_progress, .init = set_up, .fini = clear);

static const char *unit = "pages";

static void tell(const char *phase, uint64_t done, uint64_t total, uint64_t restarts)
{
    static int64_t elapsed_ns;
    const struct lido_progress now = {
        .phase = phase,
        .unit = unit,
        .done = done,
        .total = total,
        .restarts = restarts,
        .elapsed_ns = elapsed_ns += 1000000000,
        .share = total > 0 ? (double)done / (double)total : -1,
    };

    cr_expect_eq(job_progress_told(&progress, &now, NULL), LIDO_OK);
    fflush(out);
}

static bool is_shown(const char *what)
{
    return strstr(text, what) != NULL;
}

Test(job_progress, elsewhere_a_line_comes_at_the_end_of_each_phase)
{
    tell("copying", 0, 2000, 0);
    tell("copying", 500, 2000, 0);
    cr_expect_eq(size, 0, "%s", text);
    tell("copying", 2000, 2000, 3);
    tell("checking", 0, 10, 3);
    cr_expect_str_eq(text, "copying: 2 000 pages, 100%, 3 restarts, 3.0 s\n");
    job_progress_end(&progress);
    cr_expect_str_eq(text, "copying: 2 000 pages, 100%, 3 restarts, 3.0 s\n"
                           "checking: 0 pages, 0%, 3 restarts, 4.0 s\n");
    job_progress_end(&progress);
    cr_expect_not_null(strstr(text, "4.0 s\n"));
    cr_expect_null(strstr(strstr(text, "4.0 s\n") + 1, "checking"), "once");
}

Test(job_progress, elsewhere_a_line_comes_when_it_is_time)
{
    tell("copying", 500, 2000, 0);
    cr_expect_eq(size, 0);
    progress.next_ns = 0; /* five seconds are over */
    tell("copying", 600, 2000, 0);
    tell("copying", 700, 2000, 0);
    cr_expect_str_eq(text, "copying: 600 pages, 30%, 2.0 s\n");
}

Test(job_progress, a_terminal_shows_share_rate_time_left_and_restarts)
{
    progress.line.is_terminal = true;
    progress.line.is_utf8 = false;
    tell("copying", 100, 2000, 0);
    cr_expect(is_shown("copying"), "%s", text);
    progress.line.next_ns = 0;
    tell("copying", 1000, 2000, 2);
    cr_expect(is_shown(" 50%"), "%s", text);
    cr_expect(is_shown("1 000 pages, 2 restarts"), "%s", text);
    cr_expect(is_shown("900/s"), "%s", text);
    cr_expect(is_shown("1 s left"), "%s", text);
    job_progress_end(&progress);
    cr_expect_str_eq(text + size - 4, "\r\033[K", "the line goes");
}

Test(job_progress, bytes_are_shown_as_bytes)
{
    unit = "bytes";
    progress.line.is_terminal = true;
    progress.line.is_utf8 = false;
    tell("copying", 1000000, 300000000, 0);
    progress.line.next_ns = 0;
    tell("copying", 150000000, 300000000, 0);
    cr_expect(is_shown(" 50%  150 MB  149 MB/s"), "%s", text);
    progress.line.is_terminal = false;
    job_progress_end(&progress);
    cr_expect(is_shown("copying: 150 MB, 50%, 2.0 s\n"), "%s", text);
}

Test(job_progress, what_has_no_count_shows_its_time)
{
    progress.line.is_terminal = true;
    tell("vacuuming", 0, 0, 0);
    cr_expect(is_shown("vacuuming, 1 s"), "%s", text);
}

Test(job_progress, nothing_is_shown_where_it_is_not_wanted)
{
    job_progress_init(&progress, PROGRESS_NEVER);
    progress.line.out = out;
    tell("copying", 2000, 2000, 0);
    job_progress_end(&progress);
    fflush(out);
    cr_expect_eq(size, 0, "%s", text);
}

TestSuite(listing, .init = set_up, .fini = clear);

static const char *const heads[] = { "name", "pages", "of" };

Test(listing, columns_are_aligned_and_lines_end_where_the_text_does)
{
    struct listing listing = { .heads = heads, .sides = "lrl" };

    listing_add(&listing, "%s", "a");
    listing_add(&listing, "%d", 12345678);
    listing_add(&listing, "%s", "b");
    listing_add(&listing, "%s", "größer");
    listing_add(&listing, "%d", 1);
    listing_add(&listing, "%s", "");
    listing_print(out, &listing, false);
    fflush(out);
    cr_expect_str_eq(text, "name       pages  of\n"
                           "a       12345678  b\n"
                           "größer         1\n");
    listing_fini(&listing);
}

Test(listing, it_holds_any_number_of_rows_and_of_bytes)
{
    struct listing listing = { .heads = heads, .sides = "lrl" };
    char longest[5000];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (int i = 0; i < 3000; i++)
        listing_add(&listing, "%s", longest);
    listing_print(out, &listing, false);
    fflush(out);
    cr_expect_eq(listing.n, 3000);
    cr_expect_not(listing.is_short);
    cr_expect_gt(size, 3000 * (sizeof longest - 1));
    listing_fini(&listing);
}

Test(listing, what_moves_a_cursor_is_shown_as_a_question)
{
    struct listing listing = { .heads = heads, .sides = "lrl" };

    for (int i = 0; i < 3; i++)
        listing_add(&listing, "%s", "a\033[2J\n\177b");
    listing_print(out, &listing, true);
    fflush(out);
    cr_expect_not_null(strstr(text, "a?[2J??b"), "%s", text);
    cr_expect_eq(strncmp(text, "\033[1m", 4), 0, "the head is bold");
    listing_fini(&listing);
}
