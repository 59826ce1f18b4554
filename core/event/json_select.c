// SPDX-License-Identifier: Apache-2.0
#include "event/json_select.h"

#include <assert.h>

#include "kit/hash.h"
#include "kit/mem.h"

enum {
    TEXT_BYTES_MAX = 4 * 1024 * 1024,
    NAME_BYTES_MAX = 64 * 1024 * 1024, /* a payload is shorter */
    FIRST_NODES = 32,
    FIRST_TABLE = 64,
    LINEAR_MAX = 8, /* so many names are compared one by one: it is quicker */
    KEPT_ELEMENT_VALUES = 16 * 1024,
    KEPT_NAME_BYTES = 64 * 1024,
};

/* ---- the tree ---- */

static int add_node(struct json_select *select, struct json_node node, unsigned *ret_index)
{
    if (select->count == JSON_SELECT_NODES_MAX) {
        return MR_ELIMIT;
    }
    if (select->count == select->capacity) {
        unsigned capacity = select->capacity == 0 ? FIRST_NODES : select->capacity * 2;
        struct json_node *nodes = mem_realloc(select->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) {
            return MR_ENOMEM;
        }
        select->nodes = nodes;
        select->capacity = capacity;
    }
    select->nodes[select->count] = node;
    *ret_index = select->count++;
    return 0;
}

int json_select_init(struct json_select *select)
{
    unsigned root;
    *select = (struct json_select){0};
    buf_init(&select->text, TEXT_BYTES_MAX);
    return add_node(select, (struct json_node){.slot = -1, .kind = UINT8_MAX}, &root);
}

void json_select_done(struct json_select *select)
{
    mem_free(select->nodes);
    mem_free(select->table);
    buf_done(&select->text);
    *select = (struct json_select){0};
}

static struct mr_slice node_name(const struct json_select *select, const struct json_node *node)
{
    return mr_slice(select->text.ptr + node->name_at, node->name_len);
}

/* The table holds what the configuration names, so that no payload can fill it. */
static unsigned slot_of(const struct json_select *select, unsigned parent, struct mr_slice name)
{
    uint32_t hash = hash_fnv1a(HASH_FNV1A_BASIS ^ parent, name);
    return (hash ^ hash >> 16) & (select->table_size - 1);
}

static void insert(struct json_select *select, unsigned index)
{
    const struct json_node *node = &select->nodes[index];
    unsigned slot = slot_of(select, node->parent, node_name(select, node));
    while (select->table[slot] != 0) {
        slot = (slot + 1) & (select->table_size - 1);
    }
    select->table[slot] = (uint16_t)index;
}

/* Room in the table for one more node. Errors: MR_ENOMEM. */
static int reserve_table(struct json_select *select)
{
    unsigned size = select->table_size == 0 ? FIRST_TABLE : 2 * select->table_size;
    uint16_t *table;
    if (2 * (select->count + 1) <= select->table_size) {
        return 0;
    }
    table = mem_zalloc(size * sizeof *table);
    if (table == NULL) {
        return MR_ENOMEM;
    }
    mem_free(select->table);
    select->table = table;
    select->table_size = size;
    for (unsigned i = 1; i < select->count; i++) {
        if (select->nodes[i].kind == JSON_STEP_NAME) {
            insert(select, i);
        }
    }
    return 0;
}

/* The child of this name; 0: there is none. */
static unsigned find_name(const struct json_select *select, unsigned parent, struct mr_slice name)
{
    unsigned at;
    unsigned slot;
    if (select->nodes[parent].names <= LINEAR_MAX) {
        for (at = select->nodes[parent].first; at != 0; at = select->nodes[at].next) {
            const struct json_node *node = &select->nodes[at];
            if (node->kind == JSON_STEP_NAME && mr_slice_is(node_name(select, node), name)) {
                break;
            }
        }
        return at;
    }
    slot = slot_of(select, parent, name);
    for (; (at = select->table[slot]) != 0; slot = (slot + 1) & (select->table_size - 1)) {
        const struct json_node *node = &select->nodes[at];
        if (node->parent == parent && mr_slice_is(node_name(select, node), name)) {
            break;
        }
    }
    return at;
}

static unsigned find_child(const struct json_select *select, unsigned parent,
                           const struct json_path *path, const struct json_step *step)
{
    unsigned at = select->nodes[parent].first;
    if (step->kind == JSON_STEP_NAME) {
        return find_name(select, parent, json_path_name(path, step));
    }
    for (; at != 0; at = select->nodes[at].next) {
        const struct json_node *node = &select->nodes[at];
        if (node->kind == step->kind && node->index == step->index) {
            break;
        }
    }
    return at;
}

static int add_child(struct json_select *select, unsigned parent, const struct json_path *path,
                     const struct json_step *step, unsigned *ret_child)
{
    struct json_node node = {.kind = (uint8_t)step->kind, .slot = -1, .index = step->index};
    int rc = reserve_table(select);
    if (rc != 0) {
        return rc;
    }
    node.parent = (uint16_t)parent;
    node.is_element = step->kind == JSON_STEP_EACH || select->nodes[parent].is_element;
    node.next = select->nodes[parent].first;
    node.name_at = (uint32_t)select->text.len;
    node.name_len = step->name_len;
    (void)buf_add_slice(&select->text, json_path_name(path, step));
    node.path_at = (uint32_t)select->text.len;
    node.path_len = step->end;
    rc = buf_add(&select->text, path->text.ptr, step->end);
    rc = rc != 0 ? rc : add_node(select, node, ret_child);
    if (rc == 0) {
        select->nodes[parent].first = (uint16_t)*ret_child;
        select->nodes[parent].has_negative |= step->kind == JSON_STEP_INDEX && step->index < 0;
        if (step->kind == JSON_STEP_NAME) {
            select->nodes[parent].names++;
            insert(select, *ret_child);
        }
    }
    return rc;
}

/* From `node` down the steps; what is missing is made. */
static int descend(struct json_select *select, const struct json_path *path, unsigned *node,
                   struct mr_error *err)
{
    for (unsigned i = 0; i < path->count; i++) {
        unsigned child = find_child(select, *node, path, &path->steps[i]);
        int rc = child != 0 ? 0 : add_child(select, *node, path, &path->steps[i], &child);
        if (rc != 0) {
            return mr_error_set(
                err, (enum mr_code)rc, "%s",
                rc == MR_ENOMEM ? "out of memory" : "too many paths in one section");
        }
        *node = child;
    }
    return 0;
}

int json_select_each(struct json_select *select, const struct json_path *path, struct mr_error *err)
{
    struct json_path array = *path;
    unsigned node = 0;
    int rc;
    assert(select->each == 0 && path->count > 0);
    array.count--;
    rc = descend(select, &array, &node, err);
    if (rc != 0) {
        return rc;
    }
    select->each_array = (uint16_t)node;
    node = 0;
    rc = descend(select, path, &node, err);
    select->each = rc == 0 ? (uint16_t)node : 0;
    return rc;
}

int json_select_add(struct json_select *select, const struct json_path *path, unsigned *ret_slot,
                    struct mr_error *err)
{
    unsigned node = path->is_element ? select->each : 0;
    unsigned *slots = path->is_element ? &select->element_slots : &select->slots;
    int rc;
    if (path->is_element && select->each == 0) {
        return mr_error_set(err, MR_EINVAL,
                            "'@' stands for an element of `each`, which is not given");
    }
    rc = descend(select, path, &node, err);
    if (rc != 0) {
        return rc;
    }
    if (select->nodes[node].slot < 0) {
        select->nodes[node].slot = (int32_t)(*slots)++;
    }
    *ret_slot = (unsigned)select->nodes[node].slot;
    return 0;
}

/* ---- the selection ---- */

void json_selection_init(struct json_selection *selection)
{
    *selection = (struct json_selection){.now = 1};
    buf_init(&selection->name, NAME_BYTES_MAX);
}

void json_selection_done(struct json_selection *selection)
{
    mem_free(selection->values);
    mem_free(selection->element_values);
    mem_free(selection->seen);
    mem_free(selection->active);
    buf_done(&selection->name);
    json_selection_init(selection);
}

/* A scan on its way. */
struct run {
    const struct json_select *select;
    struct json_selection *selection;
    struct json_scan scan;
    unsigned depth;
    uint32_t first, count; /* of the nodes that the value to come is, in `active` */
    struct mr_error *err;
};

static int out_of_memory(struct mr_error *err)
{
    return mr_error_set(err, MR_ENOMEM, "out of memory");
}

static bool reserve_values(struct json_value **values, size_t *capacity, size_t wanted)
{
    size_t larger = *capacity == 0 ? 16 : *capacity;
    struct json_value *more;
    if (wanted <= *capacity) {
        return true;
    }
    while (larger < wanted) {
        larger *= 2;
    }
    more = mem_realloc(*values, larger * sizeof *more);
    if (more == NULL) {
        return false;
    }
    *values = more;
    *capacity = larger;
    return true;
}

static bool reserve_nodes(struct json_selection *selection, size_t wanted)
{
    uint64_t *seen;
    uint16_t *active;
    if (wanted <= selection->node_capacity) {
        return true;
    }
    seen = mem_realloc(selection->seen, wanted * sizeof *seen);
    if (seen == NULL) {
        return false;
    }
    selection->seen = seen;
    active = mem_realloc(selection->active, wanted * sizeof *active);
    if (active == NULL) {
        return false;
    }
    selection->active = active;
    memset(seen + selection->node_capacity, 0, (wanted - selection->node_capacity) * sizeof *seen);
    selection->node_capacity = wanted;
    return true;
}

static int begin(struct run *run)
{
    struct json_selection *selection = run->selection;
    if (selection->element_capacity > KEPT_ELEMENT_VALUES) {
        mem_free(selection->element_values);
        selection->element_values = NULL;
        selection->element_capacity = 0;
    }
    if (selection->name.capacity > KEPT_NAME_BYTES) {
        buf_done(&selection->name);
    }
    if (!reserve_values(&selection->values, &selection->value_capacity, run->select->slots) ||
        !reserve_nodes(selection, run->select->count)) {
        return out_of_memory(run->err);
    }
    for (unsigned i = 0; i < run->select->slots; i++) {
        selection->values[i] = (struct json_value){.token = JSON_SCAN_END};
    }
    selection->elements = 0;
    selection->each_is_array = false;
    selection->begin = ++selection->now;
    selection->active[0] = 0;
    run->first = 0;
    run->count = 1;
    return 0;
}

/* The value to come is (also) what `node` stands for. */
static int enter(struct run *run, unsigned node)
{
    struct json_selection *selection = run->selection;
    const struct json_node *entered = &run->select->nodes[node];
    uint64_t since = entered->is_element ? selection->element_begin : selection->begin;
    if (selection->seen[node] >= since) {
        return mr_error_set(run->err, MR_EFORMAT, "%.*s is given twice", (int)entered->path_len,
                            run->select->text.ptr + entered->path_at);
    }
    selection->seen[node] = selection->now;
    assert(run->first + run->count < run->select->count);
    selection->active[run->first + run->count++] = (uint16_t)node;
    return 0;
}

static int begin_element(struct run *run)
{
    struct json_selection *selection = run->selection;
    size_t slots = run->select->element_slots;
    size_t at = selection->elements * slots;
    if (selection->elements == JSON_SELECT_ELEMENTS_MAX) {
        return mr_error_set(run->err, MR_ELIMIT, "more than %d elements in %.*s",
                            JSON_SELECT_ELEMENTS_MAX,
                            (int)run->select->nodes[run->select->each].path_len,
                            run->select->text.ptr + run->select->nodes[run->select->each].path_at);
    }
    if (!reserve_values(&selection->element_values, &selection->element_capacity, at + slots)) {
        return out_of_memory(run->err);
    }
    for (size_t i = 0; i < slots; i++) {
        selection->element_values[at + i] = (struct json_value){.token = JSON_SCAN_END};
    }
    selection->elements++;
    selection->element_begin = ++selection->now;
    return 0;
}

static bool is_index_of(const struct json_node *node, const struct json_level *level)
{
    if (node->kind != JSON_STEP_INDEX) {
        return false;
    }
    return node->index >= 0 ? node->index == level->index
                            : level->length + node->index == level->index;
}

/* The next element of the innermost array. */
static int enter_index(struct run *run)
{
    struct json_level *level = &run->selection->levels[run->depth];
    run->first = level->first + level->count;
    run->count = 0;
    for (uint32_t i = 0; i < level->count; i++) {
        unsigned at = run->select->nodes[run->selection->active[level->first + i]].first;
        for (; at != 0; at = run->select->nodes[at].next) {
            const struct json_node *node = &run->select->nodes[at];
            int rc = node->kind == JSON_STEP_EACH ? begin_element(run) : 0;
            if (rc == 0 && (node->kind == JSON_STEP_EACH || is_index_of(node, level))) {
                rc = enter(run, at);
            }
            if (rc != 0) {
                return rc;
            }
        }
    }
    level->index++;
    return 0;
}

static int enter_name(struct run *run)
{
    struct json_level *level = &run->selection->levels[run->depth];
    struct mr_slice name = run->scan.raw;
    run->first = level->first + level->count;
    run->count = 0;
    if (level->count > 0 && run->scan.raw_has_escapes) {
        buf_clear(&run->selection->name);
        if (json_scan_unescape(&run->scan, &run->selection->name) != 0) {
            return buf_check(&run->selection->name, run->err);
        }
        name = buf_slice(&run->selection->name);
    }
    for (uint32_t i = 0; i < level->count; i++) {
        unsigned at = find_name(run->select, run->selection->active[level->first + i], name);
        int rc = at == 0 ? 0 : enter(run, at);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void note_value(struct run *run, enum json_token token)
{
    struct json_selection *selection = run->selection;
    const struct json_select *select = run->select;
    for (uint32_t i = 0; i < run->count; i++) {
        uint16_t at = selection->active[run->first + i];
        const struct json_node *node = &select->nodes[at];
        if (select->each != 0 && at == select->each_array && token == JSON_SCAN_ARRAY_BEGIN) {
            selection->each_is_array = true;
        }
        if (node->slot >= 0) {
            struct json_value *value =
                node->is_element
                    ? &selection
                              ->element_values[(selection->elements - 1) * select->element_slots] +
                          node->slot
                    : &selection->values[node->slot];
            *value = (struct json_value){
                .raw = run->scan.raw,
                .token = (uint8_t)token,
                .has_escapes = token == JSON_SCAN_STRING && run->scan.raw_has_escapes};
        }
    }
}

/* How many elements the array has that the scanner has just entered; what is no JSON is found by
 * the scan itself. */
static int64_t count_elements(const struct json_scan *at)
{
    struct json_scan scan = *at;
    unsigned depth = scan.depth;
    int64_t count = 0;
    enum json_token token;
    while ((token = json_scan_next(&scan)) < JSON_SCAN_END && scan.depth >= depth) {
        bool is_end = token == JSON_SCAN_OBJECT_END || token == JSON_SCAN_ARRAY_END;
        bool begins = token == JSON_SCAN_OBJECT_BEGIN || token == JSON_SCAN_ARRAY_BEGIN;
        count += !is_end && scan.depth == depth + (begins ? 1 : 0);
    }
    return count;
}

static void open_level(struct run *run, bool is_array)
{
    struct json_level *level;
    bool has_negative = false;
    run->depth++;
    level = &run->selection->levels[run->depth];
    *level = (struct json_level){run->first, run->count, is_array, 0, -1};
    for (uint32_t i = 0; i < run->count && is_array; i++) {
        has_negative |= run->select->nodes[run->selection->active[run->first + i]].has_negative;
    }
    if (has_negative) {
        level->length = count_elements(&run->scan);
    }
}

/* No path goes into the object or array that has just begun: step over it. */
static enum json_token skip_inside(struct json_scan *scan)
{
    unsigned depth = scan->depth;
    enum json_token token;
    do {
        token = json_scan_next(scan);
    } while (token < JSON_SCAN_END && scan->depth >= depth);
    return token;
}

static int take_value(struct run *run, enum json_token token)
{
    bool is_container = token == JSON_SCAN_OBJECT_BEGIN || token == JSON_SCAN_ARRAY_BEGIN;
    if (run->depth > 0 && run->selection->levels[run->depth].is_array) {
        int rc = enter_index(run);
        if (rc != 0) {
            return rc;
        }
    }
    note_value(run, token);
    if (is_container && run->count > 0) {
        open_level(run, token == JSON_SCAN_ARRAY_BEGIN);
    } else if (is_container) {
        (void)skip_inside(&run->scan); /* an error stays, and comes again */
    }
    return 0;
}

static int take_token(struct run *run, enum json_token token)
{
    switch (token) {
        case JSON_SCAN_NAME:
            return enter_name(run);
        case JSON_SCAN_OBJECT_END:
        case JSON_SCAN_ARRAY_END:
            run->depth--;
            return 0;
        case JSON_SCAN_ERROR:
            (void)json_scan_error(&run->scan, run->err);
            (void)mr_error_wrap(run->err, "the data is not valid JSON");
            return MR_EFORMAT;
        default:
            return take_value(run, token);
    }
}

int json_select_run(const struct json_select *select, struct mr_slice json,
                    struct json_selection *selection, struct mr_error *err)
{
    struct run run = {.select = select, .selection = selection, .err = err};
    enum json_token token;
    int rc = begin(&run);
    json_scan_init(&run.scan, json);
    while (rc == 0 && (token = json_scan_next(&run.scan)) != JSON_SCAN_END) {
        rc = take_token(&run, token);
    }
    return rc;
}
