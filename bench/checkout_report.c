/* SPDX-License-Identifier: MIT */
/*
 * The results of `lido-bench checkout` as a table and as JSON.
 *
 * The JSON has Google Benchmark's shape, so that its compare.py reads it, and beside that
 * the spread, the ratios and their targets.
 *
 * Threads: one at a time.
 */
#include "checkout.h"
#include "context.h"
#include "report/json.h"

#include <string.h>

static void print_times(const struct checkout *checkout, FILE *out)
{
    fprintf(out, "%-22s%8s%12s%12s%12s%12s%12s\n", "ns per operation", "threads", "median",
            "least", "quarter", "3 quarters", "most");
    for (unsigned level = 0; level < CHECKOUT_LEVELS; level++) {
        for (unsigned i = 0; i < checkout->n_subjects; i++) {
            struct summary real = checkout_real(checkout, i, level);

            fprintf(out, "%-22s%8u%12.1f%12.1f%12.1f%12.1f%12.1f\n",
                    checkout->subjects[i].name, checkout_threads[level], real.median,
                    real.least, real.low, real.high, real.most);
        }
        fputc('\n', out);
    }
}

static void print_ratio(const struct checkout *checkout, const struct checkout_ratio *ratio,
                        FILE *out)
{
    char spread[40], target[40] = "";
    struct summary value;

    if (!checkout_ratio_has(checkout, ratio)) {
        fprintf(out, "%-33s%8s\n", ratio->name, "-");
        return;
    }
    value = checkout_ratio_value(checkout, ratio);
    snprintf(spread, sizeof spread, "%.2f - %.2f", value.low, value.high);
    if (ratio->at_most > 0 || ratio->at_least > 0)
        snprintf(target, sizeof target, "  %s %g: %s", ratio->at_most > 0 ? "<=" : ">=",
                 ratio->at_most > 0 ? ratio->at_most : ratio->at_least,
                 checkout_ratio_is_met(ratio, value.median) ? "met" : "not met");
    fprintf(out, "%-33s%8.2f%18s%s\n", ratio->name, value.median, spread, target);
}

void checkout_print(const struct checkout *checkout, FILE *out)
{
    context_print(out);
    fprintf(out, "%u rounds; times as each of the threads sees them\n\n",
            checkout->n_rounds);
    print_times(checkout, out);
    fprintf(out, "%-33s%8s%18s  %s\n", "ratios at 1 thread, or 2 by 1", "median",
            "middle half", "target");
    for (unsigned i = 0; i < CHECKOUT_RATIOS; i++)
        print_ratio(checkout, &checkout_ratios[i], out);
}

static void write_benchmark(const struct checkout *checkout, unsigned subject,
                            unsigned level, struct json *json)
{
    struct summary real = checkout_real(checkout, subject, level);
    char run_name[80], name[96];

    snprintf(run_name, sizeof run_name, "checkout/%s/threads:%u",
             checkout->subjects[subject].name, checkout_threads[level]);
    snprintf(name, sizeof name, "%s_median", run_name);
    json_object(json, NULL);
    json_text(json, "name", name);
    json_integer(json, "family_index", subject);
    json_integer(json, "per_family_instance_index", level);
    json_text(json, "run_name", run_name);
    json_text(json, "run_type", "aggregate");
    json_integer(json, "repetitions", checkout->n_rounds);
    json_integer(json, "threads", checkout_threads[level]);
    json_text(json, "aggregate_name", "median");
    json_text(json, "aggregate_unit", "time");
    json_integer(json, "iterations", (int64_t)checkout->iterations[subject][level]);
    json_number(json, "real_time", real.median);
    json_number(json, "cpu_time", checkout_cpu_median(checkout, subject, level));
    json_text(json, "time_unit", "ns");
    json_number(json, "min", real.least);
    json_number(json, "quartile_1", real.low);
    json_number(json, "quartile_3", real.high);
    json_number(json, "max", real.most);
    json_close(json);
}

static void write_ratios(const struct checkout *checkout, struct json *json)
{
    json_object(json, "ratios");
    for (unsigned i = 0; i < CHECKOUT_RATIOS; i++) {
        const struct checkout_ratio *ratio = &checkout_ratios[i];

        if (checkout_ratio_has(checkout, ratio))
            json_number(json, ratio->name, checkout_ratio_value(checkout, ratio).median);
        else
            json_text(json, ratio->name, NULL);
    }
    json_close(json);
}

static void write_targets(const struct checkout *checkout, struct json *json)
{
    json_array(json, "targets");
    for (unsigned i = 0; i < CHECKOUT_RATIOS; i++) {
        const struct checkout_ratio *ratio = &checkout_ratios[i];

        if (!checkout_ratio_has(checkout, ratio) ||
            (ratio->at_most == 0 && ratio->at_least == 0))
            continue;
        json_object(json, NULL);
        json_text(json, "ratio", ratio->name);
        if (ratio->at_most > 0)
            json_number(json, "at_most", ratio->at_most);
        if (ratio->at_least > 0)
            json_number(json, "at_least", ratio->at_least);
        json_bool(
            json, "met",
            checkout_ratio_is_met(ratio, checkout_ratio_value(checkout, ratio).median));
        json_close(json);
    }
    json_close(json);
}

void checkout_json(const struct checkout *checkout, FILE *out)
{
    struct json json = { .out = out };

    json_object(&json, NULL);
    json_text(&json, "schema", "lido.bench.checkout/1");
    context_json(&json);
    json_array(&json, "benchmarks");
    for (unsigned subject = 0; subject < checkout->n_subjects; subject++)
        for (unsigned level = 0; level < CHECKOUT_LEVELS; level++)
            write_benchmark(checkout, subject, level, &json);
    json_close(&json);
    write_ratios(checkout, &json);
    write_targets(checkout, &json);
    json_close(&json);
}
