/* SPDX-License-Identifier: MIT */
/*
 * Progress of a job: on a terminal one line that is redrawn, with its share, the rate and the
 * time that is left; elsewhere, if asked for, a whole line at the end of each phase and each
 * five seconds.
 *
 * Threads: the one that runs the job.
 */
#include "cli/job_progress.h"

#include "cli/cli.h"
#include "report/units.h"

#include <string.h>

static const int64_t every_ns = INT64_C(5000000000);

void job_progress_init(struct job_progress *progress, enum progress_when when)
{
    *progress = (struct job_progress){ .rate = PROGRESS_RATE_INIT,
                                       .share_rate = PROGRESS_RATE_INIT };
    progress_init(&progress->line, stderr, when);
    progress->next_ns = cli_now_ns() + every_ns;
}

static bool is_bytes(const struct lido_progress *now)
{
    return strcmp(now->unit, "bytes") == 0;
}

static void draw(struct job_progress *progress, const struct lido_progress *now)
{
    char title[96], noun[80];
    struct progress_state state = {
        .title = now->phase,
        .fraction = now->share,
        .done = now->done == 0 && now->total == 0 ? -1 : (int64_t)now->done,
        .noun = now->unit,
        .is_bytes = is_bytes(now),
        .per_s = -1,
        .waiting = -1,
        .left_s = -1,
    };

    if (now->elapsed_ns > 0) {
        progress_sample(&progress->rate, (double)now->done, now->elapsed_ns);
        if (now->share >= 0)
            progress_sample(&progress->share_rate, now->share, now->elapsed_ns);
    }
    if (progress->rate.per_s > 0)
        state.per_s = progress->rate.per_s;
    if (now->share >= 0 && now->share < 1 && progress->share_rate.per_s > 0)
        state.left_s = (1 - now->share) / progress->share_rate.per_s;
    if (state.done < 0) { /* all that is to be told is that it goes on */
        snprintf(title, sizeof title, "%s, %.0f s", now->phase,
                 (double)now->elapsed_ns / 1e9);
        state.title = title;
    }
    if (now->restarts > 0) {
        snprintf(noun, sizeof noun, "%s, %llu restarts", now->unit,
                 (unsigned long long)now->restarts);
        state.noun = noun;
    }
    progress_draw(&progress->line, &state, cli_now_ns());
}

static void say(struct job_progress *progress)
{
    const struct lido_progress *last = &progress->last;
    FILE *out = progress->line.out;

    if (last->phase == NULL || progress->is_said)
        return;
    fprintf(out, "%s: ", last->phase);
    if ((last->done > 0 || last->total > 0) && is_bytes(last))
        fprintf(out, "%s, ", units_bytes((int64_t)last->done).text);
    else if (last->done > 0 || last->total > 0)
        fprintf(out, "%s %s, ", units_count((int64_t)last->done).text, last->unit);
    if (last->share >= 0)
        fprintf(out, "%d%%, ", (int)(last->share * 100));
    if (last->restarts > 0)
        fprintf(out, "%llu restarts, ", (unsigned long long)last->restarts);
    fprintf(out, "%.1f s\n", (double)last->elapsed_ns / 1e9);
    fflush(out);
    progress->is_said = true;
    progress->next_ns = cli_now_ns() + every_ns;
}

int job_progress_told(void *progress_, const struct lido_progress *now,
                      struct lido_error *err)
{
    struct job_progress *progress = progress_;
    const bool is_new =
        progress->last.phase == NULL || strcmp(progress->last.phase, now->phase) != 0;

    (void)err;
    if (!progress->line.is_on)
        return LIDO_OK;
    if (is_new && !progress->line.is_terminal)
        say(progress);
    if (is_new)
        progress->rate = progress->share_rate = (struct progress_rate)PROGRESS_RATE_INIT;
    progress->last = *now;
    progress->is_said = false;
    if (progress->line.is_terminal)
        draw(progress, now);
    else if (cli_now_ns() >= progress->next_ns)
        say(progress);
    return LIDO_OK;
}

void job_progress_end(struct job_progress *progress)
{
    if (!progress->line.is_on)
        return;
    if (progress->line.is_terminal)
        progress_clear(&progress->line);
    else
        say(progress);
}
