/* SPDX-License-Identifier: MIT */
/*
 * The results of `lido-bench housekeeping` as tables and as JSON.
 *
 * A speed is a quotient of times that were taken right after one another, formed in each
 * round, and the median of these: 2 says that lido took half the time of the other.
 *
 * Threads: one at a time.
 */
#include "context.h"
#include "housekeeping.h"
#include "results.h"

#include "report/table.h"
#include "report/units.h"

#include <math.h>
#include <string.h>

enum rule { SPEED, ENDS, WRITERS, WRITERS_BY_ROUND, MEMORY };

static const struct definition {
    const char *name;
    enum rule rule;
    unsigned over, under;     /* of SPEED */
    double at_least, at_most; /* the target, or 0 */
} definitions[] = {
    { "backup_to_shell", SPEED, BACKUP_SHELL, BACKUP_LIDO, .at_least = 0.95 },
    { "backup_checked_to_shell", SPEED, BACKUP_SHELL, BACKUP_LIDO_CHECKED, .at_least = 0 },
    { "backup_under_load_ends", ENDS, .at_least = 1 },
    { "backup_under_load_writers_p99", WRITERS, .at_most = 1.5 },
    { "backup_under_load_writers_p99_by_round", WRITERS_BY_ROUND, .at_least = 0 },
    { "dump_to_shell", SPEED, DUMP_SHELL, DUMP_LIDO, .at_least = 1 },
    { "load_to_shell", SPEED, LOAD_SHELL, LOAD_LIDO, .at_least = 1 },
    { "copy_to_bare", SPEED, COPY_BARE, COPY_LIDO, .at_least = 0.95 },
    { "copy_in_file_to_bare", SPEED, COPY_IN_FILE_BARE, COPY_IN_FILE_LIDO,
      .at_least = 0.95 },
    { "peak_memory_growth", MEMORY, .at_most = 1.2 },
};
enum { N_RATIOS = sizeof definitions / sizeof definitions[0] };

struct value {
    bool has_value, has_spread, is_met;
    const char *why_not; /* there is no value */
    struct summary is;
};

static double growth(const struct housekeeping_run *run, unsigned job)
{
    return run->peak_big_kb[job] / run->peak_small_kb[job];
}

static double p99_of(const struct histogram *times)
{
    return (double)histogram_quantile(times, 0.99);
}

static struct value value_of(const struct housekeeping_run *run,
                             const struct definition *definition)
{
    struct value value = { .has_value = true };
    double each[HOUSEKEEPING_ROUNDS], one = 0;

    value.has_spread = definition->rule == SPEED || definition->rule == WRITERS_BY_ROUND;
    if (definition->rule == SPEED && !housekeeping_has(run, definition->over)) {
        value.has_value = value.has_spread = false;
        value.why_not = "there is no sqlite3 shell";
        return value;
    }
    for (unsigned i = 0; i < run->rounds; i++)
        each[i] = definition->rule == SPEED ? run->costs[definition->over][i].real_ns /
                                                  run->costs[definition->under][i].real_ns
                                            : run->p99_with_ns[i] / run->p99_without_ns[i];
    if (definition->rule == WRITERS)
        one = p99_of(&run->times_with) / p99_of(&run->times_without);
    if (definition->rule == ENDS)
        one = run->backups > 0 && run->backups_ended == run->backups;
    for (unsigned i = 0; definition->rule == MEMORY && i < HOUSEKEEPING_MEMORY; i++)
        one = fmax(one, growth(run, i));
    value.is = value.has_spread ? measure_summary(each, run->rounds)
                                : (struct summary){ one, one, one, one, one };
    value.is_met = (definition->at_most == 0 || value.is.median <= definition->at_most) &&
                   value.is.median >= definition->at_least;
    return value;
}

static bool has_target(const struct definition *definition)
{
    return definition->at_least > 0 || definition->at_most > 0;
}

/* What of a cost is looked at. */
static double real_of(const struct housekeeping_cost *cost)
{
    return cost->real_ns;
}

static double call_of(const struct housekeeping_cost *cost)
{
    return cost->call_ns;
}

static double cpu_of(const struct housekeeping_cost *cost)
{
    return cost->cpu_ns;
}

static double peak_of(const struct housekeeping_cost *cost)
{
    return cost->peak_kb;
}

static struct summary over_rounds(const struct housekeeping_run *run, unsigned subject,
                                  double (*of)(const struct housekeeping_cost *))
{
    double each[HOUSEKEEPING_ROUNDS];

    for (unsigned i = 0; i < run->rounds; i++)
        each[i] = of(&run->costs[subject][i]);
    return measure_summary(each, run->rounds);
}

/* --- tables ----------------------------------------------------------------------------- */

static const char *shown_time(double ns, struct units_text *text)
{
    *text = units_time((int64_t)ns);
    return text->text;
}

static void print_times(const struct housekeeping_run *run, FILE *out)
{
    struct table table = { .columns = 5 };
    struct units_text text;

    table_add(&table, "%s", "");
    table_add(&table, "median");
    table_add(&table, "least");
    table_add(&table, "most");
    table_add(&table, "processor");
    for (unsigned i = 0; i < HOUSEKEEPING_SUBJECTS; i++) {
        struct summary real;

        if (!housekeeping_has(run, i))
            continue;
        real = over_rounds(run, i, real_of);
        table_add(&table, "%s", housekeeping_subjects[i]);
        table_add(&table, "%s", shown_time(real.median, &text));
        table_add(&table, "%s", shown_time(real.least, &text));
        table_add(&table, "%s", shown_time(real.most, &text));
        table_add(&table, "%s", shown_time(over_rounds(run, i, cpu_of).median, &text));
    }
    table_print(out, &table, "");
    fputc('\n', out);
}

static void print_peaks(const struct housekeeping_run *run, FILE *out)
{
    struct table table = { .columns = 4 };

    table_add(&table, "most memory");
    table_add(&table, "%u MB", run->small_mb);
    table_add(&table, "%u MB", run->big_mb);
    table_add(&table, "growth");
    for (unsigned i = 0; i < HOUSEKEEPING_MEMORY; i++) {
        table_add(&table, "%s", housekeeping_memory[i]);
        table_add(&table, "%.0f KB", run->peak_small_kb[i]);
        table_add(&table, "%.0f KB", run->peak_big_kb[i]);
        table_add(&table, "%.2f", growth(run, i));
    }
    table_print(out, &table, "");
    fputc('\n', out);
}

static void print_ratio(const struct housekeeping_run *run,
                        const struct definition *definition, FILE *out)
{
    const struct value value = value_of(run, definition);
    char target[64] = "";

    if (!value.has_value)
        snprintf(target, sizeof target, "%s", value.why_not);
    else if (has_target(definition))
        snprintf(target, sizeof target, "%s %g: %s", definition->at_most > 0 ? "<=" : ">=",
                 definition->at_most > 0 ? definition->at_most : definition->at_least,
                 value.is_met ? "met" : "not met");
    results_ratio_line(out, definition->name, value.has_value ? &value.is : NULL,
                       value.has_spread, target);
}

static void print_writes(const char *when, const struct histogram *times, FILE *out)
{
    struct units_text median, p99, most;

    fprintf(out,
            "  %llu writes %s: half of them within %s, 99 %% within %s, all within %s\n",
            (unsigned long long)times->count, when,
            shown_time((double)histogram_quantile(times, 0.5), &median),
            shown_time(p99_of(times), &p99), shown_time((double)times->max, &most));
}

void housekeeping_print(const struct housekeeping_run *run, FILE *out)
{
    context_print(out);
    fprintf(out, "the shell: %s; backups of %u MB, the others of %u MB, %u rounds\n\n",
            run->shell_version[0] != '\0' ? run->shell_version : "none", run->backup_mb,
            run->rows_mb, run->rounds);
    print_times(run, out);
    print_peaks(run, out);
    fprintf(out, "under load: %u backups, %u ended, %u began anew\n", run->backups,
            run->backups_ended, run->restarts);
    print_writes("beside them", &run->times_with, out);
    print_writes("without", &run->times_without, out);
    fputc('\n', out);
    results_ratio_titles(out, "ratios", "middle half");
    for (unsigned i = 0; i < N_RATIOS; i++)
        print_ratio(run, &definitions[i], out);
}

/* --- JSON ------------------------------------------------------------------------------- */

static void write_subject(const struct housekeeping_run *run, unsigned subject,
                          struct json *json)
{
    const struct summary real = over_rounds(run, subject, real_of);
    const double call_ns = over_rounds(run, subject, call_of).median;
    const double peak_kb = over_rounds(run, subject, peak_of).median;
    char run_name[80], name[96];

    snprintf(run_name, sizeof run_name, "housekeeping/%s", housekeeping_subjects[subject]);
    snprintf(name, sizeof name, "%s_median", run_name);
    json_object(json, NULL);
    json_text(json, "name", name);
    json_text(json, "run_name", run_name);
    json_text(json, "run_type", "aggregate");
    json_integer(json, "repetitions", run->rounds);
    json_integer(json, "threads", 1);
    json_text(json, "aggregate_name", "median");
    json_text(json, "aggregate_unit", "time");
    json_integer(json, "iterations", 1);
    json_number(json, "real_time", real.median);
    json_number(json, "cpu_time", over_rounds(run, subject, cpu_of).median);
    json_text(json, "time_unit", "ns");
    json_number(json, "call_time", call_ns > 0 ? call_ns : NAN);
    json_number(json, "peak_kb", peak_kb > 0 ? peak_kb : NAN);
    json_number(json, "min", real.least);
    json_number(json, "quartile_1", real.low);
    json_number(json, "quartile_3", real.high);
    json_number(json, "max", real.most);
    json_close(json);
}

static void write_memory(const struct housekeeping_run *run, struct json *json)
{
    json_array(json, "memory");
    for (unsigned i = 0; i < HOUSEKEEPING_MEMORY; i++) {
        json_object(json, NULL);
        json_text(json, "job", housekeeping_memory[i]);
        json_number(json, "small_kb", run->peak_small_kb[i]);
        json_number(json, "big_kb", run->peak_big_kb[i]);
        json_number(json, "growth", growth(run, i));
        json_close(json);
    }
    json_close(json);
}

static void write_sizes(const struct housekeeping_run *run, struct json *json)
{
    json_text(json, "shell_version",
              run->shell_version[0] != '\0' ? run->shell_version : NULL);
    json_object(json, "megabytes");
    json_integer(json, "backup", run->backup_mb);
    json_integer(json, "others", run->rows_mb);
    json_integer(json, "memory_small", run->small_mb);
    json_integer(json, "memory_big", run->big_mb);
    json_close(json);
    json_object(json, "under_load");
    json_integer(json, "backups", run->backups);
    json_integer(json, "ended", run->backups_ended);
    json_integer(json, "restarts", run->restarts);
    json_integer(json, "writes_with", (int64_t)run->times_with.count);
    json_integer(json, "writes_without", (int64_t)run->times_without.count);
    json_number(json, "p99_with", p99_of(&run->times_with));
    json_number(json, "p99_without", p99_of(&run->times_without));
    json_close(json);
}

static void write_ratios(const struct housekeeping_run *run, struct json *json)
{
    json_object(json, "ratios");
    for (unsigned i = 0; i < N_RATIOS; i++) {
        const struct value value = value_of(run, &definitions[i]);

        json_number(json, definitions[i].name, value.has_value ? value.is.median : NAN);
    }
    json_close(json);
    json_object(json, "spreads");
    for (unsigned i = 0; i < N_RATIOS; i++) {
        const struct value value = value_of(run, &definitions[i]);

        if (!value.has_spread)
            continue;
        json_array(json, definitions[i].name);
        json_number(json, NULL, value.is.low);
        json_number(json, NULL, value.is.high);
        json_close(json);
    }
    json_close(json);
    json_object(json, "reasons"); /* why a ratio is null */
    for (unsigned i = 0; i < N_RATIOS; i++) {
        const struct value value = value_of(run, &definitions[i]);

        if (!value.has_value)
            json_text(json, definitions[i].name, value.why_not);
    }
    json_close(json);
}

static void write_targets(const struct housekeeping_run *run, struct json *json)
{
    json_array(json, "targets");
    for (unsigned i = 0; i < N_RATIOS; i++) {
        const struct definition *definition = &definitions[i];
        const struct value value = value_of(run, definition);

        if (!value.has_value || !has_target(definition))
            continue;
        json_object(json, NULL);
        json_text(json, "ratio", definition->name);
        if (definition->at_most > 0)
            json_number(json, "at_most", definition->at_most);
        else
            json_number(json, "at_least", definition->at_least);
        json_bool(json, "met", value.is_met);
        json_close(json);
    }
    json_close(json);
}

void housekeeping_json(const struct housekeeping_run *run, FILE *out)
{
    struct json json = { .out = out };

    json_object(&json, NULL);
    json_text(&json, "schema", "lido.bench.housekeeping/1");
    context_json(&json);
    write_sizes(run, &json);
    json_array(&json, "benchmarks");
    for (unsigned i = 0; i < HOUSEKEEPING_SUBJECTS; i++)
        if (housekeeping_has(run, i))
            write_subject(run, i, &json);
    json_close(&json);
    write_memory(run, &json);
    write_ratios(run, &json);
    write_targets(run, &json);
    json_close(&json);
}
