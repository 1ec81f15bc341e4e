/* Keep the events of one entity: insert, forget, drop what is old, add up what is too much. */
#include "_window.h"

#include <stdlib.h>
#include <string.h>

static size_t word(size_t n) { return n * sizeof(Item); }

uint32_t track_right(const Track *track, int64_t at, uint32_t start, uint32_t end) {
    if (end == start) return start; /* before there is anything, there is no block */
    const int64_t *times = track_times(track);
    while (start < end) {
        uint32_t middle = start + (end - start) / 2;
        if (times[middle] <= at) start = middle + 1;
        else end = middle;
    }
    return start;
}

static int resize(Track *track, const Shape *shape, uint32_t room) {
    size_t arrays = 1 + shape->n_columns, stride = (size_t)room + 1;
    Item *block = calloc(arrays * stride, sizeof(Item));
    if (!block) return NO_MEMORY;
    if (track->block)
        for (size_t k = 0; k < arrays; k++)
            memcpy(block + k * stride, track->block + k * (track->room + 1), word(track->n + 1u));
    free(track->block);
    track->block = block;
    track->room = room;
    return 0;
}

int track_make_room(Track *track, const Shape *shape, uint32_t room) {
    if (track->block && room <= track->room) return 0;
    uint32_t wanted = track->room ? track->room : 2;
    while (wanted < room) wanted += wanted / 2 + 1;
    return resize(track, shape, wanted);
}

/* --- buckets ---------------------------------------------------------------------------------- */

void sketch_add(uint8_t *registers, uint64_t hash) {
    uint64_t low = hash & (((uint64_t)1 << REST_BITS) - 1);
    int length = low ? 64 - __builtin_clzll(low) : 0;
    uint8_t rank = (uint8_t)(REST_BITS + 1 - length), *at = registers + (hash >> REST_BITS);
    if (rank > *at) *at = rank;
}

void sketch_union(uint8_t *registers, const uint8_t *other) {
    for (int k = 0; k < REGISTERS; k++)
        if (other[k] > registers[k]) registers[k] = other[k];
}

void bucket_free(Bucket *bucket, const Shape *shape) {
    if (!bucket) return;
    for (uint32_t j = 0; j < shape->n_columns; j++) free(bucket->columns[j].registers);
    free(bucket);
}

Bucket *bucket_new(const Shape *shape) {
    Bucket *bucket = calloc(1, sizeof(Bucket) + shape->n_columns * sizeof(Old));
    if (!bucket) return NULL;
    for (uint32_t j = 0; j < shape->n_columns; j++)
        if (shape->kinds[j] == HASH && !(bucket->columns[j].registers = calloc(REGISTERS, 1))) {
            bucket_free(bucket, shape);
            return NULL;
        }
    return bucket;
}

int track_take(Track *track, Bucket *bucket) {
    Bucket **grown = realloc(track->buckets, (track->n_buckets + 1) * sizeof(Bucket *));
    if (!grown) return NO_MEMORY;
    track->buckets = grown;
    track->buckets[track->n_buckets++] = bucket;
    return 0;
}

static void add_number(Old *old, int64_t n, double low, double high) {
    old->low = n && old->low <= low ? old->low : low;
    old->high = n && old->high >= high ? old->high : high;
}

static void bucket_add(Bucket *bucket, const Shape *shape, const Item *entry) {
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        Old *old = bucket->columns + j;
        if (shape->kinds[j] == SUM) old->units += entry[j].units;
        else if (shape->kinds[j] == VALUE)
            add_number(old, bucket->n, entry[j].number, entry[j].number);
        else sketch_add(old->registers, entry[j].hash);
    }
    bucket->n++;
}

/* The second into the first, which goes to the time of the second. */
static void bucket_join(Bucket *first, Bucket *second, const Shape *shape) {
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        Old *old = first->columns + j, *other = second->columns + j;
        if (shape->kinds[j] == SUM) old->units += other->units;
        else if (shape->kinds[j] == VALUE) add_number(old, first->n, other->low, other->high);
        else sketch_union(old->registers, other->registers);
    }
    first->at = second->at;
    first->n += second->n;
}

static void forget_bucket(Track *track, uint32_t i) {
    track->n_buckets--;
    memmove(track->buckets + i, track->buckets + i + 1, (track->n_buckets - i) * sizeof(Bucket *));
    if (!track->n_buckets) {
        free(track->buckets);
        track->buckets = NULL;
    }
}

/* --- events ----------------------------------------------------------------------------------- */

static void entry_of(const Track *track, const Shape *shape, uint32_t i, Item *entry) {
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        const Item *column = track_column(track, j);
        entry[j] = column[i];
        if (shape->kinds[j] == SUM) entry[j].units = column[i + 1].units - column[i].units;
    }
}

int64_t track_insert(Track *track, const Shape *shape, int64_t at, const Item *entry) {
    uint32_t n = track->n;
    if (track->n_buckets && (!n || at < track_times(track)[n - 1]) &&
        at <= track->buckets[track->n_buckets - 1]->at) {
        uint32_t i = 0;
        while (track->buckets[i]->at < at) i++;
        bucket_add(track->buckets[i], shape, entry);
        return IN_BUCKET;
    }
    if (n == UINT32_MAX || track_make_room(track, shape, n + 1)) return NO_MEMORY;
    int64_t *times = track_times(track);
    uint32_t i = n && at < times[n - 1] ? track_right(track, at, 0, n) : n;
    memmove(times + i + 1, times + i, word(n - i));
    times[i] = at;
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        Item *column = track_column(track, j);
        if (shape->kinds[j] == SUM) {
            for (uint32_t k = n + 1; k > i; k--) column[k].units = column[k - 1].units + entry[j].units;
        } else {
            memmove(column + i + 1, column + i, word(n - i));
            column[i] = entry[j];
        }
    }
    track->n++;
    return i;
}

static int is_same(const Shape *shape, const Item *a, const Item *b) {
    for (uint32_t j = 0; j < shape->n_columns; j++)
        if (shape->kinds[j] == VALUE ? a[j].number != b[j].number : a[j].hash != b[j].hash) return 0;
    return 1;
}

void track_delete(Track *track, const Shape *shape, uint32_t i) {
    uint32_t n = --track->n;
    memmove(track_times(track) + i, track_times(track) + i + 1, word(n - i));
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        Item *column = track_column(track, j);
        if (shape->kinds[j] == SUM) {
            int64_t units = column[i + 1].units - column[i].units;
            for (uint32_t k = i + 1; k <= n; k++) column[k].units = column[k + 1].units - units;
        } else memmove(column + i, column + i + 1, word(n - i));
    }
}

void track_remove(Track *track, const Shape *shape, int64_t at, const Item *entry) {
    Item found[MAX_COLUMNS];
    uint32_t end = track_right(track, at, 0, track->n);
    uint32_t i = at == INT64_MIN ? 0 : track_right(track, at - 1, 0, end);
    for (; i < end; i++) {
        entry_of(track, shape, i, found);
        if (is_same(shape, found, entry)) {
            track_delete(track, shape, i);
            return;
        }
    }
}

static void drop(Track *track, const Shape *shape, uint32_t n) {
    uint32_t left = track->n - n;
    memmove(track_times(track), track_times(track) + n, word(left));
    for (uint32_t j = 0; j < shape->n_columns; j++) {
        Item *column = track_column(track, j);
        int sum = shape->kinds[j] == SUM;
        memmove(column, column + n, word((size_t)left + (size_t)sum));
        if (sum && (column[left].units > REBASE || column[left].units < -REBASE))
            for (uint32_t k = left + 1; k > 0; k--) column[k - 1].units -= column[0].units;
    }
    track->n = left;
    if (track->room > 32 && left < track->room / 4) (void)resize(track, shape, left * 2);
}

/* Put the oldest `n` events into one bucket. */
static int fold(Track *track, const Shape *shape, uint32_t n) {
    Bucket *bucket = bucket_new(shape);
    if (!bucket) return NO_MEMORY;
    Item entry[MAX_COLUMNS];
    for (uint32_t i = 0; i < n; i++) {
        entry_of(track, shape, i, entry);
        bucket_add(bucket, shape, entry);
    }
    bucket->at = track_times(track)[n - 1];
    if (track_take(track, bucket)) {
        bucket_free(bucket, shape);
        return NO_MEMORY;
    }
    drop(track, shape, n);
    if (track->n_buckets > MAX_BUCKETS) {
        uint32_t least = 0;
        Bucket **all = track->buckets;
        for (uint32_t i = 1; i + 1 < track->n_buckets; i++)
            if (all[i]->n + all[i + 1]->n < all[least]->n + all[least + 1]->n) least = i;
        bucket_join(all[least], all[least + 1], shape);
        bucket_free(all[least + 1], shape);
        forget_bucket(track, least + 1);
    }
    return 1;
}

int track_tidy(Track *track, const Shape *shape, int64_t floor, uint32_t max_events) {
    if (track->n > 2 * SLACK && track_times(track)[SLACK] <= floor)
        drop(track, shape, track_right(track, floor, 0, track->n));
    while (track->n_buckets && track->buckets[0]->at <= floor) {
        bucket_free(track->buckets[0], shape);
        forget_bucket(track, 0);
    }
    return track->n > max_events ? fold(track, shape, track->n / 2) : 0;
}

void track_clear(Track *track, const Shape *shape) {
    while (track->n_buckets) {
        bucket_free(track->buckets[track->n_buckets - 1], shape);
        forget_bucket(track, track->n_buckets - 1);
    }
    free(track->block);
    *track = (Track){0};
}
