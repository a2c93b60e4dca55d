/* SPDX-License-Identifier: GPL-2.0 */
/* rendezvous.h with names that a linker sees, its word being the model checker's. */
typedef struct mercury_word mercury_word;

int mercury_word_load(mercury_word *word);
void mercury_word_store(mercury_word *word, int value);
int mercury_word_exchange(mercury_word *word, int old, int new);

#include "rendezvous.h"

int shim_visit_is_free(mercury_word *state);
void shim_visit_send(mercury_word *state);
void shim_visit_withdraw(mercury_word *state);
int shim_visit_is_done(mercury_word *state);
int shim_visit_call_off(mercury_word *state);
int shim_visit_begin(mercury_word *state);
void shim_visit_end(mercury_word *state);

int shim_visit_is_free(mercury_word *state) { return mercury_visit_is_free(state); }
void shim_visit_send(mercury_word *state) { mercury_visit_send(state); }
void shim_visit_withdraw(mercury_word *state) { mercury_visit_withdraw(state); }
int shim_visit_is_done(mercury_word *state) { return mercury_visit_is_done(state); }
int shim_visit_call_off(mercury_word *state) { return mercury_visit_call_off(state); }
int shim_visit_begin(mercury_word *state) { return mercury_visit_begin(state); }
void shim_visit_end(mercury_word *state) { mercury_visit_end(state); }
