/*===- SanitizerOptions.c - Defaults of the sanitizers ------------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

/* Linked into every executable of a build with sanitizers, those of tests too;
 * the variables ASAN_OPTIONS and UBSAN_OPTIONS add to these or override them.
 *
 * LLVM's bump allocator poisons what it has not handed out. Its code is in
 * headers, so that our own code poisons, and in libLLVM and libMLIR, which are
 * not instrumented and never lift the poison: every attribute that they
 * allocate after one of ours would be reported. Overflows and uses after free
 * of the heap and the stack are found all the same. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allow_user_poisoning=0"; }

/* What is found ends the program: a test that goes on would pass. */
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) {
  return "halt_on_error=1:print_stacktrace=1";
}

/* libomp keeps the teams of threads that it made to the end. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libomp.so\n"; }
