/* What is remembered of one entity, without Python: _window_track.c keeps it, _windows.c reads it.
 *
 * The rules are those of window_track.py, operation for operation: its Python gives the same bits.
 */
#ifndef BALUARTE_WINDOW_H
#define BALUARTE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#define SKETCH_BITS 11 /* as sketch.P */
#define REGISTERS (1 << SKETCH_BITS)
#define REST_BITS (64 - SKETCH_BITS)
#define MAX_COLUMNS 64
#define MAX_BUCKETS 32
#define SLACK 16 /* entries that may wait to be dropped */
#define REBASE ((int64_t)1 << 60)

typedef __int128 Big; /* sums over buckets; of one track's own events 64 bits are enough */

typedef enum { SUM, VALUE, HASH } Kind;

typedef union {
    int64_t units;   /* SUM: a running total, one more than there are events */
    double number;   /* VALUE */
    uint64_t hash;   /* HASH */
} Item;

typedef struct {
    Big units;
    double low, high;
    uint8_t *registers; /* HASH: REGISTERS of them */
} Old;

/* Events that are no longer kept one by one. */
typedef struct {
    int64_t at; /* of the last of them */
    int64_t n;
    Old columns[];
} Bucket;

/* Events of one entity that meet one condition, in order of time. */
typedef struct {
    Item *block; /* times, then each column: 1 + n_columns arrays of `room` + 1 */
    Bucket **buckets;
    uint32_t n, room, n_buckets;
} Track;

typedef struct {
    uint32_t n_columns;
    Kind kinds[MAX_COLUMNS];
} Shape;

enum { IN_BUCKET = -1, NO_MEMORY = -2 };

static inline int64_t *track_times(const Track *track) { return &track->block->units; }

static inline Item *track_column(const Track *track, uint32_t j) {
    return track->block + (size_t)(1 + j) * (track->room + 1);
}

/* How many of the first `end` times are at or before `at`; not fewer than `start`. */
uint32_t track_right(const Track *track, int64_t at, uint32_t start, uint32_t end);

/* Remember an event, after those of the same time: its position, IN_BUCKET or NO_MEMORY. */
int64_t track_insert(Track *track, const Shape *shape, int64_t at, const Item *entry);
/* Forget one event with this time and these values, if there is one. */
void track_remove(Track *track, const Shape *shape, int64_t at, const Item *entry);
/* Forget the event at a position. */
void track_delete(Track *track, const Shape *shape, uint32_t i);
/* Drop what is at or before `floor`; 1 where events were put into a bucket, or NO_MEMORY. */
int track_tidy(Track *track, const Shape *shape, int64_t floor, uint32_t max_events);
/* Room for at least this many events; 0 or NO_MEMORY. */
int track_make_room(Track *track, const Shape *shape, uint32_t room);
/* A bucket with nothing in it, or NULL. */
Bucket *bucket_new(const Shape *shape);
/* Take a bucket in as the last; 0 or NO_MEMORY. */
int track_take(Track *track, Bucket *bucket);
void bucket_free(Bucket *bucket, const Shape *shape);
void track_clear(Track *track, const Shape *shape);
void sketch_add(uint8_t *registers, uint64_t hash);
void sketch_union(uint8_t *registers, const uint8_t *other);

#endif
