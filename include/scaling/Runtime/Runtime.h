/*===- Runtime.h - The host runtime of generated CPU code ---------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* What generated code calls: parallel loops, on a team of threads that stays *|
|* together from one loop to the next, and memory that is kept from call to   *|
|* call. A host that has a thread pool of its own can bring it.               *|
|*                                                                            *|
|* Everything may be called from several threads at once, except what says    *|
|* otherwise.                                                                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SCALING_RUNTIME_RUNTIME_H
#define SCALING_RUNTIME_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* Threads
\*===----------------------------------------------------------------------===*/

/** Does the work items `begin <= i < end`. */
typedef void (*scaling_body_fn)(int64_t begin, int64_t end, void *context);

/** Has `body` called on ranges that partition `0 <= i < count`, and returns
 * when all are done. Items are independent: results never depend on how the
 * range was cut. */
typedef void (*scaling_parallel_for_fn)(int64_t count, scaling_body_fn body,
                                        void *context);

/** The threads that do a program's parallel loops. */
typedef struct scaling_team scaling_team;

/** Reserves the pool's threads for the loops up to scaling_team_end, or
 * returns NULL, a team of the caller alone: with one thread, inside another
 * team's loop, or while another thread of the process has the pool. */
scaling_team *scaling_team_begin(void);

/** Runs a loop: the host's way when there is one, else on the team. Every
 * member has a contiguous part of the items, the same in every loop of the same
 * count, so that what it has read is in its cache; a member that is done takes
 * from the others' parts. The caller, which must be the one that began the
 * team, takes part, and waits for nobody who has not begun an item. */
void scaling_team_for(scaling_team *team, int64_t count, scaling_body_fn body,
                      void *context);

/** Gives the threads back. */
void scaling_team_end(scaling_team *team);

/** A team for one loop. */
void scaling_parallel_for(int64_t count, scaling_body_fn body, void *context);

/** Replaces how loops are run; NULL brings the default back. To be called
 * while no generated code is running. */
void scaling_set_parallel_for(scaling_parallel_for_fn fn);

/** The number of threads of the default implementation; 0 or less brings back
 * the environment's choice: the first number in SCALING_NUM_THREADS, or else
 * in OMP_NUM_THREADS, or else the CPUs this process may use. */
void scaling_set_num_threads(int32_t numThreads);

/** The number of threads the default implementation uses at most. */
int32_t scaling_get_num_threads(void);

/*===----------------------------------------------------------------------===*\
|* Memory
\*===----------------------------------------------------------------------===*/

/** Memory for `bytes` bytes, aligned to 64 bytes, with any contents. Blocks
 * that were released are used again, by any thread: fresh ones cost a page
 * fault for every page. Ends the program where there is no memory. */
void *scaling_workspace_acquire(int64_t bytes);

/** Gives back what scaling_workspace_acquire returned; NULL is ignored. */
void scaling_workspace_release(void *workspace);

/** Frees the blocks that are not in use. */
void scaling_workspace_trim(void);

/** The bytes in blocks that are not in use. */
int64_t scaling_workspace_idle_bytes(void);

#ifdef __cplusplus
}
#endif

#endif /* SCALING_RUNTIME_RUNTIME_H */
