/* SPDX-License-Identifier: MIT */
/*
 * Completion: the scripts of the shells ask the tool itself, so that they know what this tool
 * knows.
 *
 * And the tool reads its own help.  A line of it that begins with two blanks and a dash is an
 * option, with what it wants in capitals behind it; "FILE" is a file.  Where it wants one of a
 * few words the text begins with them, in one of two ways:
 *
 *     --color WHEN        auto, always or never: auto on a terminal
 *     --mode MODE         passive: what is possible; full: wait for writers
 *
 * Threads: one.
 */
#include "cli/complete.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 40, TEXT = 600 };

struct option_text {
    char letter; /* 0: none */
    char name[NAME];
    char wants[NAME]; /* "": no value */
    char text[TEXT];  /* in one line */
};

/* --- reading help ---------------------------------------------------------------------- */

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " ");
}

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');

    return end == NULL ? at + strlen(at) : end + 1;
}

/* A word of letters, digits, '_' and '-'; behind it. */
static const char *take_word(const char *at, char *word)
{
    size_t n = 0;

    while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == '-')
        n++;
    snprintf(word, NAME, "%.*s", (int)(n < NAME ? n : NAME - 1), at);
    return at + n;
}

static void append_line(struct option_text *option, const char *at)
{
    const size_t used = strlen(option->text), n = strcspn(at, "\n");

    snprintf(option->text + used, TEXT - used, "%s%.*s", used > 0 ? " " : "", (int)n, at);
}

/* The next option of a help; NULL: there is none. */
static const char *next_option(const char *at, struct option_text *option)
{
    while (*at != '\0' && strncmp(at, "  -", 3) != 0)
        at = next_line(at);
    if (*at == '\0')
        return NULL;
    *option = (struct option_text){ 0 };
    at = skip_blanks(at);
    if (at[1] != '-') {
        option->letter = at[1];
        at = skip_blanks(at + 2 + (at[2] == ','));
    }
    at = take_word(at + 2, option->name);
    if (at[0] == ' ' && isupper((unsigned char)at[1]))
        at = take_word(at + 1, option->wants);
    append_line(option, skip_blanks(at));
    for (at = next_line(at); strncmp(at, "      ", 6) == 0; at = next_line(at))
        append_line(option, skip_blanks(at));
    return at;
}

/* --- what may come --------------------------------------------------------------------- */

/* If `word` goes on from `typed`; `before` is to stand before it. */
static void offer(const char *typed, const char *before, const char *word, const char *text)
{
    const size_t n = strlen(before);

    if (strncmp(typed, before, n) == 0 && strncmp(word, typed + n, strlen(typed + n)) == 0)
        printf("%s%s%s%s\n", before, word, text[0] != '\0' ? "\t" : "", text);
}

/* "a, b or c", then ':', '(' or the end. */
static bool offer_list(const char *typed, const char *before, const char *text, bool is_try)
{
    char word[NAME];
    int n = 0;

    while (true) {
        text = take_word(text, word);
        if (word[0] == '\0')
            return false;
        if (!is_try)
            offer(typed, before, word, "");
        n++;
        if (strncmp(text, ", ", 2) == 0)
            text += 2;
        else if (strncmp(text, " or ", 4) == 0)
            text += 4;
        else
            return n > 1 && (*text == '\0' || *text == ':' || strncmp(text, " (", 2) == 0);
    }
}

/* "a: what it is; b: what that is". */
static void offer_items(const char *typed, const char *before, const char *text)
{
    char word[NAME], about[TEXT];

    for (bool is_first = true; text != NULL; is_first = false) {
        const char *end = take_word(text, word);

        if (word[0] == '\0' || *end != ':') {
            if (is_first)
                return;
        } else {
            end = skip_blanks(end + 1);
            snprintf(about, sizeof about, "%.*s", (int)strcspn(end, ";("), end);
            offer(typed, before, word, about);
        }
        text = strstr(text, "; ");
        text = text == NULL ? NULL : text + 2;
    }
}

static void offer_values(const struct option_text *option, const char *typed,
                         const char *before)
{
    if (strcmp(option->wants, "FILE") == 0)
        puts(":files");
    else if (offer_list(typed, before, option->text, true))
        offer_list(typed, before, option->text, false);
    else
        offer_items(typed, before, option->text);
}

/* The n-th operand, by the word for it in the help. */
static void offer_operand(const struct command *const *commands, size_t n_commands,
                          const struct command *command, int n, const char *typed)
{
    static const char files[] = " DATABASE FILE FROM INTO PATH TARGET ";
    const char *at = command->operands;
    char word[NAME], padded[NAME + 2];

    at += strspn(at, " [");
    for (; n > 0 && *at != '\0'; n--) {
        at += strcspn(at, " ");
        at += strspn(at, " [");
    }
    take_word(at, word);
    snprintf(padded, sizeof padded, " %s ", word);
    if (strcmp(word, "COMMAND") == 0)
        for (size_t i = 0; i < n_commands; i++)
            offer(typed, "", commands[i]->name, commands[i]->summary);
    else if (word[0] != '\0' && strstr(files, padded) != NULL)
        puts(":files");
}

/* --- the line -------------------------------------------------------------------------- */

static const char *const *helps_of(const struct command *command)
{
    static const char *helps[3];

    helps[0] = command->whole_help != NULL ? command->whole_help : command->help;
    helps[1] = command->whole_help != NULL ? NULL : command_common_help;
    return helps;
}

/* The option that a word is, "--name", "--name=value" or "-x". */
static bool find_option(const struct command *command, const char *word,
                        struct option_text *option)
{
    const size_t length = strcspn(word, "=");

    for (const char *const *help = helps_of(command); *help != NULL; help++)
        for (const char *at = *help; (at = next_option(at, option)) != NULL;)
            if (word[1] == '-'
                    ? strlen(option->name) + 2 == length &&
                          strncmp(option->name, word + 2, length - 2) == 0
                    : option->letter != 0 && word[1] == option->letter && word[2] == '\0')
                return true;
    return false;
}

static void offer_options(const struct command *command, const char *typed)
{
    struct option_text option;

    for (const char *const *help = helps_of(command); *help != NULL; help++)
        for (const char *at = *help; (at = next_option(at, &option)) != NULL;)
            offer(typed, "--", option.name, option.text);
}

static void offer_for(const struct command *const *commands, size_t n_commands,
                      const struct command *command, int n, char **words)
{
    struct option_text option;
    char before[NAME + 4];
    const char *typed = words[n - 1];
    bool wants_value = false, is_over = false;
    int operands = 0;

    for (int i = 1; i < n - 1; i++) {
        const char *word = words[i];

        if (wants_value)
            wants_value = false;
        else if (!is_over && strcmp(word, "--") == 0)
            is_over = true;
        else if (!is_over && word[0] == '-' && word[1] != '\0')
            wants_value = strchr(word, '=') == NULL &&
                          find_option(command, word, &option) && option.wants[0] != '\0';
        else
            operands++;
    }
    if (wants_value) {
        offer_values(&option, typed, "");
    } else if (!is_over && strncmp(typed, "--", 2) == 0 && strchr(typed, '=') != NULL) {
        if (find_option(command, typed, &option) && option.wants[0] != '\0') {
            snprintf(before, sizeof before, "--%s=", option.name);
            offer_values(&option, typed, before);
        }
    } else if (!is_over && typed[0] == '-') {
        offer_options(command, typed);
    } else {
        offer_operand(commands, n_commands, command, operands, typed);
    }
}

void complete_print(const struct command *const *commands, size_t n_commands, int n,
                    char **words)
{
    if (n < 1)
        return;
    if (n == 1) {
        if (words[0][0] == '-') {
            offer(words[0], "", "--help", "print which commands there are");
            offer(words[0], "", "--version", "print which lido this is");
        }
        for (size_t i = 0; i < n_commands; i++)
            offer(words[0], "", commands[i]->name, commands[i]->summary);
        return;
    }
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i]->name, words[0]) == 0)
            offer_for(commands, n_commands, commands[i], n, words);
}
