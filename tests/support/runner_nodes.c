/* SPDX-License-Identifier: MIT */
/*
 * What criterion/new/assert.h calls: the tree of what did not hold.
 *
 * An assertion has a root node on its stack and adds a node for each term that is not as
 * wanted; all(), any() and none() add nodes that have children.  Only a failed assertion
 * sends its tree, and only then says that the tree is over.  So nothing may be kept on the
 * heap here, or a passing any() would leak.  A node becomes a line of text in a ring:
 *
 *     root <-- all(...) <-- "eq(int, a, b): actual = 1, expected = 2"
 *
 * Tags of whole arrays, wide strings and memory are not there.
 *
 * Threads: any; each has a ring of its own.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE 32 /* of one assertion; more terms push out the first */

struct slot {
    struct cri_assert_node node; /* what the macros go on to write to */
    const struct cri_assert_node *parent;
    char line[256];
};

static _Thread_local struct slot ring[RING_SIZE];
static _Thread_local unsigned next_slot;

/* Also the start of a new assertion, whose root may lie where an older one lay. */
void cri_assert_node_init(struct cri_assert_node *node)
{
    memset(node, 0, sizeof *node);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        if (ring[i].parent == node)
            ring[i].parent = NULL;
    }
}

static void append(char *line, size_t size, const char *before, const char *text)
{
    size_t length = strlen(line);

    snprintf(line + length, size - length, "%s%s", before, text);
}

/* Writes down a node and frees what it holds. */
static void write_line(struct slot *slot, struct cri_assert_node *node)
{
    slot->line[0] = '\0';
    append(slot->line, sizeof slot->line, "", node->repr == NULL ? "" : node->repr);
    for (unsigned i = 0; i < CRI_ASSERT_MAX_PARAMS; i++) {
        struct cri_assert_param *param = &node->params[i];

        if (param->name == NULL || param->type != CRI_ASSERT_RT_STR)
            continue;
        append(slot->line, sizeof slot->line, i == 0 ? ": " : ", ", param->name);
        append(slot->line, sizeof slot->line, " = ",
               param->data == NULL ? "?" : param->data);
        free(param->data);
    }
    if (node->dynrepr)
        free((void *)node->repr);
}

struct cri_assert_node *cri_assert_node_add(struct cri_assert_node *tree,
                                            struct cri_assert_node *node)
{
    struct slot *slot = &ring[next_slot++ % RING_SIZE];

    write_line(slot, node);
    memset(&slot->node, 0, sizeof slot->node);
    slot->node.pass = node->pass;
    slot->parent = tree;
    return &slot->node;
}

void cri_assert_node_negate(struct cri_assert_node *tree)
{
    (void)tree; /* the line is printed as it was written, with its not() */
}

static bool is_below(const struct cri_assert_node *node, const struct cri_assert_node *root)
{
    for (unsigned depth = 0; depth < RING_SIZE && node != NULL; depth++) {
        const struct cri_assert_node *parent = NULL;

        if (node == root)
            return true;
        for (unsigned i = 0; i < RING_SIZE; i++) {
            if (&ring[i].node == node)
                parent = ring[i].parent;
        }
        node = parent;
    }
    return false;
}

void cri_assert_node_send(const char *file, size_t line, struct cri_assert_node *root)
{
    /* The macro puts an x in front, so that no text is a format too. */
    const char *message = root->message == NULL ? "" : root->message + 1;

    fprintf(stderr, "    %s:%zu: failed%s%s\n", file, line, *message == '\0' ? "" : ": ",
            message);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        const struct slot *slot = &ring[(next_slot + i) % RING_SIZE];

        if (slot->parent != NULL && slot->line[0] != '\0' && is_below(&slot->node, root))
            fprintf(stderr, "        %s\n", slot->line);
    }
}

void cri_assert_node_term(struct cri_assert_node *root)
{
    free((void *)root->message);
}

__attribute__((format(printf, 1, 2))) char *cri_assert_message(const char *format, ...)
{
    char *message = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&message, format, args) < 0)
        message = NULL;
    va_end(args);
    return message;
}

int cr_user_str_eq(char **actual, char **expected)
{
    return strcmp(*actual, *expected) == 0;
}

int cr_user_str_lt(char **actual, char **reference)
{
    return strcmp(*actual, *reference) < 0;
}

int cr_user_str_zero(char **value)
{
    return **value == '\0';
}

char *cr_user_str_tostr(char **value)
{
    return strdup(*value == NULL ? "NULL" : *value);
}
